"""Upstreams as a table: columns go where there is no room, and nothing is cut."""

from penstock.cli.upstreams.table import shown


def peer(**given: object) -> dict:
    made = {
        "id": 0, "server": "10.0.0.1:8000", "name": "10.0.0.1:8000", "state": "up", "since": None, "weight": 1,
        "active": 12, "tunnels": 11, "requests": 1234, "failures": 0, "max_conns": 0, "checks": None, "backup": False,
        "set": False, "added": False,
    }  # fmt: skip
    return {**made, **given}


def upstream(*peers: dict) -> dict:
    return {"name": "app", "zone": "app", "idle": 4, "peers": list(peers)}


def test_all_columns_where_there_is_room() -> None:
    checks = {"checks": 10, "fails": 1, "last_passed": False, "why": "timed out", "ago": 1.0}
    other = peer(id=1, checks=checks, backup=True, set=True, state="unhealthy", since=70.0)
    lines = shown([upstream(peer(), other)], 200)
    assert lines[0] == "app: 2 servers, 22 tunnels, 4 idle connections, zone app"
    assert lines[1].split() == [
        "ID", "SERVER", "STATE", "SINCE", "WEIGHT", "ACTIVE", "TUNNELS", "REQUESTS", "FAILURES", "CHECKS", "NOTE",
    ]  # fmt: skip
    assert "9/10 failed: timed out" in lines[3] and lines[3].endswith("backup, set") and "1m10s" in lines[3]


def test_nothing_is_cut_at_any_width() -> None:
    long = peer(name="[2001:db8:0:1:2:3:4:5]:65535", server="app.example", max_conns=4096, active=4000)
    for width in range(20, 200):
        lines = shown([upstream(long)], width)
        assert "[2001:db8:0:1:2:3:4:5]:65535 (app.example)" in lines[2] and "up" in lines[2]
        if width >= 80:
            assert max(map(len, lines)) <= width
            assert "11" in lines[2].split(), "the number of tunnels stays to the last"


def test_what_a_name_holds_is_shown_safely() -> None:
    assert "\x1b" not in "".join(shown([upstream(peer(server="\x1b[2J"))], 100))


def test_an_upstream_without_servers() -> None:
    assert shown([upstream()], 80) == ["app: 0 servers, 0 tunnels, 4 idle connections, zone app", "  no servers"]


def test_who_waits_is_shown() -> None:
    told = {**upstream(), "queue": {"size": 3, "max_size": 20, "overflows": 0}}
    assert shown([told], 120)[0] == "app: 0 servers, 0 tunnels, 4 idle connections, 3 of 20 in the queue, zone app"

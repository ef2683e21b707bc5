"""Where frames are looked at, and where nothing asks for that."""

from __future__ import annotations

from pathlib import Path

import pytest

from penstock.modules.core.locations import all_locations
from penstock.modules.load import load
from penstock.modules.websocket.terms import Conversations
from penstock.websocket.terms import Terms, terms_of

PASS = "proxy_pass http://127.0.0.1:1;"


def terms(tmp_path: Path, http: str, inside: str = "", top: str = "") -> Terms | None:
    """Those of the one location."""
    path = tmp_path / "nginx.conf"
    path.write_text(
        f"{top} events {{ }} http {{ access_log off; {http} server {{ listen 127.0.0.1:1; "
        f"location / {{ {PASS} {inside} }} location /other {{ {PASS} }} }} }}"
    )
    plan = load(str(path), prefix=str(tmp_path))
    found = {each.name: each for each in all_locations(server.root for server in plan.servers)}
    if inside and not http and not top:
        assert found["/other"][Conversations].terms is None, "the neighbour pays nothing"
    return found["/"][Conversations].terms


def test_nothing_asks_for_frames(tmp_path: Path) -> None:
    assert terms(tmp_path, "") is None
    assert terms(tmp_path, "websocket_close_timeout 3s;") is None
    assert terms(tmp_path, "log_format a $status;", "access_log a.log a;") is None


@pytest.mark.parametrize(
    ("http", "inside", "top"),
    [
        ("", "websocket auto;", ""),
        ("", "websocket on;", ""),
        ("", "websocket_ping 20s;", ""),
        ("", "websocket_max_message 1m;", ""),
        ("", "websocket_max_lifetime 1h;", ""),
        ("", "websocket_reauth 5m /auth;", ""),
        ("websocket_drain 30s;", "", ""),
        ("", "", "websocket_drain 30s;"),
        ("", "", "worker_shutdown_timeout 1m;"),
        ("log_format a $websocket_close_code;", "access_log a.log a;", ""),
        ("map $websocket_end_reason $b { default 1; } log_format a $b;", "access_log a.log a;", ""),
    ],
)
def test_what_asks_for_frames(tmp_path: Path, http: str, inside: str, top: str) -> None:
    found = terms(tmp_path, http, inside, top)
    assert found is not None
    assert found.strict == ("websocket on" in inside or "websocket auto" in inside or "max_message" in inside)


def test_terms(tmp_path: Path) -> None:
    found = terms(
        tmp_path,
        "websocket_max_message 1m from=both; websocket_ping 1m;",
        "websocket_max_message 2m; websocket_max_message 3m from=backend; websocket_rate 60r/m burst=3; "
        "websocket_ping 5s timeout=2s to=both; websocket_max_lifetime 8h jitter=10%;",
    )
    assert found is not None
    assert (found.from_client.message, found.from_backend.message) == (2 << 20, 3 << 20)
    assert (found.from_client.rate, found.from_client.burst, found.from_backend.rate) == (1.0, 3, 0.0)
    assert (found.ping, found.ping_timeout, found.ping_client, found.ping_backend) == (5.0, 2.0, True, True)
    assert (found.lifetime, found.lifetime_jitter) == (8 * 3600.0, 0.1)
    assert terms_of(found.plain()) is found, "tunnels share them"


def test_without_a_burst_as_many_may_come_at_once_as_the_rate_names(tmp_path: Path) -> None:
    for given, rate, burst in (
        ("100r/s", 100.0, 99), ("30r/m", 0.5, 29), ("1r/m", 1 / 60, 0), ("1r/s", 1.0, 0), ("100r/s burst=0", 100.0, 0),
        ("100r/s burst=5", 100.0, 5),
    ):  # fmt: skip
        found = terms(tmp_path, "", f"websocket_rate {given} from=both;")
        assert found is not None
        assert (found.from_client.rate, found.from_client.burst) == (rate, burst), given
        assert found.from_backend == found.from_client


def test_a_feature_can_be_switched_off_below(tmp_path: Path) -> None:
    every = "websocket_ping 5s; websocket_max_message 1m; websocket_rate 5r/s; websocket_max_lifetime 1h;"
    off = "websocket_ping off; websocket_max_message off; websocket_rate off; websocket_max_lifetime off;"
    assert terms(tmp_path, every, off) is None

"""The directive: what it takes, what it refuses, and that no secret is shown."""

import pytest

from penstock.config.errors import ConfigFailed, render
from penstock.modules.fleet.digests import Digests
from penstock.modules.fleet.membership import FLEET
from penstock.modules.load import load

pytest.importorskip("redis")


@pytest.fixture
def fleet(tmp_path):
    def compile_line(line, http=""):
        (tmp_path / "nginx.conf").write_text(f"{line}\nevents {{ }}\nhttp {{ {http} }}\n")
        (tmp_path / "secret").write_text("hush hush\n")
        return load(str(tmp_path / "nginx.conf"), prefix=str(tmp_path)).shared[FLEET].options

    return compile_line


def test_what_it_takes(fleet) -> None:
    plain = fleet("fleet redis://10.0.0.5;")
    assert (plain.address.host, plain.address.port, plain.address.database) == ("10.0.0.5", 6379, 0)
    assert (plain.timeout, plain.lease, plain.on_error, plain.name) == (0.05, 15.0, "local", "penstock")
    full = fleet(
        "fleet valkeys://me@[::1]:7000/3 name=edge timeout=20ms lease=5s on_error=closed password_file=secret;"
    )
    assert full.address.tls
    assert (full.address.user, full.address.password) == ("me", "hush hush")
    assert full.base == b"{penstock:edge}"
    assert full.address.shown == "rediss://[::1]:7000/3"
    assert "hush" not in repr(full)
    guarded = fleet("fleet redis://mymaster/1 sentinel=a:1,b user=x;")
    assert guarded.address.master == "mymaster"
    assert guarded.address.sentinels == (("a", 1), ("b", 26379))
    guards = "fleet redis://m sentinel=a sentinel_user=g sentinel_password_file=secret sentinel_tls;"
    secured = fleet(guards)
    assert secured.address.sentinel_tls and not secured.address.tls and secured.address.password is None
    assert (secured.address.sentinel_user, secured.address.sentinel_password) == ("g", "hush hush")
    assert "hush" not in repr(secured)
    assert fleet("fleet unix:///run/redis.sock;").address.shown == "unix:/run/redis.sock"


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("fleet redis://:secret@host;", "takes no password in its address"),
        ("fleet redis://host password=secret;", "takes no password here"),
        ("fleet redis://m sentinel=a sentinel_password=secret;", "takes no password here"),
        ("fleet redis://host sentinel_tls;", "without Sentinels"),
        ("fleet redis://host password_file=none;", 'open\\(\\) ".*none" failed'),
        ("fleet http://host;", "invalid address"),
        ("fleet redis://host/x;", "invalid address"),
        ("fleet redis://host:x;", "invalid address"),
        ("fleet redis:///0;", "invalid address"),
        ("fleet redis://host name=a/b;", "invalid name"),
        ("fleet redis://host timeout=0;", "invalid parameter"),
        ("fleet redis://host timeout=10s;", "too short"),
        ("fleet redis://host lease=1ms;", "invalid parameter"),
        ("fleet redis://host on_error=maybe;", "invalid parameter"),
        ("fleet redis://host name=a name=b;", "duplicate parameter"),
        ("fleet redis://host nonsense;", "invalid parameter"),
        ("fleet redis://host/1 cluster;", "database 0"),
        ("fleet redis://host:1 sentinel=a;", "invalid address"),
        ("fleet redis://host sentinel=:1;", "invalid parameter"),
        ("fleet redis://a; fleet redis://b;", "duplicate"),
    ],
)
def test_what_it_refuses(fleet, line, words) -> None:
    with pytest.raises(ConfigFailed, match=words) as caught:
        fleet(line)
    assert not any("secret" in render(problem) for problem in caught.value.problems)


def test_sync_needs_a_fleet(fleet) -> None:
    with pytest.raises(ConfigFailed, match='"sync" without a "fleet"'):
        fleet("", "limit_conn_zone $uri zone=a:1m sync;")


def test_digests_differ_by_zone_and_are_the_same_everywhere() -> None:
    assert Digests("a").of("x") == Digests("a").of("x")
    assert Digests("a").of("x") != Digests("b").of("x")
    assert len(Digests("a").of("\xff" * 300)) == 16

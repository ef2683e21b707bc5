"""`servers_from` while the configuration is read."""

from pathlib import Path

import pytest

from penstock.config.errors import ConfigFailed, render
from penstock.modules.load import load
from penstock.modules.upstream import servers_from
from penstock.modules.upstream.upstream import UPSTREAMS
from penstock.plan.plan import Plan

PLAIN = "file:///nowhere/servers.json"


def made(folder: Path, line: str, more: str = "") -> Plan:
    path = folder / "nginx.conf"
    server = "server { listen 127.0.0.1:8441; location / { proxy_pass http://back; } }"
    path.write_text(f"events {{ }}\nhttp {{\nupstream back {{ {more}\n{line}\n}}\n{server} }}\n")
    return load(str(path), prefix=f"{folder}/")


def peers(plan: Plan) -> list[str]:
    upstreams = plan.shared.get(UPSTREAMS)
    assert upstreams is not None
    return [peer.name for peer in upstreams.groups["back"].peers]


def test_a_group_begins_with_the_file_that_is_there(tmp_path: Path) -> None:
    (tmp_path / "list").write_text('["10.0.0.1:81", {"server": "10.0.0.2:82", "weight": 3}]')
    plan = made(tmp_path, f"servers_from file://{tmp_path}/list;")
    assert peers(plan) == ["10.0.0.1:81", "10.0.0.2:82"]
    assert peers(made(tmp_path, f"servers_from file://{tmp_path}/list;", "server 10.0.0.9:80;")) == [
        "10.0.0.9:80",
        "10.0.0.1:81",
        "10.0.0.2:82",
    ]


def test_or_with_the_last_good_list(tmp_path: Path) -> None:
    (tmp_path / "kept.json").write_text('[{"server": "10.0.0.7:81"}]')
    assert peers(made(tmp_path, "servers_from consul://127.0.0.1/chat?passing keep=kept.json;")) == ["10.0.0.7:81"]


def test_or_with_nobody(tmp_path: Path) -> None:
    assert peers(made(tmp_path, f"servers_from {PLAIN} keep=off;")) == []


def test_two_groups_may_follow_one_source(tmp_path: Path) -> None:
    assert peers(made(tmp_path, f"servers_from {PLAIN}; }} upstream other {{ servers_from {PLAIN};")) == []


def test_a_list_in_redis_needs_the_library(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(servers_from, "find_spec", lambda name: None)
    with pytest.raises(ConfigFailed, match="needs the library redis"):
        made(tmp_path, "servers_from redis://host/key keep=off;")


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("servers_from /etc/servers;", 'invalid source "/etc/servers"'),
        ("servers_from etcd://host/x;", "invalid source"),
        ("servers_from file://host/x;", "invalid source"),
        ("servers_from consul:///chat;", "invalid source"),
        ("servers_from consul://host:8500/;", "invalid source"),
        ("servers_from consul://host:85000/x;", "invalid port"),
        ("servers_from consul://host/x?password=secret;", 'unknown parameter "password"'),
        ("servers_from redis://me:secret@host/x;", "no password in it"),
        ("servers_from docker:///var/run/docker.sock;", "which containers are meant"),
        (f"servers_from {PLAIN} empty=maybe;", 'invalid parameter "empty=maybe"'),
        (f"servers_from {PLAIN} debounce=soon;", 'invalid time "soon"'),
        (f"servers_from {PLAIN}; servers_from {PLAIN};", "duplicate source"),
        (f"state file; servers_from {PLAIN};", 'not allowed beside "state"'),
        (f"servers_from {PLAIN}; servers_from {PLAIN} empty=allow;", "has other parameters elsewhere"),
        (
            f"servers_from {PLAIN} debounce=1s; }} upstream other {{ servers_from {PLAIN};",
            "has other parameters elsewhere",
        ),
    ],
)
def test_what_is_wrong_is_said(tmp_path: Path, line: str, said: str) -> None:
    with pytest.raises(ConfigFailed) as failed:
        made(tmp_path, line)
    assert said in str(failed.value)
    assert not any("secret" in render(problem) for problem in failed.value.problems)

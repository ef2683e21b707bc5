"""What `websocket_quota` takes, and what it refuses."""

from __future__ import annotations

from pathlib import Path

import pytest

from harness.site import compiled, mistakes
from penstock.modules.core.locations import all_locations
from penstock.modules.websocket.quota import Quotas
from penstock.modules.websocket.quota_counts import Allowance, Quota

PASS = "proxy_pass http://127.0.0.1:1;"
ZONE = "websocket_quota_zone $arg_user zone=users:1m;"


def quotas(line: str, folder: Path) -> list[Quota]:
    """Those of the one location."""
    plan = compiled(
        f"events {{ }} http {{ {ZONE} server {{ listen 127.0.0.1:1; location / {{ websocket on; {line} {PASS} }} }} }}",
        folder,
    )
    found = {each.name: each for each in all_locations(server.root for server in plan.servers)}
    return [each.quota for each in found["/"][Quotas].lines]


def wrong(line: str, folder: Path, websocket: str = "websocket on;", zone: str = ZONE) -> list[str]:
    """What is wrong with it."""
    return mistakes(f"{zone} server {{ listen 127.0.0.1:1; location / {{ {websocket} {line} {PASS} }} }}", folder)


def test_what_it_takes(tmp_path: Path) -> None:
    line = "websocket_quota users tunnels=5 messages=100k/d bytes=1g/h from=both code=4008;"
    allowances = (Allowance("messages", 100_000, 86400), Allowance("bytes", 1 << 30, 3600))
    assert quotas(line, tmp_path) == [Quota("users", 5, allowances, True, True, 4008)]
    assert quotas("websocket_quota users messages=7/m;", tmp_path) == [
        Quota("users", 0, (Allowance("messages", 7, 60),), True, False, 1008)
    ]
    [from_backend] = quotas("websocket_quota users messages=7/m from=backend;", tmp_path)
    assert (from_backend.client, from_backend.backend) == (False, True)


@pytest.mark.parametrize(
    "words",
    [
        "",
        "from=both",
        "tunnels=0",
        "tunnels=65536",
        "messages=5",
        "messages=0/d",
        "messages=5/s",
        "messages=k/d",
        "messages=-5/d",
        "messages=9999999g/d",
        "bytes=1x/d",
        "bytes=0/d",
        "bytes=1g",
        "messages=5/d code=1005",
        "messages=5/d messages=6/d",
        "tunnels=1 nodelay",
    ],
)
def test_what_it_refuses(words: str, tmp_path: Path) -> None:
    assert wrong(f"websocket_quota users {words};", tmp_path)


@pytest.mark.parametrize("websocket", ["", "websocket off;"])
def test_frames_have_to_be_counted(websocket: str, tmp_path: Path) -> None:
    [said] = wrong("websocket_quota users messages=5/d;", tmp_path, websocket)
    assert said.startswith('"websocket_quota" needs "websocket on" or "websocket auto"')


def test_a_quota_of_a_server_is_for_the_locations_that_carry_websockets(tmp_path: Path) -> None:
    inside = f"websocket_quota users tunnels=5; location / {{ {PASS} }} location /ws {{ websocket on; {PASS} }}"
    assert mistakes(f"{ZONE} server {{ listen 127.0.0.1:1; {inside} }}", tmp_path) == []


def test_zones(tmp_path: Path) -> None:
    line = "websocket_quota users tunnels=5;"
    assert wrong(line, tmp_path, zone="")
    assert wrong(line, tmp_path, zone="limit_conn_zone $arg_user zone=users:1m;")
    assert wrong(line, tmp_path, zone="websocket_quota_zone $arg_user zone=users:1k;")
    assert wrong(line, tmp_path, zone="websocket_quota_zone $arg_user users;")
    [said] = wrong(line, tmp_path, zone=ZONE.replace(";", " sync;"))
    assert said == '"sync" without a "fleet"'
    assert wrong(line * 2, tmp_path) == ['"websocket_quota" directive is duplicate']

"""What a `health_check` comes to, what it asks, and what is said of mistakes in one."""

from pathlib import Path

import pytest

from harness.site import compiled, mistakes
from penstock.modules.upstream.upstream import UPSTREAMS
from penstock.plan.plan import Plan
from penstock.upstream.checks.check import Check
from penstock.upstream.peers.zone_table import CheckedPeer

APP = "upstream app { server 127.0.0.1:1; server 127.0.0.1:2; }"


def checked(lines: str, folder: Path, more: str = "", to: str = "proxy_pass http") -> tuple[Plan, tuple[Check, ...]]:
    http = f"{APP} server {{ location / {{ {to}://app; {more} {lines} }} }}"
    plan = compiled(f"events {{ }} http {{ {http} match late {{ status 204; }} }}", folder)
    upstreams = plan.shared.get(UPSTREAMS)
    assert upstreams is not None
    group = upstreams.find("app")
    assert group is not None
    assert all(type(peer) is CheckedPeer for peer in group.peers)
    return plan, group.checks


def test_what_nginx_has_as_defaults(tmp_path: Path) -> None:
    (check,) = checked("health_check;", tmp_path)[1]
    assert (check.kind, check.interval, check.jitter, check.fails, check.passes) == ("http", 5.0, 0.0, 1, 1)
    assert (check.limit, check.keepalive, check.mandatory) == (5.0, 0.0, False)
    assert check.prepare(())[0] == b"GET / HTTP/1.1\r\nHost: app\r\n\r\n"


def test_all_that_can_be_said(tmp_path: Path) -> None:
    line = "health_check interval=2s jitter=1s fails=3 passes=2 uri=/a?b port=8080 match=late mandatory persistent "
    http, websocket = checked(
        f"{line} keepalive_time=1m; health_check type=websocket ping protocol=chat,soap interval=90s;",
        tmp_path,
        more="proxy_connect_timeout 1s; proxy_set_header Host $http_host; proxy_set_header X-A b; "
        "proxy_set_header Connection upgrade; proxy_set_header X-Real-IP $remote_addr;",
    )[1]
    assert (http.interval, http.jitter, http.fails, http.passes, http.port) == (2.0, 1.0, 3, 2, 8080)
    assert (http.mandatory, http.keepalive, http.limit) == (True, 60.0, 1.0)
    assert http.expected.status is not None
    assert http.expected.status.wrong(204) == ""
    head, request, secure = http.prepare((("X-Own", "1"),))
    assert head == b"GET /a?b HTTP/1.1\r\nHost: app\r\nX-A: b\r\nX-Real-IP: 127.0.0.1\r\nX-Own: 1\r\n\r\n"
    assert (request.uri, request.args, secure) == ("/a", "b", None)
    assert (websocket.kind, websocket.ping, websocket.protocols) == ("websocket", True, ("chat", "soap"))


def test_servers_of_grpc(tmp_path: Path) -> None:
    line = "health_check mandatory type=grpc grpc_service=a.B grpc_status=12; health_check type=tcp;"
    grpc, tcp = checked(line, tmp_path, "grpc_read_timeout 2s;", to="grpc_pass grpc")[1]
    assert (grpc.kind, grpc.service, grpc.grpc_status, grpc.limit, grpc.mandatory) == ("grpc", "a.B", 12, 2.0, True)
    assert tcp.kind == "tcp"


def test_what_is_known_of_servers_is_shared_without_a_zone_too(tmp_path: Path) -> None:
    plan, _ = checked("health_check;", tmp_path)
    again = compiled((tmp_path / "penstock.conf").read_text(), tmp_path)
    assert plan.shared[UPSTREAMS].tables.keys() == again.shared[UPSTREAMS].tables.keys()
    assert len(plan.shared[UPSTREAMS].tables) == 1


@pytest.mark.parametrize(
    ("location", "message"),
    [
        ("proxy_pass http://app; health_check often;", 'invalid parameter "often"'),
        ("proxy_pass http://app; health_check interval=0;", 'invalid parameter "interval=0"'),
        ("proxy_pass http://app; health_check port=65536;", 'invalid parameter "port=65536"'),
        ("proxy_pass http://app; health_check uri=status;", 'invalid parameter "uri=status"'),
        ("proxy_pass http://app; health_check type=udp;", 'invalid parameter "type=udp"'),
        ("proxy_pass http://app; health_check type=grpc;", '"health_check type=grpc" needs a "grpc_pass"'),
        ("grpc_pass app; health_check;", '"health_check type=http" speaks HTTP/1.1, and "grpc_pass" does not'),
        ("grpc_pass app; health_check type=websocket;", '"health_check type=websocket" speaks HTTP/1.1'),
        ("grpc_pass app; health_check type=grpc uri=/;", '"uri" is not for type=grpc'),
        ("grpc_pass app; health_check type=grpc match=m;", '"match" and "keepalive_time" are for type=http'),
        ("grpc_pass app; health_check type=grpc grpc_status=0;", 'invalid parameter "grpc_status=0"'),
        ("grpc_pass app; health_check grpc_service=a;", '"grpc_service" is for type=grpc'),
        ("grpc_pass 127.0.0.1:1; health_check type=grpc;", '"health_check" needs an upstream'),
        ("proxy_pass http://app; health_check persistent;", '"persistent" requires "mandatory"'),
        ("proxy_pass http://app; health_check ping;", '"ping" is for type=websocket'),
        ("proxy_pass http://app; health_check type=tcp uri=/;", '"uri" is not for type=tcp, which asks for nothing'),
        ("proxy_pass http://app; health_check type=tcp match=m;", '"match" and "keepalive_time" are for type=http'),
        ("proxy_pass http://app; health_check match=m;", 'match "m" is not defined'),
        ("health_check;", '"health_check" needs a "proxy_pass" or "grpc_pass" without variables in its location'),
        ("proxy_pass http://$host; health_check;", '"health_check" needs a "proxy_pass" or "grpc_pass" without'),
        ("proxy_pass http://127.0.0.1:1; health_check;", '"health_check" needs an upstream, and "127.0.0.1" is none'),
        ("proxy_pass http://app; proxy_http_version 2; health_check;", '"health_check" speaks HTTP/1.1'),
    ],
)
def test_mistakes(location: str, message: str, tmp_path: Path) -> None:
    found = mistakes(f"{APP} server {{ location / {{ {location} }} }}", tmp_path)
    assert [each for each in found if each.startswith(message)]

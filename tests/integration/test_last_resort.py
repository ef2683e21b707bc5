"""Rolling restarts and servers that are back: a request does not fail while somebody might answer it."""

import pytest

from harness.backends import RawBackend, read_head
from harness.http2 import Http2Client
from harness.ports import free_port
from harness.proxy import in_http
from harness.raw import RawClient
from harness.waiting import eventually
from harness.wire import WireClient, switch

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nConnection: close\r\n\r\n"
METHODS = {
    "round robin": "",
    "least_conn": "least_conn;",
    "ip_hash": "ip_hash;",
    "hash": "hash $arg_k;",
    "consistent": "hash $arg_k consistent;",
    "random": "random;",
    "random two": "random two;",
    "sticky": "sticky route $arg_k;",
}
FRONT = """
    log_format up '$uri $status [$upstream_addr]';
    access_log access.log up;
    upstream app {{
        {method} {zone}
        server 127.0.0.1:{{port:a}} fail_timeout=1h {a};
        server 127.0.0.1:{{port:b}} fail_timeout=1h {b};
    }}
    server {{
        listen 127.0.0.1:{{port:front}}; http2 on; http2_extended_connect on;
        location / {{ proxy_pass http://app; proxy_connect_timeout 2s; }}
        location /ws {{ proxy_pass http://app; websocket auto; }}
    }}
"""


def configured(method: str = "", zone: str = "", a: str = "", b: str = "", workers: int = 1) -> str:
    made = in_http(FRONT.format(method=METHODS.get(method, ""), zone=zone, a=a, b=b))
    return f"worker_processes {workers};\n{made}" if workers > 1 else made


def serving(port: int, name: bytes) -> RawBackend:
    return RawBackend([read_head, OK + name], port=port)


@pytest.fixture
def ports() -> dict[str, int]:
    return {"a": free_port(), "b": free_port()}


@pytest.mark.parametrize("zone", ["", "zone app 64k;"])
@pytest.mark.parametrize("method", METHODS)
def test_a_server_that_is_back(proxy, ports, method: str, zone: str) -> None:
    """Both have failed, for an hour; one is there again, and the first request finds it."""
    front = proxy(configured(method, zone), ports=ports)
    assert front.get("/?k=1").status == 502
    with serving(ports["b"], b"B"):
        for number in range(4):
            answer = front.get(f"/?k={number}")
            assert (answer.status, answer.text) == (200, "B")
    lines = eventually(lambda: len(found := front.access_log().splitlines()) == 5 and found)
    a, b = (f"127.0.0.1:{ports[name]}" for name in "ab")
    assert lines[0] in (f"/ 502 [{a}, {b}]", f"/ 502 [{b}, {a}]"), "each once"
    assert lines[2:] == [f"/ 200 [{b}]"] * 3, "it is forgiven, and nobody asks the other any more"


@pytest.mark.parametrize("word", ["drain", "down"])
@pytest.mark.parametrize("workers", [1, 2])
def test_a_rolling_restart(proxy, ports, word: str, workers: int) -> None:
    """A is restarted, and has failed meanwhile; then B is put aside by a reload."""
    zone = "zone app 64k;" if workers > 1 else ""
    front = proxy(configured(zone=zone, workers=workers), ports=ports)
    with serving(ports["b"], b"B"):
        assert {front.get("/").text for _ in range(6)} == {"B"}
        with serving(ports["a"], b"A"):
            front.reload(configured(zone=zone, b=word, workers=workers))
            assert [front.get("/").text for _ in range(8)] == ["A"] * 8
            with Http2Client(front.port("front")) as client:
                assert [client.get("/").text for _ in range(3)] == ["A"] * 3


def test_a_failure_that_comes_after_the_reload(proxy, ports) -> None:
    """B is being drained, and A fails for a moment: the only one left is tried."""
    front = proxy(configured(b="drain"), ports=ports)
    with serving(ports["b"], b"B"):
        assert front.get("/").text == "B", "where nothing else is left, one that is drained"
        with serving(ports["a"], b"A"):
            assert [front.get("/").text for _ in range(3)] == ["A"] * 3


def test_websockets_find_it_too(proxy, ports) -> None:
    front = proxy(configured(), ports=ports)
    assert front.get("/").status == 502
    with RawBackend([switch, lambda talk: talk.fill()], port=ports["a"]):
        with WireClient(front.port("front"), "/ws"):
            pass
        with Http2Client(front.port("front")) as client:
            assert client.head(client.websocket("/ws")).status == 200


def test_backups_and_those_that_are_down(proxy, ports) -> None:
    front = proxy(configured(b="backup"), ports=ports)
    assert front.get("/").status == 502
    with serving(ports["b"], b"B"):
        assert front.get("/").text == "B"
    front.reload(configured(a="down", b="down"))
    with serving(ports["a"], b"A"), serving(ports["b"], b"B"):
        assert front.get("/").status == 502
    front.logged("no live upstreams", name="error.log")


def test_what_a_server_did_not_survive_is_not_passed_around(proxy, ports) -> None:
    """B hangs up on this request; A is out of use and stays so, for the request may be the cause. As in nginx."""
    front = proxy(configured(), ports=ports)
    with serving(ports["b"], b"B"):
        assert [front.get("/").status for _ in range(3)] == [200] * 3
    with serving(ports["a"], b"A") as a, RawBackend([read_head], port=ports["b"]):
        assert front.get("/").status == 502
        assert a.conversations == []
    front.logged(rf"(?m)^/ 502 \[127.0.0.1:{ports['b']}, app\]$")


def test_a_request_ends(proxy, ports) -> None:
    """However many servers are dead, and however many requests there are: each tries each once."""
    front = proxy(configured(), ports=ports)
    for _ in range(3):
        with RawClient(front.port("front")) as client:
            client.send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\n\r\nx")
            assert client.response().status == 502
    lines = eventually(lambda: len(found := front.access_log().splitlines()) == 3 and found)
    assert all(line.count("127.0.0.1:") == 2 for line in lines)

"""What the WebSockets of one user may use together: tunnels, messages, bytes."""

from __future__ import annotations

import os
import re
import signal

import pytest

from harness.crowd_frames import close_code
from harness.proxy import in_http
from harness.waiting import eventually
from harness.wire import CLOSE, TEXT, WireClient, masked

SITE = """
    log_format quota '$request_uri $websocket_quota_status $websocket_close_code $websocket_end_reason';
    access_log access.log quota;
    websocket_quota_zone $arg_user zone=users:1m;
    server {
        listen 127.0.0.1:{port:front};
        websocket auto;
        websocket_close_timeout 500ms;
        location / {
            websocket_quota users tunnels=2 messages=20/d bytes=1m/d;
            proxy_pass http://127.0.0.1:{port:app};
        }
        location /both {
            websocket_quota users messages=20/d from=both code=4008;
            proxy_pass http://127.0.0.1:{port:app};
        }
        location /metrics { metrics; }
    }
"""


@pytest.fixture
def front(proxy, ws_backend):
    return proxy("worker_processes 2;" + in_http(SITE), ports={"app": ws_backend.port})


def said(client: WireClient, *texts: bytes) -> None:
    """Say it, and hear it again."""
    for text in texts:
        client.send(masked(text, TEXT))
        assert client.frame() == (TEXT, text)


def closed(client: WireClient) -> tuple[int, bytes]:
    """The code and the words that the client is told, once it is."""
    while True:
        opcode, payload = client.frame()
        if opcode == CLOSE:
            return close_code(payload), payload[2:]


def test_messages_of_all_tunnels_count_together(front) -> None:
    one, two, other = (WireClient(front.port(), f"/?user={name}", 40.0) for name in "aab")
    said(one, *[b"x"] * 10)
    said(two, *[b"x"] * 10)
    said(other, *[b"x"] * 10)
    # 20 are allowed, and were had. The next one is one too many.
    one.send(masked(b"y", TEXT))
    assert closed(one) == closed(two) == (1008, b"quota of messages used up")
    # A new one is closed as soon as it is open, whichever worker gets it.
    for _ in range(4):
        late = WireClient(front.port(), "/?user=a")
        assert closed(late) == (1008, b"quota of messages used up")
    said(other, b"goes on")
    one.close()
    front.logged(r"/\?user=a PASSED 1008 quota")
    front.logged(r"/\?user=a REJECTED")
    assert 'the messages of zone "users" are used up, closing the tunnel' in front.error_log()

    def counted() -> bool:
        page = front.get("/metrics").text
        ends = re.search(r'penstock_tunnel_ends_total{reason="quota"} ([1-9])', page)
        return ends is not None and "penstock_handshakes_over_quota_total 4.0" in page

    eventually(counted, why="every worker has told its figures")


def test_bytes(front) -> None:
    client = WireClient(front.port(), "/?user=a")
    for _ in range(20):
        client.send(masked(b"x" * 60000, TEXT))
    assert b"quota of bytes used up" in client.recv_all()


def test_tunnels(front) -> None:
    one, two = (WireClient(front.port(), "/?user=a") for _ in range(2))
    assert closed(WireClient(front.port(), "/?user=a")) == (1008, b"quota of tunnels used up")
    said(WireClient(front.port(), "/?user=b"), b"x")
    said(WireClient(front.port(), "/"), b"without a user there is no quota")
    two.close()

    def again():
        client = WireClient(front.port(), "/?user=a")
        client.send(masked(b"x", TEXT))
        return client if client.frame()[0] == TEXT else None

    eventually(again)
    said(one, b"x")


def test_what_backends_say_counts_where_it_is_asked_for(front) -> None:
    client = WireClient(front.port(), "/both?user=a")
    said(client, *[b"x"] * 10)
    client.send(masked(b"y", TEXT))
    assert closed(client) == (4008, b"quota of messages used up")


def test_a_reload_forgets_nothing(front) -> None:
    kept = WireClient(front.port(), "/?user=a")
    said(kept, *[b"x"] * 15)
    front.reload()
    fresh = WireClient(front.port(), "/?user=a")
    said(fresh, *[b"x"] * 5)
    fresh.send(masked(b"y", TEXT))
    assert closed(fresh) == (1008, b"quota of messages used up")


def test_a_worker_that_dies_takes_no_count_with_it(front) -> None:
    client = WireClient(front.port(), "/?user=a")
    said(client, *[b"x"] * 20)
    client.send(masked(b"y", TEXT))
    assert closed(client)[0] == 1008
    front.expect = ("exited on signal 9",)
    for pid in front.children():
        os.kill(pid, signal.SIGKILL)
    eventually(lambda: closed(WireClient(front.port(), "/?user=a"))[0] == 1008)

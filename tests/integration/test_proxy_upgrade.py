"""101: a connection becomes a tunnel, and its backend stays accounted for until it ends."""

import pytest

from harness.backends import hold, pause, read, read_head, read_until_end
from harness.ports import free_port
from harness.proxy import in_http
from harness.waiting import eventually

SWITCH = b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nX-A: b\r\n\r\n"
ASK = b"GET %b HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n"
CONFIGURATION = in_http(
    """
    log_format up "$status [$upstream_addr] [$upstream_status] $bytes_sent $body_bytes_sent "
                  "$upstream_bytes_sent $upstream_bytes_received $upstream_response_length $sent_http_connection";
    access_log access.log up;
    upstream group { server 127.0.0.1:{port:dead}; server 127.0.0.1:{port:back} max_conns=1; }
    proxy_set_header Upgrade $http_upgrade;
    proxy_set_header Connection "upgrade";
    server {
        listen 127.0.0.1:{port:front};
        location / { proxy_pass http://group; }
        location /lost {
            proxy_pass http://127.0.0.1:{port:back};
            proxy_set_header Connection "";
        }
        location /idle { proxy_pass http://127.0.0.1:{port:back}; proxy_read_timeout 300ms; }
    }
    """
)


def start(proxy, backend):
    return proxy(CONFIGURATION, ports={"back": backend.port, "dead": free_port()})


def test_tunnel(proxy, raw_backend) -> None:
    backend = raw_backend([read_head, SWITCH + b"early", read_until_end, b"late"])
    front = start(proxy, backend)
    with front.client() as client:
        client.send(ASK % b"/" + b"pipelined")
        got = client.response()
        assert (got.status, got.header("Upgrade"), got.header("X-A")) == (101, "websocket", "b")
        assert got.header("Connection") == "upgrade"
        assert client.recv_exactly(5) == b"early"
        eventually(lambda: backend.conversations[0].received.endswith(b"\r\n\r\npipelined"))
        assert front.get("/").status == 502, "the tunnel holds its slot"
        client.send(b"more").half_close()
        assert client.recv_all() == b"late"
    head, _, said = backend.conversations[0].received.partition(b"\r\n\r\n")
    assert said == b"pipelinedmore"
    line = front.logged(
        rf"101 \[127.0.0.1:{front.ports['dead']}, 127.0.0.1:{backend.port}\] \[502, 101\] (\d+) 9 "
        rf"0, {len(head) + 4 + len(said)} 0, {len(SWITCH) + 9} 0, \d+ upgrade"
    )
    assert int(line[1]) > 9


def test_nobody_asked(proxy, raw_backend) -> None:
    front = start(proxy, raw_backend([read_head, SWITCH, hold]))
    assert front.get("/idle").status == 502
    front.logged("upstream sent 101 Switching Protocols, but the client did not ask for an upgrade", name="error.log")


def test_refused(proxy, raw_backend) -> None:
    front = start(proxy, raw_backend([read_head, b"HTTP/1.1 403 No\r\nContent-Length: 2\r\n\r\nno", hold]))
    with front.client() as client:
        got = client.send(ASK % b"/").response()
        assert (got.status, got.body) == (403, b"no")


def test_idle_tunnel_ends(proxy, raw_backend) -> None:
    front = start(proxy, raw_backend([read_head, SWITCH, read(1000), hold]))
    with front.client() as client:
        assert client.send(ASK % b"/idle").response().status == 101
        assert client.closed()
    front.logged(r"^101 ")


def test_a_handshake_that_loses_its_upgrade_is_named_once(proxy, raw_backend) -> None:
    front = start(proxy, raw_backend([read_head, b"HTTP/1.1 426 No\r\nContent-Length: 2\r\n\r\nno", hold]))
    for _ in range(2):
        with front.client() as client:
            assert client.send(ASK % b"/lost").response().status == 426
    line = front.logged(r"a WebSocket handshake is passed on without its Upgrade header.*", name="error.log")[0]
    assert "nginx.conf:" in line and "proxy_set_header Upgrade $http_upgrade;" in line
    assert front.error_log().count("without its Upgrade header") == 1


UNSENT = in_http(
    """
    proxy_set_header Upgrade $http_upgrade;
    proxy_set_header Connection "upgrade";
    client_body_buffer_size 8k;
    client_max_body_size 20m;
    server {
        listen 127.0.0.1:{port:front};
        location / { proxy_request_buffering off; proxy_pass http://127.0.0.1:{port:back}; }
        location /whole { proxy_pass http://127.0.0.1:{port:back}; }
        location /alive { return 200; }
    }
    """
)
POST = b"POST %b HTTP/1.1\r\nHost: a\r\nUpgrade: own\r\nConnection: Upgrade\r\n"


@pytest.mark.parametrize(
    "body",
    [
        b"Content-Length: 10\r\n\r\n",
        b"Content-Length: 10\r\n\r\n12345",
        b"Content-Length: 9000000\r\n\r\n" + bytes(2_000_000),
        b"Transfer-Encoding: chunked\r\n\r\n",
        b"Transfer-Encoding: chunked\r\n\r\n5\r\n12345\r\n",
        b"Expect: 100-continue\r\nContent-Length: 10\r\n\r\n",
    ],
)
def test_a_backend_that_switches_before_it_was_sent_the_request(proxy, raw_backend, body) -> None:
    """What is left of the body must not become bytes of the other protocol."""
    front = proxy(UNSENT, ports={"back": raw_backend([read_head, SWITCH, hold]).port})
    with front.client() as client:
        client.send(POST % b"/" + body)
        got = client.response()
        if got.status == 100:
            got = client.response()
        assert got.status == 502
    front.logged("upstream sent 101 Switching Protocols before the request was sent", name="error.log")
    assert front.get("/alive").status == 200
    assert "internal error" not in front.error_log()


@pytest.mark.parametrize("path", [b"/", b"/whole"])
@pytest.mark.parametrize(
    "body", [b"Content-Length: 5\r\n\r\n12345", b"Transfer-Encoding: chunked\r\n\r\n5\r\n12345\r\n0\r\n\r\n"]
)
def test_a_backend_that_switches_after_the_body(proxy, raw_backend, path, body) -> None:
    back = raw_backend([read_head, read(5), pause(0.1), SWITCH, read_until_end])
    front = proxy(UNSENT, ports={"back": back.port})
    with front.client() as client:
        assert client.send(POST % path + body).response().status == 101
        client.send(b"own")
        eventually(lambda: back.conversations[0].received.endswith(b"own"))

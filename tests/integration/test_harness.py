"""The harness itself, against nginx: what it says about a proxy must be true before anything rests on it."""

import os
import signal
import socket

import pytest
from h2.config import H2Configuration
from h2.connection import H2Connection
from websockets.sync.client import connect

from harness.backends import HttpEcho, half_close, hold, pause, read_head
from harness.backends.http2 import Asked, Http2Backend
from harness.raw import raw_http, split_responses
from harness.waiting import eventually

PLAIN = """
    http {
        server {
            listen 127.0.0.1:{port:front};
            location / { proxy_pass http://127.0.0.1:{port:api}; }
            location /ws {
                proxy_pass http://127.0.0.1:{port:api};
                proxy_http_version 1.1;
                proxy_set_header Upgrade $http_upgrade;
                proxy_set_header Connection "upgrade";
            }
            location /page { root {dir}/www; }
        }
    }
    """


def test_echo_tells_what_arrived(nginx, http_backend) -> None:
    front = nginx(PLAIN, ports={"api": http_backend.port})
    answer = front.get("/a?b", {"X-One": "1"}, method="POST", body=b"hello")
    assert answer.status == 200
    assert '"line": "POST /a?b HTTP/1.' in answer.text
    assert http_backend.requests[0].header("x-one") == "1"
    assert http_backend.requests[0].body == b"hello"
    assert front.logged(r'"POST /a\?b HTTP/1.1" 200')


def test_files_and_reload(nginx, http_backend) -> None:
    front = nginx(PLAIN, ports={"api": http_backend.port}, files={"www/page": "of {port:front}"})
    assert front.get("/page").text == f"of {front.port()}"
    with HttpEcho("second") as second:
        front.ports["api"] = second.port
        front.reload(PLAIN)
        eventually(lambda: '"second"' in front.get("/").text)


@pytest.mark.filterwarnings("error::pytest.PytestUnhandledThreadExceptionWarning")
@pytest.mark.parametrize("amid", [b"", b"5", b"5\r\n", b"5\r\nhel", b"5\r\nhello\r\n", b"0\r\n"])
def test_a_client_that_goes_amid_a_body_in_chunks(amid: bytes) -> None:
    """Is one that goes, and has asked nothing."""
    with HttpEcho() as backend:
        with socket.create_connection(("127.0.0.1", backend.port)) as client:
            client.sendall(b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n" + amid)
            client.shutdown(socket.SHUT_WR)
            assert client.recv(100) == b""
        assert backend.requests == []


def test_websocket_echo(nginx, ws_backend) -> None:
    front = nginx(PLAIN, ports={"api": ws_backend.port})
    with connect(front.url("/ws/1", "ws")) as client:
        client.send("hello")
        assert client.recv() == "hello"
    assert ws_backend.handshakes[0][0] == "/ws/1"


@pytest.mark.parametrize("implementation", ["websockets-sansio", "wsproto"])
def test_asgi(nginx, implementation) -> None:
    from harness.backends import AsgiBackend

    with AsgiBackend(implementation=implementation) as backend:
        front = nginx(PLAIN, ports={"api": backend.port})
        assert '"path": "/x"' in front.get("/x").text
        with connect(front.url("/ws", "ws")) as client:
            client.send(b"\0\1")
            assert client.recv() == b"\0\1"


def test_scripts(nginx, raw_backend) -> None:
    backend = raw_backend([read_head, b"HTTP/1.1 200 OK\r\n", pause(0.05), b"\r\nbody", half_close, hold])
    front = nginx(PLAIN, ports={"api": backend.port})
    received = raw_http(front.port(), "GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
    (answer,) = split_responses(received)
    assert answer.body == b"body"
    assert backend.conversations[0].received.startswith(b"GET / HTTP/1.")


@pytest.mark.parametrize("fresh", [False, True])
def test_servers_are_slow_where_that_is_asked_for(proxy, monkeypatch, fresh: bool) -> None:
    monkeypatch.setattr("harness.slow.SLOW", 7)
    front = proxy("http { server { listen 127.0.0.1:{port:front}; return 200; } }", fresh=fresh)
    assert front.get().status == 200
    assert os.getpriority(os.PRIO_PROCESS, front.pid) == 7 != os.getpriority(os.PRIO_PROCESS, 0)


def test_a_wrong_configuration_is_refused(nginx) -> None:
    refusal = nginx.refuses("http {\n    prox_pass x;\n}\n")
    assert refusal.code == 1
    assert "nginx.conf:2" in refusal.output
    assert nginx.check("http { }").code == 0


def test_graceful_end(nginx, http_backend) -> None:
    front = nginx(PLAIN, ports={"api": http_backend.port})
    front.stop(signal.SIGQUIT)


def test_tls(nginx, authority, http_backend) -> None:
    pair = authority.issue("localhost", "127.0.0.1")
    front = nginx(
        """
        http { server {
            listen 127.0.0.1:{port:front} ssl;
            ssl_certificate {value:crt}; ssl_certificate_key {value:key};
            location / { return 200 secret; }
        } }
        """,
        values={"crt": pair.certificate, "key": pair.key},
    )
    from harness.raw import RawClient

    with RawClient(front.port(), tls=authority.client_context()) as client:
        client.send("GET / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
        assert client.response().text == "secret"


def test_an_expression_that_raises_has_no_value_yet(browser) -> None:
    page = browser.open("data:text/html,<body>nothing yet")
    page.script("setTimeout(() => document.body.innerHTML = '<b>there</b>', 300)")
    assert page.wait_until("document.querySelector('b').innerText") == "there"
    with pytest.raises(AssertionError, match="and raised: javascript error"):
        page.wait_until("document.querySelector('i').innerText", 0.2)


@pytest.mark.parametrize("goodbye", ["goaway", "reset"])
def test_an_http2_backend_that_answers_nobody_any_more(goodbye: str) -> None:
    """Its thread ends like any other: what is said to a peer that has gone is said to nobody."""
    answered: list[Asked] = []

    def answer(asked: Asked) -> None:
        asked.answer(b"late")
        answered.append(asked)

    peer = H2Connection(H2Configuration())
    peer.initiate_connection()
    fields = [(":method", "GET"), (":scheme", "http"), (":path", "/"), (":authority", "localhost")]
    peer.send_headers(1, fields, end_stream=True)
    if goodbye == "goaway":
        peer.close_connection()
    else:
        peer.reset_stream(1)
    with Http2Backend(answer) as backend, socket.create_connection(("127.0.0.1", backend.port)) as client:
        client.sendall(peer.data_to_send())
        eventually(lambda: answered)
        client.shutdown(socket.SHUT_WR)
        eventually(lambda: backend.ended)

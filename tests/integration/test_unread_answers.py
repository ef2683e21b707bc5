"""A client that asks again and again, and reads no answer."""

import socket
import time

from harness.proxy import in_http

PART = "x" * 3800
BODY = PART * 4
ASKED = 3000
"""Forty-five megabytes of answers: more than any kernel keeps for a client."""

CONFIGURATION = in_http(
    """
    server {
        listen 127.0.0.1:{port:front};
        keepalive_requests 100000;
        location / { set $part "{value:part}"; return 200 "$part$part$part$part"; }
    }
    """
)


def test_is_not_answered_for_ever(proxy) -> None:
    """Each request comes alone, as if its sender had read the answer before. What nobody reads must not heap up."""
    front = proxy(CONFIGURATION, values={"part": PART})
    with socket.socket() as client:
        client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        client.connect(("127.0.0.1", front.port()))
        for _ in range(ASKED):
            client.sendall(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
            time.sleep(0.0005)
        time.sleep(0.5)
        answered = front.access_log().count("GET / ")
        assert 1 <= answered < ASKED / 2
        # Whoever reads after all gets what was asked for, whole and in order.
        client.settimeout(5)
        got = bytearray()
        while len(got) < (answered + 10) * (len(BODY) + 500):
            got += client.recv(1 << 20)
    answers = bytes(got).split(b"HTTP/1.1 200 OK\r\n")[1:-1]
    assert len(answers) > answered
    assert {answer.partition(b"\r\n\r\n")[2] for answer in answers} == {BODY.encode()}

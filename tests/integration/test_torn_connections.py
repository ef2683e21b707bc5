"""`Connection: upgrade` without an Upgrade: the connection is not kept, unless `keepalive` is written down."""

import pytest

from harness.backends import read_head
from harness.http2 import Http2Client
from harness.proxy import in_http
from harness.waiting import eventually

ANSWER = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
CASES = {
    "a literal": ("proxy_set_header Connection upgrade;", "", 2),
    "with Upgrade passed": ("proxy_set_header Upgrade $http_upgrade; proxy_set_header Connection 'Upgrade';", "", 2),
    "in a list": ("proxy_set_header connection 'keep-alive, Upgrade';", "", 2),
    "a variable": ("set $how upgrade; proxy_set_header Connection $how;", "", 2),
    "a map that says it": ("proxy_set_header Connection $always;", "", 2),
    "a map that does not": ("proxy_set_header Connection $connection_upgrade;", "", 1),
    "another word": ("proxy_set_header Connection 'upgrades';", "", 1),
    "nothing": ("", "", 1),
    "websocket auto": ("websocket auto; proxy_set_header Connection upgrade;", "", 1),
    "an Upgrade beside it": ("proxy_set_header Upgrade h2c; proxy_set_header Connection upgrade;", "", 1),
    "keepalive": ("proxy_set_header Connection upgrade;", "keepalive 4;", 1),
}
MAPS = (
    "map $http_upgrade $connection_upgrade { default upgrade; '' ''; }\n"
    "map $http_upgrade $always { default upgrade; '' upgrade; }\n"
)


def serve(talk) -> None:
    """Answer every request, whatever it says of the connection."""
    while True:
        before = len(talk.received)
        while not talk.received[before:].endswith(b"\r\n\r\n"):
            if not talk.fill():
                return
        talk.socket.sendall(ANSWER)


@pytest.mark.parametrize("case", CASES)
def test_what_is_kept(proxy, raw_backend, case: str) -> None:
    directives, keepalive, count = CASES[case]
    text = (
        f"{MAPS} upstream app {{ server 127.0.0.1:{{port:back}}; {keepalive} }}\n"
        f"server {{ listen 127.0.0.1:{{port:front}}; http2 on; location / {{ {directives} proxy_pass http://app; }} }}"
    )
    backend = raw_backend([serve])
    front = proxy(in_http(text), ports={"back": backend.port})
    assert [front.get("/").status for _ in range(2)] == [200, 200]
    assert len(backend.conversations) == count
    if count == 2:
        assert eventually(lambda: all(talk.ended.is_set() for talk in backend.conversations))
    with Http2Client(front.port("front")) as client:
        assert [client.get("/").status for _ in range(2)] == [200, 200]
    assert len(backend.conversations) == (4 if count == 2 else 1)


def test_a_backend_that_has_done_with_http(proxy, raw_backend) -> None:
    """It answers the first request as asked, and takes what follows for something else: nobody notices."""
    backend = raw_backend([read_head, ANSWER, lambda talk: talk.fill(), b"garbage"])
    text = (
        "upstream app { server 127.0.0.1:{port:back}; }\nserver { listen 127.0.0.1:{port:front}; "
        "location / { proxy_set_header Connection upgrade; proxy_pass http://app; } }"
    )
    front = proxy(in_http(text), ports={"back": backend.port})
    assert [front.get("/").text for _ in range(4)] == ["ok"] * 4

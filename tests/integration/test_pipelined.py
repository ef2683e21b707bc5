"""Requests that come before the one in front of them has been answered."""

from harness.proxy import in_http
from harness.raw import RawClient

CONF = """
    log_format pipe '$uri $pipe';
    access_log logs/pipe.log pipe;
    server { listen 127.0.0.1:{port:front}; location / { return 200 ok; } }
"""


def test_the_first_follows_nobody(proxy) -> None:
    """It may be there together with its connection."""
    front = proxy(in_http(CONF))
    for turn in range(3):
        with RawClient(front.port()) as client:
            first = f"GET /{turn} HTTP/1.1\r\nHost: a\r\n\r\n"
            client.send(f"{first}GET /next HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
            assert client.recv_all().count(b"200 OK") == 2
    front.logged("/2 .*\n/next p\n", name="logs/pipe.log")
    assert (front.directory / "logs/pipe.log").read_text().split() == [
        word for turn in range(3) for word in (f"/{turn}", ".", "/next", "p")
    ]

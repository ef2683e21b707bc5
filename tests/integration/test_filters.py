"""What is done to bodies on their way, held against a process."""

import gzip
import zlib

from harness.backends import hold, read_head
from harness.proxy import in_http

CONFIGURATION = in_http(
    """
    log_format ratio "$gzip_ratio";
    gzip_types text/event-stream;
    server {
        listen 127.0.0.1:{port:front};
        location /gzip/ { gzip on; access_log ratio.log ratio; alias {dir}/files/; }
        location /files/ { root {dir}; charset utf-8; source_charset koi8-r; }
        location /around/ { add_before_body /part; add_after_body /part; alias {dir}/files/; }
        location /part { return 200 "[part]"; }
        location /events { gzip on; proxy_buffering off; proxy_pass http://127.0.0.1:{port:back}; }
        location /sub/ { sub_filter abc X; sub_filter_once off; alias {dir}/files/; }
    }
    """
)
BIG = b"abcdefgh" * 50_000


def start(proxy, backend):
    files = {"files/big.html": BIG, "files/cyrillic.html": b"\xc1\xc2" * 40_000}
    return proxy(CONFIGURATION, ports={"back": backend.port}, files=files)


def test_a_large_file_passes_whole(proxy, raw_backend) -> None:
    front = start(proxy, raw_backend([]))
    got = front.get("/gzip/big.html", {"Accept-Encoding": "gzip"})
    assert (got.header("Content-Encoding"), got.header("Content-Length")) == ("gzip", None)
    assert gzip.decompress(got.body) == BIG
    ratio = front.logged(r"^(\d+)\.\d\d$", name="ratio.log")
    assert int(ratio[1]) > 20
    assert front.get("/gzip/big.html").body == BIG
    assert front.get("/sub/big.html").body == BIG.replace(b"abc", b"X")
    assert front.get("/files/cyrillic.html").body == "\u0430\u0431".encode() * 40_000
    assert front.get("/around/big.html").body == b"[part]" + BIG + b"[part]"
    part = front.get("/files/cyrillic.html", {"Range": "bytes=0-1"})
    assert part.status == 200, "its length is not known"


def test_events_are_not_held_back(proxy, raw_backend) -> None:
    head = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nConnection: close\r\n\r\n"
    backend = raw_backend([read_head, head + b"data: one\n\n", hold])
    front = start(proxy, backend)
    with front.client() as client:
        client.send("GET /events HTTP/1.1\r\nHost: a\r\nAccept-Encoding: gzip\r\n\r\n")
        client.recv_until(b"\r\n\r\n")
        size = int(client.recv_until(b"\r\n"), 16)
        first = client.recv_exactly(size)
        unpack = zlib.decompressobj(31)
        assert unpack.decompress(first) == b"data: one\n\n"

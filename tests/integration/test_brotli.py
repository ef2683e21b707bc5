"""Brotli: who gets it, and who gets gzip."""

from __future__ import annotations

from threading import Event
from typing import Any

import brotli
import pytest

from harness.backends.scripted import RawBackend, read_head, until
from harness.proxy import in_http

TEXT = "penstock " * 3000


@pytest.fixture
def front(proxy: Any, tmp_path: Any) -> Any:
    (tmp_path / "page.txt").write_text(TEXT)
    (tmp_path / "page.txt.br").write_bytes(brotli.compress(b"packed before"))
    (tmp_path / "small.txt").write_text("small")
    return proxy(
        in_http(
            """
            types { text/plain txt; text/css css; }
            brotli on;
            brotli_types text/plain;
            gzip on;
            gzip_types text/plain text/css;
            gzip_vary on;
            log_format ratio "$brotli_ratio $gzip_ratio";
            server {
                listen 127.0.0.1:{port:front};
                root ROOT;
                location / { access_log ratio.log ratio; }
                location /static/ { alias ROOT/; brotli_static on; }
                location /always/ { alias ROOT/; brotli_static always; }
                location /hard/ { alias ROOT/; brotli_comp_level 11; brotli_window 1k; brotli_min_length 10; }
                location /css { default_type text/css; return 200 "TEXT"; }
            }
            """.replace("ROOT", str(tmp_path)).replace("TEXT", TEXT[:3000])
        )
    )


def got(front: Any, path: str, accepts: str | None = None, method: str = "GET") -> Any:
    return front.get(path, method=method, headers={} if accepts is None else {"Accept-Encoding": accepts})


@pytest.mark.parametrize(
    ("accepts", "coding"),
    [
        ("br", "br"),
        ("gzip, deflate, br", "br"),
        ("gzip;q=1, br;q=0.1", "br"),
        ("BR", "br"),
        ("br;q=0, gzip", "gzip"),
        ("gzip, brx", "gzip"),
        ("gzip", "gzip"),
        ("xbr", None),
        (None, None),
    ],
)
def test_who_gets_it(front: Any, accepts: str | None, coding: str | None) -> None:
    answer = got(front, "/page.txt", accepts)
    assert answer.header("content-encoding") == coding
    assert answer.header("vary") == "Accept-Encoding"
    if coding == "br":
        assert brotli.decompress(answer.body) == TEXT.encode()
        assert len(answer.body) < 100
        assert answer.header("etag").startswith("W/")


def test_what_is_not_worth_it(front: Any) -> None:
    assert got(front, "/small.txt", "br").header("content-encoding") is None
    assert got(front, "/css", "br, gzip").header("content-encoding") == "gzip", "another type"
    head = got(front, "/page.txt", "br", "HEAD")
    assert (head.header("content-encoding"), head.body) == ("br", b"")
    hard = got(front, "/hard/page.txt", "br")
    assert brotli.decompress(hard.body) == TEXT.encode()


def test_files_that_are_packed(front: Any) -> None:
    packed = got(front, "/static/page.txt", "br")
    assert (packed.header("content-encoding"), brotli.decompress(packed.body)) == ("br", b"packed before")
    assert got(front, "/static/page.txt").text == TEXT
    assert got(front, "/always/page.txt").header("content-encoding") == "br"
    assert got(front, "/static/small.txt", "br").text == "small"


def test_the_ratio_is_logged(front: Any) -> None:
    got(front, "/page.txt", "br")
    front.logged(r"^\d{2,}\.\d\d -$", name="ratio.log")


def test_a_stream_is_not_held_back(proxy: Any) -> None:
    """Each piece of a stream goes out before the next one comes."""
    more = Event()

    head = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\n"
    with RawBackend([read_head, head, b"data: one\n\n", until(more), b"data: two\n\n"]) as backend:
        front = proxy(
            in_http(
                "brotli on; brotli_types text/event-stream; server { listen 127.0.0.1:{port:front}; "
                "location / { proxy_pass http://127.0.0.1:{port:api}; proxy_buffering off; } }"
            ),
            ports={"api": backend.port},
        )
        with front.client(timeout=20) as client:
            client.send("GET / HTTP/1.1\r\nHost: a\r\nAccept-Encoding: br\r\n\r\n")
            assert b"Content-Encoding: br" in client.recv_until(b"\r\n\r\n")
            size = int(client.recv_until(b"\r\n"), 16)
            reader = brotli.Decompressor()
            assert reader.process(client.recv_exactly(size)) == b"data: one\n\n"
            more.set()

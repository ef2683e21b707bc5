"""gzip, gunzip, gzip_static: who gets what, and that nothing is lost on the way."""

import asyncio
import gzip as reference
import random

import pytest

from harness.site import Site, mistakes
from penstock.modules.filters.gunzip import Inflate
from penstock.modules.filters.gzip import Deflate
from penstock.modules.filters.transform import PIECE, Transformed
from penstock.net.errors import PeerGone
from penstock.server.finish import release

TEXT = "abcdefgh" * 20
SERVER = f"""
    server {{
        listen 80;
        gzip on;
        default_type text/html;
        location /text {{ return 200 "{TEXT}"; }}
        location /short {{ return 200 "short"; }}
        location /plain {{ default_type text/plain; return 200 "{TEXT}"; }}
        location /any {{ default_type image/png; gzip_types *; return 200 "{TEXT}"; }}
        location /vary {{ gzip_vary on; return 200 "{TEXT}"; }}
        location /teapot {{ return 418 "{TEXT}"; }}
        location /encoded {{ add_header Content-Encoding br; return 200 "{TEXT}"; }}
        location /old {{ gzip_http_version 1.0; return 200 "{TEXT}"; }}
        location /disabled {{ gzip_disable msie6 "mozilla/4"; return 200 "{TEXT}"; }}
        location /via {{ gzip_proxied no-cache auth; return 200 "{TEXT}"; add_header Cache-Control "a, no-cache"; }}
        location /expired {{ gzip_proxied expired; expires -1; return 200 "{TEXT}"; }}
        location /fresh {{ gzip_proxied expired; expires 1h; return 200 "{TEXT}"; }}
        location /static/ {{ gzip_static on; }}
        location /always/ {{ gzip_static always; gunzip on; alias ROOT/static/; }}
    }}
"""
GZIP = "Accept-Encoding: gzip"


@pytest.fixture
def site(tmp_path):
    (tmp_path / "static").mkdir()
    (tmp_path / "static" / "a.html").write_text("plain")
    (tmp_path / "static" / "a.html.gz").write_bytes(reference.compress(b"packed"))
    (tmp_path / "static" / "big.html.gz").write_bytes(reference.compress(b"x" * 10) * 2)
    return Site(SERVER.replace("ROOT", str(tmp_path)), tmp_path)


def packed(reply) -> bool:
    if reply.answer.header("content-encoding") != "gzip":
        return False
    assert reference.decompress(reply.answer.body) == TEXT.encode()
    assert reply.answer.length is None and not reply.answer.allow_ranges
    return True


@pytest.mark.parametrize(
    ("target", "headers", "wanted"),
    [
        ("/text", [GZIP], True),
        ("/text", [], False),
        ("/text", ["Accept-Encoding: gzip;q=0"], False),
        ("/text", ["Accept-Encoding: gzip; q=0.000"], False),
        ("/text", ["Accept-Encoding: gzip; q=0.001"], True),
        ("/text", ["Accept-Encoding: br, GZIP;q=1.0"], True),
        ("/text", ["Accept-Encoding: x-gzip"], False),
        ("/text", ["Accept-Encoding: gzipped"], False),
        ("/short", [GZIP], False),
        ("/plain", [GZIP], False),
        ("/any", [GZIP], True),
        ("/teapot", [GZIP], False),
        ("/encoded", [GZIP], False),
        ("/disabled", [GZIP, "User-Agent: Mozilla/4.0"], False),
        ("/disabled", [GZIP, "User-Agent: Other (MSIE 6.0)"], False),
        ("/disabled", [GZIP, "User-Agent: Mozilla/5.0"], True),
        ("/text", [GZIP, "Via: proxy"], False),
        ("/via", [GZIP, "Via: proxy"], True),
        ("/expired", [GZIP, "Via: proxy"], True),
        ("/fresh", [GZIP, "Via: proxy"], False),
    ],
)
def test_who_gets_it(site, target: str, headers: list[str], wanted: bool) -> None:
    assert packed(site.ask(target, headers=headers)) is wanted


def test_caches_are_told(site) -> None:
    assert site.ask("/vary").answer.header("vary") == "Accept-Encoding"
    assert site.ask("/text", headers=[GZIP]).answer.header("vary") is None


def test_error_pages_are_compressed_too(site) -> None:
    reply = site.ask("/nothing", headers=[GZIP])
    assert reply.status == 404
    assert b"404 Not Found" in reference.decompress(reply.answer.body)


def test_head_is_told_without_work(site) -> None:
    reply = site.ask("/text", headers=[GZIP], method="HEAD")
    assert reply.answer.header("content-encoding") == "gzip"
    assert reply.answer.length is None


def test_the_ratio_is_known_at_the_end(site) -> None:
    reply = site.ask("/text", headers=[GZIP])
    ratio = float(reply.request.variables["gzip_ratio"])
    assert ratio == pytest.approx(len(TEXT) / len(reply.answer.body), abs=0.01)


def test_files_packed_before(site) -> None:
    reply = site.ask("/static/a.html", headers=[GZIP])
    assert (reply.type, reply.answer.header("content-encoding")) == ("text/html", "gzip")
    assert reply.answer.allow_ranges, "it is a file as others are"
    assert site.ask("/static/a.html").text == "plain"


def collected(body) -> bytes:
    async def collect() -> bytes:
        return b"".join([piece async for piece in body])

    return asyncio.run(collect())


def test_what_a_client_does_not_take_is_unpacked(site) -> None:
    reply = site.ask("/always/big.html")
    assert reply.answer.header("content-encoding") is None
    assert isinstance(reply.answer.body, Transformed)
    assert reply.answer.etag.startswith('W/"')
    assert collected(reply.answer.body) == b"x" * 20


def streamed(site, data: bytes, count: int = 1000) -> bytes:
    """Through gzip in pieces, and back."""
    stage = Deflate(site.request("/text"), 6, 15, 9)
    out = b""
    for at in range(0, len(data), count):
        out += b"".join(stage.feed(data[at : at + count]))
        if at % 3 == 0:
            out += b"".join(stage.flush())
    out += b"".join(stage.finish())
    back = Inflate(site.request("/text"))
    pieces = [piece for at in range(0, len(out), count) for piece in back.feed(out[at : at + count])]
    assert all(len(piece) <= PIECE for piece in pieces)
    return b"".join(pieces) + b"".join(back.finish())


def test_nothing_is_lost(site) -> None:
    rng = random.Random(1)
    for data in (b"", b"\0" * 3_000_000, rng.randbytes(100_000)):
        assert streamed(site, data, 1 + rng.randrange(100_000)) == data


def test_a_flush_lets_out_what_came_in(site) -> None:
    stage = Deflate(site.request("/text"), 1, 15, 9)
    first = b"".join((*stage.feed(b"event: one\n\n"), *stage.flush()))
    assert b"".join(Inflate(site.request("/text")).feed(first)) == b"event: one\n\n"


@pytest.mark.parametrize("data", [b"not gzip at all", reference.compress(b"x" * 1000)[:-9]], ids=["other", "cut"])
def test_broken_gzip_ends_the_connection(site, data: bytes) -> None:
    stage = Inflate(site.request("/text"))
    with pytest.raises(PeerGone):
        list(stage.feed(data))
        list(stage.finish())


def test_files_are_closed_with_the_request(site, tmp_path) -> None:
    reply = site.ask("/always/big.html")
    (file,) = reply.request.held
    assert file.fd >= 0
    release(reply.request)
    assert file.fd == -1


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("gzip_comp_level 10;", 'invalid value "10" in "gzip_comp_level" directive'),
        ("gzip_window 3k;", 'invalid value "3k" in "gzip_window" directive'),
        ("gzip_hash 1m;", 'invalid value "1m" in "gzip_hash" directive'),
        ("gzip_types text/html;", 'duplicate MIME type "text/html"'),
        ("gzip_proxied of;", 'invalid value "of" in "gzip_proxied" directive'),
        ("gzip_static yes;", 'invalid value "yes" in "gzip_static" directive'),
    ],
)
def test_mistakes(tmp_path, text: str, message: str) -> None:
    assert message in mistakes(f"server {{ listen 80; {text} }}", tmp_path)

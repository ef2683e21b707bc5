"""Where bodies of answers end."""

import pytest

from penstock.http.errors import BadResponse
from penstock.http.response import parse_response
from penstock.upstream.exchange.framing import ChunkedFraming, CloseFraming, LengthFraming
from penstock.upstream.exchange.wire import HTTP1


def test_length() -> None:
    framing = LengthFraming(5)
    assert framing.feed(b"abc") == b"abc"
    assert not framing.done and not framing.may_end()
    assert framing.feed(b"defg") == b"de"
    assert framing.done and framing.surplus.startswith("upstream sent more data than specified")
    assert LengthFraming(0).done


def test_close() -> None:
    framing = CloseFraming()
    assert framing.feed(b"abc") == b"abc"
    assert not framing.done
    assert framing.may_end() and framing.done


@pytest.mark.parametrize("step", [1, 2, 7, 100])
def test_chunks(step: int) -> None:
    data = b"3\r\nabc\r\n4;x=y\r\ndefg\r\n0\r\nX-T: 1\r\n\r\n"
    framing = ChunkedFraming()
    body = b""
    for at in range(0, len(data), step):
        assert not framing.may_end()
        body += framing.feed(data[at : at + step])
    assert body == b"abcdefg"
    assert framing.done and framing.may_end() and framing.trailers == [("X-T", "1")]
    assert not framing.surplus


def test_after_the_last_chunk() -> None:
    framing = ChunkedFraming()
    framing.feed(b"0\r\n\r\nmore")
    assert framing.done and framing.surplus
    with pytest.raises(BadResponse):
        ChunkedFraming().feed(b"x\r\n")


@pytest.mark.parametrize(
    ("head", "method", "kind"),
    [
        ("HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\n", "GET", LengthFraming),
        ("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", "GET", ChunkedFraming),
        ("HTTP/1.1 200 OK\r\n\r\n", "GET", CloseFraming),
    ],
)
def test_by_the_head(head: str, method: str, kind: type) -> None:
    assert type(HTTP1.framing(parse_response(head.encode()), method)) is kind
    assert HTTP1.framing(parse_response(head.encode()), "HEAD").done
    for status in (b"204 No", b"304 No"):
        assert HTTP1.framing(parse_response(head.encode().replace(b"200 OK", status)), method).done


@pytest.mark.parametrize("cut", range(44))
def test_heads_come_in_pieces(cut: int) -> None:
    data = b"HTTP/1.1 200 OK\r\nA: b\r\nContent-Length: 3\r\n\r\nabc"
    assert HTTP1.read_head(data[:cut], 0) is None
    head = HTTP1.read_head(data, cut)
    assert head is not None and head.length == len(data) - 3


def test_odd_heads() -> None:
    lone = HTTP1.read_head(b"HTTP/1.0 200 OK\nA: b\n\nbody\r\n\r\nmore", 0)
    assert lone is not None and lone.length == 22 and lone.fields == {"a": "b"}
    bare = HTTP1.read_head(b"<html>no head at all", 0)
    assert bare is not None and (bare.status, bare.version, bare.length) == (200, 9, 0)
    with pytest.raises(BadResponse):
        HTTP1.read_head(b"HTTP/1.1 200 OK\r\nContent-Length: x\r\n\r\n", 0)

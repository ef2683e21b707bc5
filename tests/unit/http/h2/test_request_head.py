"""Heads of HTTP/2 as heads of HTTP/1.1: what passes can be written as one, whatever a client makes up."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from penstock.http.errors import BadRequest
from penstock.http.h2.request_head import (
    Http2Head,
    KnownHeads,
    as_handshake,
    heads_known,
    request_head,
    trailer_fields,
    whole_head,
)
from penstock.http.head import HeadOptions, RequestHead, parse_request
from penstock.shared.memo import Memo
from penstock.websocket.handshake import check_request

OPTIONS = HeadOptions()
GOOD = [(b":method", b"GET"), (b":scheme", b"https"), (b":path", b"/a?b"), (b":authority", b"Host.test:81")]


def test_a_head() -> None:
    head = request_head([*GOOD, (b"cookie", b"a=b"), (b"x-a", b" b "), (b"cookie", b"c=d")], OPTIONS, ended=True)
    assert (head.line, head.method, head.target, head.version) == ("GET /a?b HTTP/2.0", "GET", "/a?b", 20)
    assert (head.host, head.port, head.protocol) == ("host.test", 81, "HTTP/2.0")
    assert head.headers == [("x-a", "b"), ("cookie", "a=b; c=d"), ("host", "Host.test:81")]
    assert not head.chunked and head.content_length is None


NAMES = st.sampled_from((b":method", b":scheme", b":path", b":authority", b"host", b"cookie", b"te", b"x-a", b"X", b""))
VALUES = st.sampled_from((b"GET", b"/", b"/a?b", b"", b"*", b"a", b"trailers", b"/\x7f", b"/a b", b"HEAD", b"CONNECT"))


@given(st.lists(st.tuples(NAMES, VALUES), max_size=3), st.lists(VALUES, min_size=1, max_size=4), st.integers(0, 4))
def test_fields_that_come_again_are_the_same_as_at_first(
    more: list[tuple[bytes, bytes]], paths: list[bytes], at: int
) -> None:
    known: KnownHeads = Memo()
    for path in [b"/", b"/", *paths, *paths]:
        pairs = [*GOOD[:2], *GOOD[3:], *more]
        pairs.insert(at, (b":path", path))
        assert told(pairs, known) == told(pairs, Memo())


def told(pairs: list[tuple[bytes, bytes]], known: KnownHeads) -> object:
    """All that there is to a head, or why it is refused."""
    try:
        head = whole_head(pairs, OPTIONS, known, 9)
    except BadRequest as error:
        return error.status, error.reason, error.line, error.method
    names = [*RequestHead.__slots__, *Http2Head.__slots__]
    return {name: getattr(head, name) for name in names if name not in ("like", "passed")}


def test_only_what_comes_again_is_remembered_and_within_bounds() -> None:
    options = HeadOptions(max_headers=77)  # nobody else's
    known = heads_known(options, extended=False)
    assert known is heads_known(options, extended=False) is not heads_known(options, extended=True)
    long = [*GOOD, (b"x-long", b"x" * 3000)]
    heads = [whole_head(pairs, options, known, 9) for pairs in (GOOD, GOOD, GOOD, long, long, long)]
    assert [head.like is not None for head in heads] == [False, False, True, False, False, False]
    assert len(known) == 1


def test_the_length_of_a_body() -> None:
    assert request_head(GOOD, OPTIONS, ended=False).chunked
    known = request_head([*GOOD, (b"content-length", b"5")], OPTIONS, ended=False)
    assert known.content_length == 5 and not known.chunked
    with pytest.raises(BadRequest, match="prematurely"):
        request_head([*GOOD, (b"content-length", b"5")], OPTIONS, ended=True)


def test_odd_names_are_dropped_or_kept_as_configured() -> None:
    pairs = [*GOOD, (b"x_a", b"b"), (b"x!", b"c")]
    head = request_head(pairs, OPTIONS, ended=True)
    assert "x_a" not in head.fields and len(head.dropped) == 2
    kept = request_head(pairs, HeadOptions(underscores_in_headers=True, ignore_invalid_headers=False), ended=True)
    assert kept.fields["x_a"] == "b" and kept.fields["x!"] == "c"


def test_an_extended_connect_is_a_handshake() -> None:
    pairs = [(b":method", b"CONNECT"), (b":protocol", b"websocket"), *GOOD[1:], (b"sec-websocket-version", b"13")]
    with pytest.raises(BadRequest, match="nobody has offered"):
        request_head(pairs, OPTIONS, ended=False)
    head = request_head(pairs, OPTIONS, ended=False, extended=True)
    assert head.protocol_ == "websocket" and not head.chunked
    handshake = as_handshake(head, "dGhlIHNhbXBsZSBub25jZQ==")
    assert check_request(handshake) == []
    assert (handshake.method, handshake.line) == ("GET", "CONNECT /a?b HTTP/2.0")


def test_a_connect() -> None:
    head = request_head([(b":method", b"CONNECT"), (b":authority", b"host.test:22")], OPTIONS, ended=False)
    assert (head.method, head.target, head.host, head.port) == ("CONNECT", "/", "host.test", 22)


@pytest.mark.parametrize("pair", [(b"content-length", b"1"), (b":status", b"200"), (b"X", b"y"), (b"x", b"a\nb")])
def test_trailers(pair: tuple[bytes, bytes]) -> None:
    assert trailer_fields([(b"x-sum", b"1")]) == [("x-sum", "1")]
    with pytest.raises(BadRequest):
        trailer_fields([pair])


BYTES = st.binary(max_size=30)
KNOWN = (b"host", b"x-a", b"te", b"connection", b"content-length", b":path", b":method")
NAMES = st.one_of(BYTES, st.sampled_from(KNOWN))


@given(pairs=st.lists(st.tuples(NAMES, BYTES), max_size=5), path=BYTES, method=BYTES)
def test_what_passes_is_one_request_of_http_1(pairs: list[tuple[bytes, bytes]], path: bytes, method: bytes) -> None:
    """Written down as HTTP/1.1 it is the same request again: no line more, no other target."""
    fields = [(b":method", method), GOOD[1], (b":path", b"/" + path), GOOD[3], *pairs]
    try:
        head = request_head(fields, OPTIONS, ended=True)
    except BadRequest:
        return
    if head.method == "CONNECT":
        return
    lines = [f"{head.method} {head.target} HTTP/1.1", *(f"{name}: {value}" for name, value in head.headers)]
    again = parse_request(("\r\n".join(lines) + "\r\n\r\n").encode("latin-1"))
    assert (again.method, again.target, again.headers) == (head.method, head.target, head.headers)


def test_pseudo_fields_that_are_known_are_looked_at_all_the_same() -> None:
    asked = [(b":method", b"GET"), (b":scheme", b"http"), (b":path", b"/again"), (b":authority", b"a")]
    for _ in range(2):
        assert request_head(asked, HeadOptions(), ended=True).target == "/again"
    for wrong in ([*asked, asked[2]], [asked[0], (b"x-a", b"b"), *asked[1:]]):
        with pytest.raises(BadRequest):
            request_head(wrong, HeadOptions(), ended=True)

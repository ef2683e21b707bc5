"""What is remembered of heads: the same bytes mean the same, other bytes are parsed, and memory is bounded."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from penstock.http.errors import BadRequest
from penstock.http.head import HeadOptions, RequestHead, parse_new_request, parse_request
from penstock.http.reader import HeadReader
from penstock.http.seen_heads import SeenHeads
from penstock.shared.memo import LONGEST, MOST, Memo
from penstock.upstream.exchange.wire import HTTP1

LINES = b"Host: Example.com:80\r\nCookie: a=b\r\nCookie: c=d\r\nContent-Length: 3\r\nConnection: close\r\n\r\n"
MEANING = [name for name in RequestHead.__slots__ if name not in ("like", "passed", "split")]


def meaning(head: RequestHead) -> dict[str, object]:
    return {name: getattr(head, name) for name in MEANING}


@given(st.lists(st.sampled_from([
    b"GET / HTTP/1.1\r\n",
    b"POST /a%20b?c HTTP/1.1\r\n",
    b"GET / HTTP/1.0\r\n",
    b"GET http://other.example/x HTTP/1.1\r\n",
    b"OPTIONS * HTTP/1.1\r\n",
]), max_size=8))
def test_lines_that_came_before_mean_what_they_meant(firsts: list[bytes]) -> None:
    reader = HeadReader()
    for first in firsts:
        try:
            alone: object = meaning(parse_request(first + LINES))
        except BadRequest as error:
            alone = str(error)
        try:
            found: object = meaning(reader.feed(first + LINES))
        except BadRequest as error:
            reader, found = HeadReader(), str(error)
        assert found == alone


WORDS = st.sampled_from(
    ["GET", "HEAD", "CONNECT", "get", "/", "/a?b", "/\xe9", "/\x85", "*", "//", "/\x7f", "HTTP/1.1", "HTTP/1.0", ""]
)


@given(st.lists(WORDS, max_size=4).map(" ".join), st.sampled_from([b"\r\n", b"\n", b" \r\n", b""]))
def test_what_is_made_without_the_expression_is_what_it_makes(line: str, end: bytes) -> None:
    seen = SeenHeads()
    for _ in range(2):
        parse_request(b"GET / HTTP/1.1\r\n" + LINES, HeadOptions(), seen)
    assert LINES in seen.fields
    found = seen.find(line.encode("latin-1") + end + LINES)
    if found is not None:
        assert meaning(found) == meaning(parse_new_request(line.encode("latin-1") + end + LINES, HeadOptions(), None))
    else:
        assert line not in ("GET / HTTP/1.1", "GET /a?b HTTP/1.1", "HEAD /a?b HTTP/1.1") or end != b"\r\n"


def test_they_are_parsed_once() -> None:
    reader = HeadReader()
    heads = [reader.feed(b"GET /%d HTTP/1.1\r\n" % number + LINES) for number in range(4)]
    assert [head.target for head in heads] == ["/0", "/1", "/2", "/3"]
    assert heads[3].headers is heads[2].headers


@pytest.mark.parametrize(
    "line",
    [b"GET /\x01 HTTP/1.1\r\n", b"GET  / HTTP/1.1\r\n", b"get / HTTP/1.1\r\n", b"GET / HTTP/2.5\r\n", b"\0\r\n"],
)
def test_known_lines_do_not_vouch_for_the_first(line: bytes) -> None:
    reader = HeadReader()
    for _ in range(3):
        assert reader.feed(b"GET / HTTP/1.1\r\n" + LINES) is not None
    with pytest.raises(BadRequest):
        reader.feed(line + LINES)


def test_one_byte_more_is_looked_at() -> None:
    reader = HeadReader()
    for _ in range(3):
        assert reader.feed(b"GET / HTTP/1.1\r\n" + LINES) is not None
    for other in (LINES.replace(b"a=b", b"a=\x00"), LINES.replace(b"Host", b"Host "), LINES.replace(b"3", b"+3")):
        with pytest.raises(BadRequest):
            HeadReader().feed(b"GET / HTTP/1.1\r\n" + other)


def test_options_are_kept_apart() -> None:
    lines = b"Host: a\r\nX_Y: z\r\n\r\n"
    for _ in range(3):
        assert "x_y" not in HeadReader().feed(b"GET / HTTP/1.1\r\n" + lines).fields
    lenient = HeadReader(HeadOptions(underscores_in_headers=True))
    assert "x_y" in lenient.feed(b"GET / HTTP/1.1\r\n" + lines).fields


def test_headers_given_to_one_request_are_its_own() -> None:
    reader = HeadReader()
    heads = [reader.feed(b"GET / HTTP/1.1\r\n" + LINES) for _ in range(3)]
    heads[2].headers = [("Host", "elsewhere")]
    heads[2].fields = {"host": "elsewhere"}
    assert reader.feed(b"GET / HTTP/1.1\r\n" + LINES).headers == heads[0].headers


def test_answers() -> None:
    text = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n"
    heads = [HTTP1.read_head(text + body, 0) for body in (b"ab", b"cd", b"ef")]
    assert {(head.status, head.content_length, head.length) for head in heads} == {(200, 2, len(text))}
    assert HTTP1.read_head(text[:-1], 0) is None
    other = HTTP1.read_head(text.replace(b"2\r", b"3\r") + b"abc", 0)
    assert other is not None
    assert other.content_length == 3


def test_bounds() -> None:
    memo: Memo[bytes, int] = Memo()
    for number in range(20 * MOST):
        for _ in range(2):
            if memo.again(data := b"%d" % number):
                memo[data] = number
    assert 0 < len(memo) <= MOST
    assert not any(memo.again(b"x" * (LONGEST + 1)) for _ in range(3))
    assert not memo.again(b"once")

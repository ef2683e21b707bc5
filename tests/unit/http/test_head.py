"""Request heads: what the corpus does not say, h11 as an oracle, and that nothing but `BadRequest` comes out."""

from __future__ import annotations

import re
from time import process_time

import h11
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from penstock.http.errors import BadRequest
from penstock.http.head import HeadOptions, parse_request

# --- what a head is made of, mostly well formed ------------------------------------------------------------------

METHODS = st.sampled_from(["GET", "POST", "HEAD", "OPTIONS", "X-Y", "get", "G T", "", "CONNECT", "GET\t"])
TARGETS = st.sampled_from(
    ["/", "/a?b", "/%41", "*", "http://a/b", "http://a_b/", "a:80", "/a b", "/\xe4", "/\x01", "", "//", "/a#b"]
)
VERSIONS = st.sampled_from(
    ["HTTP/1.1"] * 8
    + ["HTTP/1.0", "HTTP/1.0", "HTTP/1.2", "HTTP/1.12", "HTTP/2.0", "HTTP/0.9", "http/1.1", "HTTP/1.1 ", ""]
)
NAMES = st.sampled_from(
    ["Host", "Content-Length", "Transfer-Encoding", "Connection", "X-A", "x-b", "Cookie", "Upgrade", "Expect"] * 3
    + ["x_y", "x.y", "x y", " x", "x ", "", "x\x00", "x\xe4", "TE", "Content-length", "(x)"]
)
VALUES = st.sampled_from(
    ["a", "b.example:80", "5", "0", "chunked", "close", "keep-alive", "Upgrade", "", "a b", "  a  "] * 2
    + [
        "+5",
        "5, 5",
        "gzip, chunked",
        "a\tb",
        "\ta",
        "a\x00",
        "a\x0b",
        "a\rb",
        "a\nb",
        "caf\xe9",
        "a\r\n b",
        "[::1]",
        "[",
        "a\x7f",
    ]
)
ENDS = st.sampled_from(["\r\n"] * 30 + ["\n", "\r", "\r\r\n", " \r\n"])
SPACES = st.sampled_from([" "] * 20 + ["  ", "\t", ""])
LINES = st.lists(
    st.tuples(NAMES, st.sampled_from([": "] * 10 + [":", ":  ", " : ", "", ":\t"]), VALUES, ENDS), max_size=6
)


@st.composite
def heads(draw: st.DrawFn) -> bytes:
    if draw(st.integers(0, 3)):
        line = draw(st.sampled_from(["GET / HTTP/1.1\r\n", "POST /a HTTP/1.1\r\n", "GET / HTTP/1.0\r\n"]))
    else:
        line = draw(METHODS) + draw(SPACES) + draw(TARGETS) + draw(SPACES) + draw(VERSIONS) + draw(ENDS)
    if draw(st.integers(0, 9)):
        line += "Host: a\r\n"
    lines = draw(LINES)
    return (line + "".join("".join(parts) for parts in lines) + "\r\n").encode("latin-1")


# --- h11 ---------------------------------------------------------------------------------------------------------

# What h11 takes and we refuse: how our reason begins -> why.
STRICTER = {
    "client sent invalid method": "h11 takes any token, nginx capitals, - and _",
    "client sent invalid request": "targets other than a path or a URL, line feeds alone, versions over 1.999",
    "client sent invalid version": "HTTP/2.0 in HTTP/1 clothes is 505",
    "client sent invalid header line": "folded lines, control characters in values, line feeds alone",
    "client sent invalid host": "h11 does not look at hosts",
    "client sent duplicate header line": "h11 takes the same Content-Length twice, and Expect, If-Match, ...",
    "client sent HTTP/1.1 request without": "h11 asks no Host header of HTTP/1.2",
    "client sent CONNECT method": "only where a tunnel_pass is",
    'client sent invalid "Content-Length"': "the same length in a list",
    'client sent "Content-Length" and "Transfer-Encoding"': "h11 lets Transfer-Encoding win",
    'client sent HTTP/1.0 request with "Transfer-Encoding"': "h11 reads it as chunked",
    'client sent unknown "Transfer-Encoding": "\\x09': "h11 takes a tab before the value away, nginx does not",
}
# Not there, on purpose: a second Host, any other unknown Transfer-Encoding. h11 refuses these too.

# What we take, as nginx does, and h11 refuses: a sign of it -> why.
LOOSER = (
    (rb"\A[^\r\n ]+ [^\r\n ]*[\x80-\xff]", "bytes above ASCII in a target"),
    (rb"\A[^\r\n]* HTTP/1\.\d\d", "two digits after the dot"),
    (rb"\AGET [^ \r\n]+\r\n\r\n\Z", "HTTP/0.9"),
    (rb"\n[^:\r\n]*[\x80-\xff()\[][^:\r\n]*:", "names that are dropped"),
    (rb"(?i)\n(?:expect|connection|upgrade|te)", "h11 reads what these say"),
)


def h11_request(data: bytes) -> h11.Request | None:
    connection = h11.Connection(h11.SERVER)
    connection.receive_data(data)
    try:
        event = connection.next_event()
    except h11.RemoteProtocolError:
        return None
    assert event is h11.NEED_DATA or isinstance(event, h11.Request), event
    return event if isinstance(event, h11.Request) else None


@settings(max_examples=600)
@given(heads())
def test_against_h11(data: bytes) -> None:
    theirs = h11_request(data)
    try:
        ours = parse_request(data)
    except BadRequest as error:
        if theirs is not None:
            assert any(error.reason.startswith(known) for known in STRICTER), (data, error)
        return
    if theirs is None:
        assert any(re.search(sign, data) for sign, _ in LOOSER), (data, ours)
        return
    assert theirs.method == ours.method.encode()
    if ours.line.split(" ")[1].startswith("/"):
        assert theirs.target == ours.target.encode("latin-1")
    sent = [(name.lower(), value.strip()) for name, value in ours.headers if not re.search("[_.]", name)]
    kept = [(name.decode(), value.decode("latin-1").strip()) for name, value in theirs.headers]
    assert sent == [(name, value) for name, value in kept if not re.search(r"[^a-z0-9-]", name)]


# --- fuzz --------------------------------------------------------------------------------------------------------

OPTIONS = st.builds(
    HeadOptions,
    underscores_in_headers=st.booleans(),
    ignore_invalid_headers=st.booleans(),
    allow_connect=st.booleans(),
    bare_line_feeds=st.booleans(),
    max_headers=st.integers(1, 5),
)


def accepted(data: bytes, options: HeadOptions) -> None:
    try:
        head = parse_request(data, options)
    except BadRequest as error:
        assert error.status in (400, 405, 494, 501, 505)
        assert not re.search(r"[\x00-\x1f\x7f]", error.reason)
        return
    assert re.fullmatch(r"/[!-~\x80-\xff]*", head.target)
    assert not re.search(r"[\r\n\0]", head.line)
    for name, value in head.headers:
        assert re.fullmatch(r"[^\x00-\x20\x7f:]+", name)
        assert re.fullmatch(
            r"(?:[^\x00-\x08\x0a-\x20\x7f](?:[^\x00-\x08\x0a-\x1f\x7f]*[^\x00-\x08\x0a-\x20\x7f])?)?", value
        )
    assert head.fields == {name.lower(): value for name, value in reversed(head.headers)}
    assert head.length == len(data)
    assert not (head.chunked and head.content_length is not None)
    assert head.version < 11 or "host" in head.fields


@settings(max_examples=500)
@given(heads(), OPTIONS)
def test_what_comes_out_of_heads_is_clean(data: bytes, options: HeadOptions) -> None:
    accepted(data, options)


@settings(max_examples=300)
@given(st.binary(max_size=200), OPTIONS)
def test_what_comes_out_of_noise_is_clean(data: bytes, options: HeadOptions) -> None:
    accepted(data, options)
    accepted(b"GET / HTTP/1.1\r\nHost: a\r\n" + data + b"\r\n\r\n", options)
    accepted(b"GET /" + data + b" HTTP/1.1\r\nHost: a\r\n\r\n", options)


# --- what the corpus does not say --------------------------------------------------------------------------------


def test_reasons_do_not_quote_without_end() -> None:
    with pytest.raises(BadRequest) as caught:
        parse_request(b"GET / HTTP/1.1\r\nHost: a\r\n" + b"x" * 5000 + b" : a\r\n\r\n")
    assert len(caught.value.reason) < 400


def test_a_head_must_be_whole() -> None:
    for data in (b"", b"GET / HTTP/1.1\r\n", b"GET / HTTP/1.1\r\nHost: a\r\n", b"GET / HTTP/1.1\r\nHost: a\r\n\r\nx"):
        with pytest.raises(BadRequest):
            parse_request(data)


def test_names_are_not_remembered_without_end() -> None:
    from penstock.http import fields

    for number in range(3000):
        parse_request(f"GET / HTTP/1.1\r\nHost: h{number}\r\nX-{number}: a\r\n\r\n".encode())
    assert len(fields.LOWER) <= 2048


def test_an_error_is_its_reason() -> None:
    assert str(BadRequest(400, "client sent rubbish")) == "client sent rubbish"


@pytest.mark.parametrize("filler", [" ", "\t", "a", ":", "\r", "\n", "-", "a: b\r\n", "%", "."])
def test_no_head_takes_long(filler: str) -> None:
    """What fits nginx's largest buffer is dealt with in milliseconds, whatever it is made of."""
    bulk = filler * (8000 // len(filler))
    started = process_time()
    for text in (
        f"GET / HTTP/1.1\r\nHost: a\r\nX:{bulk}\r\n\r\n",
        f"GET / HTTP/1.1\r\nHost: a\r\nX: a{bulk}a\r\n\r\n",
        f"GET / HTTP/1.1\r\nHost: a\r\n{bulk}\r\n\r\n",
        f"GET / HTTP/1.1\r\nHost: {bulk}\r\n\r\n",
        f"GET /{bulk} HTTP/1.1\r\nHost: a\r\n\r\n",
        f"GET http://{bulk}/ HTTP/1.1\r\nHost: a\r\n\r\n",
        f"GET / HTTP/1.1{bulk}\r\nHost: a\r\n\r\n",
        f"GET{bulk} / HTTP/1.1\r\nHost: a\r\n\r\n",
    ):
        accepted(text.encode(), HeadOptions(bare_line_feeds=True))
    assert process_time() - started < 2

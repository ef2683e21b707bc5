"""Response heads: what nginx takes from a backend, and what it calls invalid."""

from __future__ import annotations

import re

import h11
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from penstock.http.errors import BadResponse
from penstock.http.response import ResponseHead, head_end, is_status_line, parse_response


def response(*lines: str, end: str = "\r\n") -> bytes:
    return (end.join(lines) + end + end).encode("latin-1")


def test_a_plain_head() -> None:
    head = parse_response(
        response("HTTP/1.1 200 OK", "Content-Length: 12", "X-A:  b  ", "Set-Cookie: a", "set-cookie: b")
    )
    assert (head.status, head.reason, head.status_line, head.version) == (200, "OK", "200 OK", 11)
    assert head.headers == [("Content-Length", "12"), ("X-A", "b"), ("Set-Cookie", "a"), ("set-cookie", "b")]
    assert head.fields == {"content-length": "12", "x-a": "b", "set-cookie": "a"}
    assert head.joined("set-cookie") == "a, b"
    assert head.joined("x-b") is None
    assert (head.content_length, head.chunked, head.keep_alive) == (12, False, True)
    assert head.length == len(
        response("HTTP/1.1 200 OK", "Content-Length: 12", "X-A:  b  ", "Set-Cookie: a", "set-cookie: b")
    )


@pytest.mark.parametrize(
    ("line", "status", "reason", "version"),
    [
        ("HTTP/1.1 200", 200, "", 11),
        ("HTTP/1.1 200 ", 200, "", 11),
        ("HTTP/1.0 404 Nothing here", 404, "Nothing here", 10),
        ("HTTP/1.1   200 OK", 200, "OK", 11),
        ("HTTP/1.1 999 \xfcber", 999, "\xfcber", 11),
        ("HTTP/2.0 200 OK", 200, "OK", 11),
        ("HTTP/1.10 200 OK", 200, "OK", 11),
        ("HTTP/1.1 101 Switching Protocols", 101, "Switching Protocols", 11),
        ("HTTP/1.1 100 Continue", 100, "Continue", 11),
    ],
)
def test_status_lines(line: str, status: int, reason: str, version: int) -> None:
    head = parse_response(response(line))
    assert (head.status, head.reason, head.version) == (status, reason, version)


def test_a_status_with_a_dot() -> None:
    assert parse_response(response("HTTP/1.1 403.1 Forbidden")).status_line == "403.1 Forbidden"


@pytest.mark.parametrize(
    "line",
    [
        "",
        "HTTP",
        "http/1.1 200 OK",
        "HTTP/0.9 200 OK",
        "HTTP/1.1 20 OK",
        "HTTP/1.1 2000 OK",
        "HTTP/1.1 abc",
        "HTTP/1.1200 OK",
        "ICY 200 OK",
        "HTTP/1.1\t200 OK",
    ],
)
def test_no_status_line(line: str) -> None:
    with pytest.raises(BadResponse) as caught:
        parse_response(response(line, "X: y"))
    assert (caught.value.status, caught.value.reason) == (502, "upstream sent no valid HTTP/1.0 header")


def test_line_feeds_alone() -> None:
    head = parse_response(response("HTTP/1.1 200 OK", "X: y", "Z: ", end="\n"))
    assert head.headers == [("X", "y"), ("Z", "")]
    mixed = parse_response(b"HTTP/1.1 200 OK\nX: y\r\nZ: z\r\r\n\r\n")
    assert mixed.headers == [("X", "y"), ("Z", "z")]


def test_what_nginx_forgives() -> None:
    head = parse_response(
        response("HTTP/1.1 200 OK", "NoColon", "x.y: z", "HTTP/1.1 200 OK", "X: a\x01b", "caf\xe9: 1")
    )
    assert head.headers == [("NoColon", ""), ("x.y", "z"), ("X", "a\x01b"), ("caf\xe9", "1")]


@pytest.mark.parametrize(
    "line", [" folded: a", "\tfolded: a", "X : y", "X Y: z", ": a", "X: a\0b", "X: a\rb", "X\0: a", "X\x7f: a"]
)
def test_invalid_headers(line: str) -> None:
    with pytest.raises(BadResponse, match="upstream sent invalid header"):
        parse_response(response("HTTP/1.1 200 OK", "A: b", line))


@pytest.mark.parametrize(
    ("lines", "reason"),
    [
        (["Content-Length: 5", "Content-Length: 5"], 'upstream sent duplicate header line: "Content-Length: 5"'),
        (["Transfer-Encoding: chunked"] * 2, "upstream sent duplicate header line"),
        (["Content-Length: 5", "Transfer-Encoding: chunked"], "at the same time"),
        (["Transfer-Encoding: chunked", "Content-Length: 5"], "at the same time"),
        (["Content-Length: +5"], 'upstream sent invalid "Content-Length" header'),
        (["Content-Length: "], 'upstream sent invalid "Content-Length" header'),
        (["Content-Length: 9223372036854775808"], 'upstream sent invalid "Content-Length" header'),
        (["Transfer-Encoding: gzip, chunked"], 'upstream sent unknown "Transfer-Encoding": "gzip, chunked"'),
        (["Transfer-Encoding: "], "upstream sent unknown"),
    ],
)
def test_ambiguous_bodies(lines: list[str], reason: str) -> None:
    with pytest.raises(BadResponse) as caught:
        parse_response(response("HTTP/1.1 200 OK", *lines))
    assert reason in caught.value.reason


def test_chunked() -> None:
    head = parse_response(response("HTTP/1.1 200 OK", "transfer-encoding: Chunked"))
    assert head.chunked
    assert head.content_length is None


@pytest.mark.parametrize(
    ("lines", "keep"),
    [
        (["HTTP/1.1 200 OK"], True),
        (["HTTP/1.1 200 OK", "Connection: Close"], False),
        (["HTTP/1.1 200 OK", "Connection: keep-alive", "Connection: x, close"], False),
        (["HTTP/1.1 200 OK", "Connection: upgrade"], True),
        (["HTTP/1.0 200 OK", "Connection: keep-alive"], False),
    ],
)
def test_keep_alive(lines: list[str], keep: bool) -> None:
    assert parse_response(response(*lines)).keep_alive is keep


def test_of_some_headers_the_first_counts() -> None:
    head = parse_response(response("HTTP/1.1 200 OK", "Date: a", "X: 1", "date: b", "X: 2", "Server: s"))
    assert head.headers == [("Date", "a"), ("X", "1"), ("X", "2"), ("Server", "s")]
    assert head.dropped == [("date", "b")]
    assert head.joined("date") == "a"


def test_early_hints_need_http_1_1() -> None:
    assert parse_response(response("HTTP/1.1 103 Early Hints")).status == 103
    with pytest.raises(BadResponse, match="early hints"):
        parse_response(response("HTTP/1.0 103 Early Hints"))


# --- finding the end -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("end", [b"\r\n\r\n", b"\n\n", b"\r\n\n", b"\n\r\n"])
def test_head_end(end: bytes) -> None:
    data = b"HTTP/1.1 200 OK\r\nX: y" + end
    assert head_end(data) == len(data)
    assert head_end(data + b"body\r\n\r\nmore\n\n") == len(data)
    seen = 0
    for size in range(len(data)):
        assert head_end(data[:size], seen) == -1
        seen = size
    assert head_end(bytearray(data), seen) == len(data)


@settings(max_examples=300)
@given(st.lists(st.sampled_from([b"\r", b"\n", b"\r\n", b"a"]), max_size=12), st.integers(0, 20))
def test_head_end_by_another_road(pieces: list[bytes], seen: int) -> None:
    data = b"".join(pieces)
    match = re.search(rb"\n\r?\n", data)
    expected = match.end() if match else -1
    if expected < 0 or expected > seen:
        assert head_end(data, min(seen, len(data))) == expected


def test_is_status_line() -> None:
    whole = b"HTTP/1.1 200 OK\r\n"
    for size in range(len(whole) + 1):
        assert is_status_line(whole[:size])
    for data in (b"<html>", b"HTTQ", b"HTTP/1.1 2x", b"HTTP/1.1 200OK", b" HTTP/1.1 200", b"\r\n"):
        assert not is_status_line(data)


# --- oracles -------------------------------------------------------------------------------------------------------

HEADERS = st.lists(
    st.tuples(
        st.sampled_from(
            ["Content-Length", "Transfer-Encoding", "Connection", "X-A", "x_b", "Date", "Upgrade", "X Y", ""]
        ),
        st.sampled_from(["5", "chunked", "close", "a b", "", "caf\xe9", "a\x00", "\ta", "keep-alive"]),
        st.sampled_from(["\r\n"] * 10 + ["\n", "\r"]),
    ),
    max_size=5,
)
STATUS = st.sampled_from(
    ["HTTP/1.1 200 OK"] * 6 + ["HTTP/1.0 404 Not Found", "HTTP/1.1 204", "HTTP/1.1 103 Hints", "FOO"]
)

STRICTER = (
    'upstream sent duplicate header line: "Content-Length',  # h11 takes the same length twice
    'upstream sent "Content-Length" and "Transfer-Encoding"',  # h11 lets Transfer-Encoding win
    "upstream sent invalid header",  # h11 strips a tab that begins a line
)


def h11_response(data: bytes) -> h11.Response | h11.InformationalResponse | None:
    connection = h11.Connection(h11.CLIENT)
    connection.send(h11.Request(method="GET", target="/", headers=[("Host", "a")]))
    connection.receive_data(data)
    try:
        event = connection.next_event()
    except h11.RemoteProtocolError:
        return None
    assert isinstance(event, h11.Response | h11.InformationalResponse)
    return event


@settings(max_examples=400)
@given(STATUS, HEADERS)
def test_against_h11(status: str, lines: list[tuple[str, str, str]]) -> None:
    data = (status + "\r\n" + "".join(f"{name}: {value}{end}" for name, value, end in lines) + "\r\n").encode("latin-1")
    end = head_end(data)
    if end != len(data):
        return
    theirs = h11_response(data)
    try:
        ours = parse_response(data)
    except BadResponse as error:
        if theirs is not None:
            assert error.reason.startswith(STRICTER), (data, error)
        return
    if theirs is None:
        # nginx takes them from a backend.
        assert re.search(rb"\r[^\n]|\x00|\r\Z", data) or not lines, data
        return
    assert theirs.status_code == ours.status
    kept = [(name.decode(), value.decode("latin-1")) for name, value in theirs.headers]
    dropped = [name.lower() for name, _ in ours.dropped]
    assert [(name.lower(), value.strip()) for name, value in ours.headers] == [
        pair for at, pair in enumerate(kept) if not (pair[0] in dropped and pair[0] in dict(kept[:at]))
    ]


def clean(head: ResponseHead) -> None:
    assert 0 <= head.status <= 999
    assert not re.search(r"[\r\n]", head.status_line)
    for name, value in head.headers:
        assert re.fullmatch(r"[^\x00-\x20\x7f:]+", name)
        assert not re.search(r"[\r\n\0]", value)
        assert value == value.strip(" ")


@settings(max_examples=300)
@given(st.binary(max_size=100))
def test_noise(data: bytes) -> None:
    for whole in (
        data,
        b"HTTP/1.1 200 OK\r\n" + data + b"\r\n\r\n",
        b"HTTP/1.1 200 " + data + b"\r\n\r\n",
        response("HTTP/1.1 200", "X: y") + data,
    ):
        try:
            clean(parse_response(whole))
        except BadResponse as error:
            assert error.status == 502
        is_status_line(whole)
        head_end(whole, len(data))

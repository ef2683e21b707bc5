"""Heads of handshakes that came before but for a key and a cookie: they mean what they mean alone, and no other key
or cookie is anywhere in them, or in what is remembered."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from penstock.http.errors import BadRequest
from penstock.http.head import RequestHead, parse_request
from penstock.http.seen_heads import SeenHeads, SeenLine
from penstock.shared.memo import LONGEST

MEANING = [name for name in RequestHead.__slots__ if name not in ("like", "passed", "split")]
OTHERS = ["Host: a.example", "Connection: Upgrade", "Upgrade: websocket", "Sec-WebSocket-Version: 13", "X: y"]
KEY = "dGhlIHNhbXBsZSBub25jZQ=="


def meaning(data: bytes, seen: SeenHeads | None) -> object:
    """What a head says, or why it is refused."""
    try:
        head = parse_request(data, seen=seen)
    except BadRequest as error:
        return str(error)
    return {name: getattr(head, name) for name in MEANING}


def head_of(lines: list[str], target: str = "/chat") -> bytes:
    return "\r\n".join([f"GET {target} HTTP/1.1", *lines, "", ""]).encode("latin-1")


KEYS = st.one_of(
    st.just(KEY),
    st.text("ABCabc019+/= :\t\xe9\x00\r\n", min_size=22, max_size=26),
    st.text("ABCabc019+/", min_size=24, max_size=24),
)
COOKIES = st.text("ab=; \t\x01\x7f\xe9\r\n:", max_size=12)
PLACES = st.integers(0, len(OTHERS))


@given(st.data())
def test_a_handshake_means_the_same_whatever_came_before(data: st.DataObject) -> None:
    seen = SeenHeads()
    key_at, cookie_at = data.draw(PLACES), data.draw(st.none() | PLACES)
    for number in range(5):
        key, cookie = (KEY[::-1], "a=b") if number < 3 else (data.draw(KEYS), data.draw(COOKIES))
        lines = [*OTHERS]
        lines.insert(key_at, f"Sec-WebSocket-Key: {key}")
        if cookie_at is not None:
            lines.insert(cookie_at, f"Cookie: {cookie}")
        text = head_of(lines, data.draw(st.sampled_from(["/chat", "/a%20b?c", "/a//b", "/\xe9"])))
        if text.find(b"\r\n\r\n") == len(text) - 4:
            assert meaning(text, seen) == meaning(text, None)


@pytest.mark.parametrize("cookie", [None, "session=1"])
def test_what_is_the_same_is_read_once(cookie: str | None) -> None:
    seen = SeenHeads()
    heads = []
    for number in range(5):
        lines = [*OTHERS, f"Sec-WebSocket-Key: {number:022}=="]
        if cookie is not None:
            lines.insert(1, f"Cookie: {cookie}{number}")
        heads.append(parse_request(head_of(lines), seen=seen))
    assert len(seen.handshakes) == 1
    assert heads[4].like is heads[2].like is not None
    assert heads[4].fields["sec-websocket-key"] == f"{4:022}=="
    assert heads[4].fields.get("cookie") == (None if cookie is None else f"{cookie}4")


def test_no_key_and_no_cookie_stays_in_memory() -> None:
    seen = SeenHeads()
    lines = [*OTHERS, f"Sec-WebSocket-Key: {KEY}", "Cookie: session=secret"]
    for _ in range(4):
        parse_request(head_of(lines), seen=seen)
    (kept,) = seen.handshakes.values()
    for remembered in (repr([*seen.handshakes]), repr(kept.headers), repr(kept.fields)):
        assert KEY not in remembered
        assert "secret" not in remembered


def test_headers_given_to_one_request_are_its_own() -> None:
    seen = SeenHeads()
    text = head_of([*OTHERS, f"Sec-WebSocket-Key: {KEY}"])
    heads = [parse_request(text, seen=seen) for _ in range(4)]
    heads[3].give([("Host", "elsewhere")])
    assert heads[3].like is None
    assert meaning(text, seen) == meaning(text, None)


@pytest.mark.parametrize(
    "lines",
    [
        [*OTHERS, f"Sec-WebSocket-Key: {KEY}", f"Sec-WebSocket-Key: {KEY}"],
        [*OTHERS, f"Sec-WebSocket-Key:  {KEY}"],
        [*OTHERS, f"Sec-WebSocket-Key: {KEY}", "Cookie:  a"],
        [*OTHERS, f"Sec-WebSocket-Key: {KEY}", f"Cookie: {'a' * (LONGEST + 1)}"],
    ],
)
def test_what_is_odd_is_read_each_time(lines: list[str]) -> None:
    seen = SeenHeads()
    for _ in range(4):
        assert meaning(head_of(lines), seen) == meaning(head_of(lines), None)
    assert not seen.handshakes


@pytest.mark.parametrize(
    ("target", "split"),
    [("/a?b=c", ("/a", "b=c")), ("/", ("/", "")), ("/a%20", None), ("/a//b", None), ("/../a", None), ("/a#b", None)],
)
def test_a_target_is_split_where_every_server_has_the_same(target: str, split: Any) -> None:
    assert SeenLine("", "GET", target).split == split

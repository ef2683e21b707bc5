"""Heads of 101 that are like one before are what reading them would make."""

from __future__ import annotations

import base64
import random
from typing import Any

import pytest

from penstock.http.response import ResponseHead, parse_response
from penstock.server.straight.content import WrittenAnswer
from penstock.upstream.exchange.wire import SwitchedHeads

LINES = [
    b"Upgrade: websocket",
    b"Connection: Upgrade",
    b"Server: x",
    b"Sec-WebSocket-Protocol: chat",
    b"X-Empty:",
    b"Set-Cookie: a=b",
]


def accept(rng: random.Random) -> bytes:
    return base64.b64encode(rng.randbytes(20))


def head(lines: list[bytes], status: bytes = b"101 Switching Protocols") -> bytes:
    return b"HTTP/1.1 " + b"\r\n".join([status, *lines, b"", b""])


def shown(one: ResponseHead) -> dict[str, object]:
    left_out = ("shared", "passed", "written")
    return {name: getattr(one, name) for name in ResponseHead.__slots__ if name not in left_out}


@pytest.mark.parametrize("seed", range(20))
def test_it_is_what_reading_would_make(seed: int) -> None:
    rng = random.Random(seed)
    heads = SwitchedHeads()
    by: Any = object()
    others = rng.sample(LINES, rng.randrange(len(LINES) + 1))
    at = rng.randrange(len(others) + 1)
    found = 0
    for _ in range(4):
        value = accept(rng)
        text = head([*others[:at], b"Sec-WebSocket-Accept: " + value, *others[at:]])
        expected = parse_response(text)
        made = heads.find(text)
        if made is None:
            heads.note(expected, text)
            if expected.shared:
                lines = ("first", "before", f"a: b\r\nsec: {value.decode()}\r\n")
                expected.written = WrittenAnswer(by, lines)
        else:
            found += 1
            assert shown(made) == shown(expected)
            assert made.written.by is by and not made.shared
            assert made.written.lines == ("first", "before", f"a: b\r\nsec: {value.decode()}\r\n")
    assert found == 2, "the second time it is remembered"


@pytest.mark.parametrize(
    "line",
    [
        b"Sec-WebSocket-Accept: short=",
        b"Sec-WebSocket-Accept: %s, more",
        b"Sec-WebSocket-Accept: %s\r\nSec-WebSocket-Accept: %s",
        b"Sec-WebSocket-Accept: %s\r\nX-Same: %s",
        b"X-Sec-WebSocket-Accept: %s",
    ],
)
def test_others_are_read_each_time(line: bytes) -> None:
    rng = random.Random(1)
    heads = SwitchedHeads()
    for _ in range(4):
        text = head([line.replace(b"%s", accept(rng))])
        assert heads.find(text) is None
        heads.note(parse_response(text), text)


def test_what_differs_elsewhere_is_another() -> None:
    rng = random.Random(2)
    heads = SwitchedHeads()
    for _ in range(3):
        text = head([b"Sec-WebSocket-Accept: " + accept(rng)])
        heads.note(parse_response(text), text)
    assert heads.find(head([b"Sec-WebSocket-Accept: " + accept(rng)])) is not None
    assert heads.find(head([b"Sec-WebSocket-Accept: " + accept(rng)], b"101 Other")) is None
    assert heads.find(head([b"Sec-WebSocket-Accept: " + accept(rng), b"A: b"])) is None

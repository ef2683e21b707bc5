"""What reading and writing HTTP/2 have in common: numbers, a stream, and what is wrong with a frame."""

from __future__ import annotations

from dataclasses import dataclass
from struct import Struct
from typing import Protocol

from penstock.http.h2.codes import ErrorCodes

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
MAX_WINDOW = (1 << 31) - 1
DATA, HEADERS, PRIORITY, RST_STREAM, SETTINGS, PUSH_PROMISE, PING, GOAWAY, WINDOW_UPDATE, CONTINUATION = range(10)
ACK, END_STREAM, END_HEADERS, PADDED, PRIORITISED = 1, 1, 4, 8, 32

HEAD = Struct(">HBBBL")
"""A frame's head: two numbers for the length, the type, flags, the stream."""
FRAME = Struct(">LBL")
"""The same as three numbers: the length and the type are one, `length << 8 | type`."""


class ConnectionFault(Exception):
    """The peer broke the protocol in a way that ends the connection: `code` goes out with GOAWAY, `reason` to the
    log."""

    def __init__(self, code: int, reason: str) -> None:
        super().__init__(code, reason)
        self.code = code
        self.reason = reason

    def __str__(self) -> str:
        return self.reason


class BadBlock(Exception):
    """A block of fields that can not be decoded (RFC 7541), and none behind it; the text is for developers."""


class TooManyFields(BadBlock):
    """A block of more fields than anybody wants."""


@dataclass(frozen=True, slots=True)
class HeadLimits:
    """`field` bytes of one name or value, `fields` of all names and values of a head, `frames` that a head may come
    in."""

    field: int = 8192
    fields: int = 32768
    frames: int = 128


class Part:
    """A DATA frame that is being read: so much is `left` of what it carries, then the `padding`. `told`: its end has
    been told of."""

    __slots__ = ("ended", "left", "padding", "stream", "told")

    def __init__(self, stream: HalfStream | None, left: int, padding: int, ended: bool) -> None:
        self.stream = stream
        self.left = left
        self.padding = padding
        self.ended = ended
        self.told = False


class StreamTaker(Protocol):
    """Who is told what comes on a stream."""

    def arrived(self, data: bytes, *, ended: bool = False) -> None:
        """Take bytes, or note their end."""


class HalfStream:
    """A stream as the connection knows it (RFC 9113, section 5.1).

    `granted` bytes may still come, `may_send` may still be sent. `receives` until END_STREAM has come, `sends` until it
    was sent; neither once the stream was `broken` off. `answered`: the head of an answer has come.
    """

    __slots__ = ("answered", "broken", "granted", "may_send", "receives", "sends", "stream_id", "taker")

    def __init__(self, stream_id: int, granted: int, may_send: int) -> None:
        self.stream_id = stream_id
        self.granted = granted
        self.may_send = may_send
        self.receives = True
        self.sends = True
        self.broken = False
        self.answered = False
        self.taker: StreamTaker | None = None

    @property
    def closed(self) -> bool:
        """Return whether both sides have ended it, or one has broken it off."""
        return not (self.receives or self.sends)

    def break_off(self) -> None:
        """End it at once."""
        self.receives = self.sends = False
        self.broken = True


def fault(reason: str) -> ConnectionFault:
    """Make the error for a rule that the peer broke, and for which there is no other code."""
    return ConnectionFault(ErrorCodes.PROTOCOL_ERROR, reason)


def unwrapped(data: bytes, start: int, stop: int, flags: int, sid: int) -> tuple[int, int]:
    """Find where the block of a HEADERS frame lies between padding and priority, of which nothing is made."""
    if not flags & (PADDED | PRIORITISED) and start < stop:
        return start, stop
    least = (1 if flags & PADDED else 0) + (5 if flags & PRIORITISED else 0)
    if stop - start < least:
        raise ConnectionFault(
            ErrorCodes.FRAME_SIZE_ERROR, f"client sent HEADERS frame with incorrect length {stop - start}"
        )
    if stop - start == least:
        raise ConnectionFault(ErrorCodes.FRAME_SIZE_ERROR, "client sent HEADERS frame with empty header block")
    padding = 0
    if flags & PADDED:
        padding = data[start]
        start += 1
    if flags & PRIORITISED:
        if int.from_bytes(data[start : start + 4], "big") & 0x7FFFFFFF == sid:
            raise fault(f"client sent HEADERS frame for stream {sid} with incorrect dependency")
        start += 5
    if padding > stop - start:
        raise fault("client sent padded HEADERS frame with incorrect length")
    return start, stop - padding


_NAMES = ("DATA", "HEADERS", "PRIORITY", "RST_STREAM", "SETTINGS", "PUSH_PROMISE", "PING", "GOAWAY", "WINDOW_UPDATE")
_LENGTHS = {PRIORITY: (5, 5), RST_STREAM: (4, 4), PING: (8, 8), GOAWAY: (8, 1 << 24), WINDOW_UPDATE: (4, 4)}
_OF_THE_CONNECTION = (SETTINGS, PING, GOAWAY)


def check_frame(kind: int, flags: int, sid: int, length: int) -> None:
    """Check a frame's length against its type, then its stream. Raises `ConnectionFault`."""
    bounds = _LENGTHS.get(kind)
    wrong = bounds is not None and not bounds[0] <= length <= bounds[1]
    if kind == SETTINGS:
        wrong = bool(length % 6) or bool(flags & ACK and length)
    if wrong:
        raise ConnectionFault(
            ErrorCodes.FRAME_SIZE_ERROR, f"client sent {_NAMES[kind]} frame with incorrect length {length}"
        )
    if bool(sid) is (kind in _OF_THE_CONNECTION):
        raise fault(f"client sent {_NAMES[kind]} frame with incorrect identifier {sid}")

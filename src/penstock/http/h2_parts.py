"""What reading and writing HTTP/2 have in common: numbers, a stream, and what is wrong with a frame."""

from __future__ import annotations

from dataclasses import dataclass
from struct import Struct

from h2.errors import ErrorCodes
from h2.stream import H2Stream, StreamState
from hyperframe.frame import Frame

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
MAX_WINDOW = (1 << 31) - 1
DATA, HEADERS, RST_STREAM, SETTINGS, PUSH_PROMISE, GOAWAY, WINDOW_UPDATE, CONTINUATION = 0, 1, 3, 4, 5, 7, 8, 9
END_STREAM, END_HEADERS, PADDED, PRIORITY = 1, 4, 8, 32

HEAD = Struct(">HBBBL")
"""A frame's head: two numbers for the length, the type, flags, the stream."""
_RECEIVING = (StreamState.OPEN, StreamState.HALF_CLOSED_LOCAL)


class ConnectionFault(Exception):
    """The peer broke the protocol in a way that ends the connection: `code` goes out with GOAWAY, `reason` to the
    log."""

    def __init__(self, code: int, reason: str) -> None:
        super().__init__(code, reason)
        self.code = code
        self.reason = reason

    def __str__(self) -> str:
        return self.reason


@dataclass(frozen=True, slots=True)
class Limits:
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


class HalfStream(H2Stream):
    """A stream as `h2` keeps it. `granted` bytes may still come."""

    granted = 0

    def _initialize_content_length(self, headers: object) -> None:
        """Whether the length holds true is looked at by who reads the body, who can answer with a 400."""

    def _track_content_length(self, length: int, end_stream: bool) -> None:
        """Likewise."""

    @property
    def receives(self) -> bool:
        """Whether the peer may send more."""
        return self.state_machine.state in _RECEIVING


def fault(reason: str) -> ConnectionFault:
    """The peer broke a rule for which there is no other code."""
    return ConnectionFault(ErrorCodes.PROTOCOL_ERROR, reason)


def unwrapped(data: bytes, start: int, stop: int, flags: int, sid: int) -> tuple[int, int]:
    """Where the block of a HEADERS frame lies between padding and priority, of which nothing is made."""
    least = (1 if flags & PADDED else 0) + (5 if flags & PRIORITY else 0)
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
    if flags & PRIORITY:
        if int.from_bytes(data[start : start + 4], "big") & 0x7FFFFFFF == sid:
            raise fault(f"client sent HEADERS frame for stream {sid} with incorrect dependency")
        start += 5
    if padding > stop - start:
        raise fault("client sent padded HEADERS frame with incorrect length")
    return start, stop - padding


_LENGTHS = {2: (5, 5), 3: (4, 4), 6: (8, 8), 7: (8, 1 << 24), 8: (4, 4)}


def check_length(frame: Frame, length: int) -> None:
    """Hold a frame's length against its type. Raises `ConnectionFault`."""
    bounds = _LENGTHS.get(frame.type) if frame.type is not None else None
    wrong = bounds is not None and not bounds[0] <= length <= bounds[1]
    if frame.type == 4:
        wrong = bool(length % 6) or ("ACK" in frame.flags and length > 0)
    if wrong:
        raise ConnectionFault(
            ErrorCodes.FRAME_SIZE_ERROR, f"client sent {type(frame).__name__} with incorrect length {length}"
        )

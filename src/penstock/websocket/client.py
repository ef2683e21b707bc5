"""The client's end of a WebSocket, sans-IO: the request, its own data frames, and the frames it is sent.

For those who hold a conversation of a few messages, such as a probe. Tunnels are looked at with
`direction.Direction` alone, which copies nothing.
"""

from __future__ import annotations

import zlib
from typing import NamedTuple

from penstock.websocket.direction import Direction
from penstock.websocket.frames import CONTINUATION, NO_CODE, RSV1, FrameSender

DEFLATE_OFFER = "permessage-deflate; client_max_window_bits"
"""What a client offers that takes compressed messages in any form (RFC 7692 section 7.1)."""


class Ask:
    """The request of a handshake. `headers` are all of them, in order; `fields` by lower-case name, the first value of
    each.

    It is what `handshake.check_response` wants of a request.
    """

    __slots__ = ("fields", "headers", "method", "target", "version")

    def __init__(self, target: str, headers: tuple[tuple[str, str], ...]) -> None:
        self.method = "GET"
        self.version = 11
        self.target = target
        self.headers = headers
        self.fields = {name.lower(): value for name, value in reversed(headers)}

    def joined(self, name: str) -> str | None:
        """Return all values of a header (its name in lower case) joined by ", ", or None."""
        values = [value for key, value in self.headers if key.lower() == name]
        return ", ".join(values) if values else None

    def __bytes__(self) -> bytes:
        lines = [f"{self.method} {self.target} HTTP/1.1", *(f"{name}: {value}" for name, value in self.headers)]
        return ("\r\n".join(lines) + "\r\n\r\n").encode("latin-1")


def ask(
    target: str,
    host: str,
    key: str,
    *,
    origin: str | None = None,
    protocols: str | None = None,
    compression: bool = True,
    more: tuple[tuple[str, str], ...] = (),
) -> Ask:
    """Write the request of a handshake (RFC 6455 section 4.1). A header of `more` stands in place of one of that name;
    one with an empty value takes it away."""
    wanted: list[tuple[str, str | None]] = [
        ("Host", host),
        ("Upgrade", "websocket"),
        ("Connection", "Upgrade"),
        ("Sec-WebSocket-Key", key),
        ("Sec-WebSocket-Version", "13"),
        ("Origin", origin),
        ("Sec-WebSocket-Protocol", protocols),
        ("Sec-WebSocket-Extensions", DEFLATE_OFFER if compression else None),
    ]
    replaced = {name.lower() for name, _ in more}
    kept = [(name, value) for name, value in wanted if value is not None and name.lower() not in replaced]
    return Ask(target, (*kept, *(header for header in more if header[1])))


def data_frame(opcode: int, payload: bytes, mask: bytes) -> bytes:
    """Make an unfragmented message of a client; `mask` has 4 bytes."""
    size = len(payload)
    if size < 126:
        head = bytes((0x80 | opcode, 0x80 | size))
    elif size < 0x10000:
        head = bytes((0x80 | opcode, 0x80 | 126)) + size.to_bytes(2, "big")
    else:
        head = bytes((0x80 | opcode, 0x80 | 127)) + size.to_bytes(8, "big")
    key = (mask * (size // 4 + 1))[:size]
    masked = (int.from_bytes(payload, "big") ^ int.from_bytes(key, "big")).to_bytes(size, "big")
    return head + mask + masked


class Frame(NamedTuple):
    """A frame that is all there. `compressed` is said of the message that it begins."""

    opcode: int
    fin: bool
    compressed: bool
    payload: bytes

    @property
    def close_code(self) -> int:
        """Return the code of a close frame; 1005 if it has none."""
        return int.from_bytes(self.payload[:2], "big") if len(self.payload) > 1 else NO_CODE

    @property
    def close_reason(self) -> str:
        """Return the reason of a close frame, "" if it has none."""
        return self.payload[2:].decode("utf-8", "replace")


class FrameReader:
    """A reader that takes what a server sends apart into whole frames.

    Of a payload longer than `limit` bytes only its beginning is kept. `error` is what broke the protocol, after which
    nothing more comes.
    """

    def __init__(self, *, deflate: bool, limit: int = 65536) -> None:
        self._way = Direction(FrameSender.SERVER, RSV1 if deflate else 0)
        self._limit = limit
        self._head = b""
        self._frame: tuple[int, int] | None = None  # first byte, payload bytes still to come
        self._payload = bytearray()
        self._count = 0
        self.error: str | None = None

    def feed(self, data: bytes) -> list[Frame]:
        """Return the frames that these bytes complete."""
        self._way.feed(data, 0.0)
        found: list[Frame] = []
        at = 0
        while True:
            if self._frame is None:
                at = self._gather_head(data, at)
                if self._frame is None:
                    break
            at = self._gather_payload(data, at, found)
            if self._frame is not None:
                break
        self.error = self._way.wrong or None
        before, self._count = self._count, self._count + len(found)
        return found[: max(0, self._way.frames - before)]

    def _gather_head(self, data: bytes, at: int) -> int:
        """Gather a frame's header byte by byte, at most ten; return where the payload begins."""
        while at < len(data):
            self._head += data[at : at + 1]
            at += 1
            head = self._head
            need = {126: 4, 127: 10}.get(head[1] & 0x7F, 2) if len(head) > 1 else 2
            if len(head) == need:
                short = head[1] & 0x7F
                self._frame = head[0], short if need == 2 else int.from_bytes(head[2:], "big")
                self._head = b""
                break
        return at

    def _gather_payload(self, data: bytes, at: int, found: list[Frame]) -> int:
        assert self._frame is not None
        first, left = self._frame
        part = data[at : at + left]
        self._payload += part[: self._limit - len(self._payload)]
        left -= len(part)
        self._frame = first, left
        if not left:
            found.append(Frame(first & 0x0F, first >= 0x80, bool(first & RSV1), bytes(self._payload)))
            self._frame = None
            self._payload.clear()
        return at + len(part)


class MessageReader:
    """A reader that joins and inflates the messages in a server's frames. Longer ones are cut at `limit`."""

    def __init__(self, *, deflate: bool, keeps_context: bool = True, limit: int = 65536) -> None:
        self._inflate = zlib.decompressobj(-15) if deflate else None
        self._keeps_context = keeps_context
        self._limit = limit
        self._parts = bytearray()
        self._opcode = 0
        self._compressed = False

    def add(self, frame: Frame) -> tuple[int, bytes] | None:
        """Add a data frame: the opcode and the payload of the message that it completes. Raises `zlib.error`."""
        if frame.opcode != CONTINUATION:
            self._opcode, self._compressed = frame.opcode, frame.compressed
            self._parts.clear()
        self._parts += frame.payload[: self._limit - len(self._parts)]
        if not frame.fin:
            return None
        whole = bytes(self._parts)
        self._parts.clear()
        if self._compressed and self._inflate is not None:
            inflater = self._inflate
            # RFC 7692 section 7.2.2: the sender took these four bytes away.
            whole = inflater.decompress(whole + b"\0\0\xff\xff", self._limit)
            if not self._keeps_context or inflater.unconsumed_tail or inflater.eof:
                self._inflate = zlib.decompressobj(-15)
        return self._opcode, whole

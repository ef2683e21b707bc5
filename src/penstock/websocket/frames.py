"""Frames (RFC 6455 section 5): counted as they pass, and built.

The scanner reads frame headers and steps over payloads. It neither copies nor unmasks them, so a tunnel that
is looked at costs hardly more than one that is not.
"""

from __future__ import annotations

from enum import IntEnum
from functools import cache

CONTINUATION = 0x0
TEXT = 0x1
BINARY = 0x2
CLOSE = 0x8
PING = 0x9
PONG = 0xA

RSV1 = 0x40
"""The bit permessage-deflate sets on the first frame of a compressed message (RFC 7692)."""


class Side(IntEnum):
    """Who sends: a client masks its frames, a server does not (section 5.1)."""

    SERVER = 0
    CLIENT = 0x80


SINGLE, FIRST, MORE, LAST, CONTROL = range(1, 6)
"""What a frame is to its message: all of it, its beginning, its middle, its end; or a frame between messages."""


@cache
def kinds_for(rsv: int) -> tuple[int, ...]:
    """What a frame is by its first byte, where the bits in `rsv` may be set; 0 for what may not be.

    RSV1 alone is permessage-deflate's, which sets it on the first frame of a message.
    """
    kinds = [0] * 256
    for extra in (bits for bits in range(0, 0x80, 0x10) if not bits & ~rsv):
        for opcode in (TEXT, BINARY):
            kinds[0x80 | extra | opcode] = SINGLE
            kinds[extra | opcode] = FIRST
        if not extra or rsv != RSV1:
            kinds[0x80 | extra] = LAST
            kinds[extra] = MORE
    for opcode in (CLOSE, PING, PONG):
        kinds[0x80 | opcode] = CONTROL
    return tuple(kinds)


@cache
def whole_for(side: Side) -> tuple[int, ...]:
    """By its second byte, how many bytes a frame with a short length has; 0 for any other."""
    header = 6 if side else 2
    return tuple(
        header + (second & 0x7F) if second & 0x80 == side and second & 0x7F < 126 else 0 for second in range(256)
    )


class FrameScanner:
    """Follows one direction of a tunnel.

    `feed` it each chunk as it passes. frames, messages, pings, pongs: how many began or, for messages, ended.
    first, length: first byte and payload length of the last frame (`opcode`, `fin`, `rsv` read the byte).
    close_code: of the close frame that passed; 1005 if it had none; None before. error: what broke the
    protocol; from there on nothing can be told, and nothing is scanned. at_boundary: the last byte that
    passed ended a frame.
    """

    __slots__ = (
        "_fragmented",
        "_kinds",
        "_left",
        "_pending",
        "_rsv",
        "_side",
        "_whole",
        "close_code",
        "error",
        "first",
        "frames",
        "length",
        "messages",
        "pings",
        "pongs",
    )

    def __init__(self, side: Side, rsv: int = 0) -> None:
        """side: who sends. rsv: 0, or RSV1 where permessage-deflate was agreed on."""
        self._side = int(side)
        self._rsv = rsv
        self._kinds = kinds_for(rsv)
        self._whole = whole_for(side)
        self._left = 0  # Payload bytes to step over; -1 once there is an error.
        self._pending = b""  # The beginning of a header that is not all there.
        self._fragmented = False
        self.frames = 0
        self.messages = 0
        self.pings = 0
        self.pongs = 0
        self.first = 0
        self.length = 0
        self.close_code: int | None = None
        self.error: str | None = None

    @property
    def at_boundary(self) -> bool:
        """Whether a frame of one's own may be sent now."""
        return self._left == 0 and not self._pending

    @property
    def between_messages(self) -> bool:
        """Whether, besides, no fragmented message is open: a data frame of one's own may be sent."""
        return self.at_boundary and not self._fragmented

    @property
    def opcode(self) -> int:
        """Of the last frame."""
        return self.first & 0x0F

    @property
    def fin(self) -> bool:
        """Of the last frame."""
        return self.first >= 0x80

    @property
    def rsv(self) -> int:
        """The reserved bits of the last frame, where they stand in the byte."""
        return self.first & 0x70

    def feed(self, buffer: bytes | bytearray | memoryview, size: int) -> None:
        """Look at the first `size` bytes of `buffer`."""
        # Nearly always: one short, whole, unfragmented data frame.
        if size > 1 and not self._left:
            first = buffer[0]
            if (
                self._whole[buffer[1]] == size
                and self._kinds[first] == SINGLE
                and not self._pending
                and not self._fragmented
                and self.close_code is None
            ):
                self.frames += 1
                self.messages += 1
                self.first = first
                self.length = buffer[1] & 0x7F
                return
        elif self._left >= size:
            self._left -= size
            return
        self._scan(buffer, size)

    def _scan(self, buffer: bytes | bytearray | memoryview, size: int) -> None:
        at = 0
        while at < size and self._left >= 0:
            left = self._left
            if left:
                step = min(left, size - at)
                self._left = left - step
                at += step
                continue
            pending = self._pending
            if not pending and not self._fragmented and self.close_code is None:
                at = self._scan_simple(buffer, at, size)
                if at >= size:
                    return
            # The longest header, with the code of a close frame, has 16 bytes.
            header = pending + bytes(buffer[at : min(at + 16, size)])
            used = self._header(header)
            if not used:
                self._pending = header
                return
            self._pending = b""
            at += used - len(pending)

    def _scan_simple(self, buffer: bytes | bytearray | memoryview, at: int, size: int) -> int:
        """Count short, whole, unfragmented data frames, one after the other: where the first other one begins."""
        whole, kinds = self._whole, self._kinds
        count = 0
        start = at
        while at + 1 < size:
            total = whole[buffer[at + 1]]
            if not total or at + total > size or kinds[buffer[at]] != SINGLE:
                break
            count += 1
            start = at
            at += total
        if count:
            self.frames += count
            self.messages += count
            self.first = buffer[start]
            self.length = buffer[start + 1] & 0x7F
        return at

    def _header(self, header: bytes) -> int:
        """Take in what a frame begins with: how many bytes that was, or 0 if they are not all there."""
        have = len(header)
        if have < 2:
            return 0
        first, second = header[0], header[1]
        kind = self._kinds[first]
        opcode = first & 0x0F
        wrong = self._wrong(kind, first, second)
        if wrong:
            return self._fail(wrong, have)
        length = second & 0x7F
        at = 2
        if length == 126:
            at = 4
            length = int.from_bytes(header[2:4], "big")
            if have >= 4 and length < 126:
                return self._fail("a length is not in its shortest form", have)
        elif length == 127:
            at = 10
            length = int.from_bytes(header[2:10], "big")
            if have >= 10 and not 0x10000 <= length < 1 << 63:
                return self._fail("a length is not in its shortest form, or has 64 bits", have)
        if self._side:
            at += 4
        if opcode == CLOSE and length:
            if have < at + 2:
                return 0
            code = int.from_bytes(header[at : at + 2], "big")
            if self._side:
                code ^= int.from_bytes(header[at - 4 : at - 2], "big")
            if not may_be_sent(code):
                return self._fail(f"the close code is {code}", have)
            at += 2
            self._left = length - 2
        elif have < at:
            return 0
        else:
            code = NO_CODE
            self._left = length

        self.frames += 1
        self.first = first
        self.length = length
        if kind == CONTROL:
            if opcode == PING:
                self.pings += 1
            elif opcode == PONG:
                self.pongs += 1
            elif self.close_code is None:
                self.close_code = code
        else:
            self._fragmented = kind in (FIRST, MORE)
            if not self._fragmented:
                self.messages += 1
        return at

    def _wrong(self, kind: int, first: int, second: int) -> str | None:
        """What the first two bytes of a frame break."""
        if not kind:
            if first & 0x70 & ~self._rsv or (first & 0x70 and first & 0x0F not in (TEXT, BINARY)):
                return "a reserved bit is set"
            if first & 0x0F in (CLOSE, PING, PONG):
                return "a control frame is fragmented"
            return f"the opcode is {first & 0x0F:#x}"
        if second & 0x80 != self._side:
            return "a client's frame is not masked" if self._side else "a server's frame is masked"
        if kind == CONTROL:
            if second & 0x7F > 125:
                return "a control frame is longer than 125 bytes"
            if first & 0x0F == CLOSE and second & 0x7F == 1:
                return "a close frame has half a code"
            return None
        if self.close_code is not None:
            return "a data frame follows a close frame"
        if kind in (MORE, LAST):
            return None if self._fragmented else "a continuation continues nothing"
        return "a message begins inside another" if self._fragmented else None

    def _fail(self, what: str, used: int) -> int:
        self.error = what
        self._left = -1
        return used


NO_CODE = 1005
"""Stands for a close frame without a code (section 7.1.5); never sent."""


def may_be_sent(code: int) -> bool:
    """Whether a close code may stand in a frame (section 7.4)."""
    return 3000 <= code <= 4999 or (1000 <= code <= 1014 and code not in (1004, 1005, 1006))


def close_frame(code: int | None, reason: str = "", mask: bytes | None = None) -> bytes:
    """A close frame, None for one without a code; `mask` is the key a client uses. The reason (text, not latin-1) is
    cut to fit.

    Raises ValueError for a code that may not be sent.
    """
    if code is None:
        return _control_frame(CLOSE, b"", mask)
    if not may_be_sent(code):
        raise ValueError(f"close code {code} may not be sent")
    text = reason.encode()[:123].decode(errors="ignore").encode()
    return _control_frame(CLOSE, code.to_bytes(2, "big") + text, mask)


def ping_frame(payload: bytes = b"", mask: bytes | None = None) -> bytes:
    """A ping. Raises ValueError for more than 125 bytes."""
    return _control_frame(PING, payload, mask)


def pong_frame(payload: bytes = b"", mask: bytes | None = None) -> bytes:
    """A pong. Raises ValueError for more than 125 bytes."""
    return _control_frame(PONG, payload, mask)


def _control_frame(opcode: int, payload: bytes, mask: bytes | None) -> bytes:
    size = len(payload)
    if size > 125:
        raise ValueError("a control frame holds 125 bytes at most")
    if mask is None:
        return bytes((0x80 | opcode, size)) + payload
    if len(mask) != 4:
        raise ValueError("a mask has 4 bytes")
    masked = bytes(byte ^ mask[index & 3] for index, byte in enumerate(payload))
    return bytes((0x80 | opcode, 0x80 | size)) + mask + masked

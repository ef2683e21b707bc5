"""Frames (RFC 6455 section 5): what their first bytes mean, and those that we build. `direction.py` reads them."""

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


class FrameSender(IntEnum):
    """The one who sends: a client masks its frames, a server does not (section 5.1)."""

    SERVER = 0
    CLIENT = 0x80


SINGLE, FIRST, MORE, LAST, CONTROL = range(1, 6)
"""What a frame is to its message: all of it, its beginning, its middle, its end; or a frame between messages."""


@cache
def kinds_for(rsv: int) -> tuple[int, ...]:
    """Make a table of what a frame is by its first byte, if the bits in `rsv` may be set; 0 for what may not be.

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
def whole_for(side: FrameSender) -> tuple[int, ...]:
    """Make a table of how many bytes a frame with a short length has, by its second byte; 0 for any other."""
    header = 6 if side else 2
    return tuple(
        header + (second & 0x7F) if second & 0x80 == side and second & 0x7F < 126 else 0 for second in range(256)
    )


NO_CODE = 1005
"""Stands for a close frame without a code (section 7.1.5); never sent."""


def may_be_sent(code: int) -> bool:
    """Return whether a close code may stand in a frame (section 7.4)."""
    return 3000 <= code <= 4999 or (1000 <= code <= 1014 and code not in (1004, 1005, 1006))


def close_frame(code: int | None, reason: str = "", mask: bytes | None = None) -> bytes:
    """Build a close frame, None for one without a code; `mask` is the key a client uses. The reason (text, not latin-1)
    is cut to fit.

    Raises ValueError for a code that may not be sent.
    """
    if code is None:
        return control_frame(CLOSE, b"", mask)
    if not may_be_sent(code):
        raise ValueError(f"close code {code} may not be sent")
    text = reason.encode()[:123].decode(errors="ignore").encode()
    return control_frame(CLOSE, code.to_bytes(2, "big") + text, mask)


def ping_frame(payload: bytes = b"", mask: bytes | None = None) -> bytes:
    """Make a ping. Raises ValueError for more than 125 bytes."""
    return control_frame(PING, payload, mask)


def pong_frame(payload: bytes = b"", mask: bytes | None = None) -> bytes:
    """Make a pong. Raises ValueError for more than 125 bytes."""
    return control_frame(PONG, payload, mask)


def content(data: bytes | bytearray | memoryview, at: int, header: int, length: int) -> bytes:
    """Return the payload of the frame that begins at `at`, unmasked if it has a mask; `header` are the bytes before it.
    """
    found = bytes(data[at + header : at + header + length])
    if not data[at + 1] & 0x80:
        return found
    mask = data[at + header - 4 : at + header]
    return bytes(byte ^ mask[index & 3] for index, byte in enumerate(found))


def control_frame(opcode: int, payload: bytes, mask: bytes | None) -> bytes:
    """Make a control frame. Raises ValueError for more than 125 bytes."""
    size = len(payload)
    if size > 125:
        raise ValueError("a control frame holds 125 bytes at most")
    if mask is None:
        return bytes((0x80 | opcode, size)) + payload
    if len(mask) != 4:
        raise ValueError("a mask has 4 bytes")
    masked = bytes(byte ^ mask[index & 3] for index, byte in enumerate(payload))
    return bytes((0x80 | opcode, 0x80 | size)) + mask + masked

"""Frame streams to test with: single frames, and long conversations in one direction made from a seed."""

from __future__ import annotations

import random
from collections.abc import Iterator

from penstock.websocket.frames import FrameSender

MASK = b"\x12\x34\x56\x78"
CONTROLS = (0x89, 0x8A)


def frame(first: int, payload: bytes = b"", side: FrameSender = FrameSender.CLIENT, length: int | None = None) -> bytes:
    """A frame with that first byte; `length` is written in place of the payload's own, in its longest form."""
    size = len(payload)
    if length is not None:
        head = bytes((first, side | 127)) + length.to_bytes(8, "big")
    elif size < 126:
        head = bytes((first, side | size))
    elif size < 65536:
        head = bytes((first, side | 126)) + size.to_bytes(2, "big")
    else:
        head = bytes((first, side | 127)) + size.to_bytes(8, "big")
    if side is FrameSender.SERVER:
        return head + payload
    return head + MASK + masked(payload)


def masked(payload: bytes) -> bytes:
    key = (MASK * (len(payload) // 4 + 1))[: len(payload)]
    return (int.from_bytes(payload, "big") ^ int.from_bytes(key, "big")).to_bytes(len(payload), "big")


def good_frames(seed: int, count: int, side: FrameSender) -> list[bytes]:
    """So many frames without a mistake: fragments, control frames between them, lengths around every border."""
    chance = random.Random(seed)
    frames: list[bytes] = []
    fragmented = False
    while len(frames) < count:
        if not chance.randrange(8):
            frames.append(frame(chance.choice(CONTROLS), chance.randbytes(chance.choice((0, 4, 125))), side))
            continue
        size = chance.choice((0, 1, 2, 20, 60, 100, 124, 125, 126, 127, 500, chance.randrange(2000)))
        if not chance.randrange(400):
            size = chance.choice((65534, 65535, 65536, 70000))
        last = bool(chance.randrange(3))
        opcode = 0 if fragmented else chance.choice((1, 2))
        frames.append(frame(0x80 * last | opcode, b"a" * size, side))
        fragmented = not last
    return frames


def pieces(data: bytes, seed: int) -> Iterator[bytes]:
    """The same bytes, cut anywhere: now byte by byte, now in long runs."""
    chance = random.Random(seed)
    at = 0
    while at < len(data):
        most = chance.choice((1, 3, 16, 300, 5000, 80000))
        size = chance.randint(1, most)
        yield data[at : at + size]
        at += size

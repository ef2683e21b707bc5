"""What uwsgi and SCGI put before a request: the parameters, as lines `NAME=value`."""

from __future__ import annotations

import struct

Taken = tuple[list[str], int]
"""The lines, and how many bytes they were."""


def uwsgi(data: bytes) -> Taken | None:
    """Read a packet of uwsgi; None while it is not whole."""
    if len(data) < 4:
        return None
    modifier, size, second = struct.unpack("<BHB", data[:4])
    if modifier or second:
        raise ValueError(f"the packet has the modifiers {modifier} and {second}")
    if len(data) < 4 + size:
        return None
    words, at = [], 4
    while at < 4 + size:
        length = int.from_bytes(data[at : at + 2], "little")
        words.append(data[at + 2 : at + 2 + length].decode("latin-1"))
        at += 2 + length
    return _paired(words), at


def scgi(data: bytes) -> Taken | None:
    """Read the netstring of SCGI; None while it is not whole."""
    digits, mark, rest = data.partition(b":")
    if not mark:
        return None
    size = int(digits)
    if len(rest) < size + 1:
        return None
    if rest[size : size + 1] != b",":
        raise ValueError("the netstring has no comma behind it")
    return _paired(rest[: size - 1].decode("latin-1").split("\0")), len(digits) + size + 2


def _paired(words: list[str]) -> list[str]:
    return [f"{name}={value}" for name, value in zip(words[::2], words[1::2], strict=True)]


KINDS = {"uwsgi": uwsgi, "scgi": scgi}

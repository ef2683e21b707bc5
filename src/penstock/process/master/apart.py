"""What a worker makes begins on pages of its own.

A worker shares its pages with the master until one of them writes. Loading a configuration leaves holes between what it
made, here and there on most of these pages, and CPython fills holes first: the first few thousand objects of each
worker would have as many pages copied, for a few bytes on each. So the master fills them before it forks. Of 2,000
tunnels each costs 0.5 KiB less so (experiments/tunnels.md).
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable

from penstock.process import collector

POOL = 16384
"""Bytes of a pool, which has blocks of one size (Objects/obmalloc.c, since 3.10)."""
HEADER = 48
SIZES = range(32, 513, 16)
"""Of the blocks that pools have; what is larger is the C library's."""
CERTAIN = 8
"""So many blocks that begin a pool and follow each other are those of a new one."""
MOST = 1 << 19
"""Bytes in blocks of one size, beyond which nothing is sought."""

_kept: list[list[object]] = []


def set_apart() -> None:
    """Let nothing that there is now be touched by workers who have no business with it: no collection looks at it, and
    the holes in it are filled for the life of this process and its children."""
    collector.set_aside()
    if sys.implementation.name != "cpython" or sys.flags.dev_mode or "PYTHONMALLOC" in os.environ:
        return  # another allocator
    for size in SIZES:
        blocks = _blocks(size)
        if blocks:
            _kept.append(blocks)


def _maker(size: int) -> Callable[[int], object]:
    """Return what makes an object of that size that no collection has to look at."""
    if size == 32:
        return float
    length = size - sys.getsizeof(b"")
    return lambda _: bytes(length)


def _blocks(size: int) -> list[object]:
    """Take the blocks of a size that are free between others. Those of the new pool behind them are given back."""
    make = _maker(size)
    found: list[object] = []
    row, expected = 0, -1
    for number in range(MOST // size):
        block = make(number)
        found.append(block)
        address = id(block)
        if address % POOL == HEADER:
            row = 1
        elif address == expected and row:
            row += 1
        else:
            row = 0
        expected = address + size
        if row == CERTAIN:
            break
    del found[len(found) - row :]
    return found

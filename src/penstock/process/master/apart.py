"""What a worker makes begins on pages of its own.

A worker shares its pages with the master until one of them writes. Loading a configuration leaves holes between what it
made, here and there on most of these pages, and allocators fill holes first: the first few thousand objects of each
worker would have as many pages copied, for a few bytes on each. So the master fills them before it forks, those of
CPython's pools and those between the larger blocks of the C library, where OpenSSL's are as well. Of 2,000 tunnels each
costs 0.5 KiB less so, of 1,000 over TLS 0.2 KiB on top of it (experiments/tunnels.md).
"""

from __future__ import annotations

import ctypes
import os
import sys
from collections.abc import Callable
from ctypes import c_size_t, c_void_p

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
LARGER = range(504, 8, -16)
"""Of blocks that are asked of the C library, each with eight bytes more. It gives pages back of holes that are larger
than a row of these."""

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
    _fill_larger()


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


def _fill_larger() -> None:
    """Take, for good, the blocks that are free between others where the C library has them: as `_blocks` does, from the
    largest. Where the allocator is another one, whose blocks do not follow each other so, nothing is kept."""
    library = ctypes.PyDLL(None)
    malloc, free = library.malloc, library.free
    malloc.restype, malloc.argtypes, free.restype, free.argtypes = c_void_p, (c_size_t,), None, (c_void_p,)
    for size in LARGER:
        found: list[int] = []
        row = expected = 0
        while row < CERTAIN and len(found) < MOST // size:
            block = malloc(size)
            row = row + 1 if block == expected else 1
            expected = block + size + 8
            found.append(block)
        known = row == CERTAIN
        for block in found[len(found) - row :] if known else found:
            free(block)
        if not known:
            return

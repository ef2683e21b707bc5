"""Messages of permessage-deflate (RFC 7692), inflated for who looks on.

A compressor refers back to what it has sent before, 32 KiB of it, and whoever looks on from the middle has not seen
that. The rest can be had all the same: everything is inflated twice, once as if nothing but zeros had come before and
once as if nothing but 0xff had. Both have the same length, and where they differ, the byte is one that nobody who began
to look here can know.
"""

from __future__ import annotations

import zlib

WINDOW = 32768
TAIL = b"\x00\x00\xff\xff"
"""What a sender leaves out at the end of a message (RFC 7692, section 7.2.1)."""
MOST = 1 << 20
"""Bytes that a frame is inflated to at most: a few bytes can stand for very many."""


class Inflated:
    """A piece of a message: `data`, in which the bytes whose place in `known` is 0 are not known."""

    __slots__ = ("data", "known")

    def __init__(self, data: bytes, known: bytes) -> None:
        self.data = data
        self.known = known

    @property
    def whole(self) -> bool:
        """Return whether every byte is known."""
        return 0 not in self.known


class Inflater:
    """One direction of a tunnel."""

    __slots__ = ("_both",)

    def __init__(self) -> None:
        self.forget()

    def forget(self) -> None:
        """Begin anew: something was missed."""
        self._both = [zlib.decompressobj(-15, bytes((fill,)) * WINDOW) for fill in (0, 255)]

    def inflate(self, data: bytes, *, final: bool) -> Inflated | None:
        """Decode the payload of a frame; `final`: it ends its message. None where that can not be done: what comes
        next is inflated again as far as it can be known."""
        found = []
        try:
            for each in self._both:
                found.append(each.decompress(data + TAIL if final else data, MOST))
                if each.unconsumed_tail or each.eof:
                    raise zlib.error("too much, or an end where there is none")
        except zlib.error:
            self.forget()
            return None
        low, high = found
        return Inflated(low, bytes(one == other for one, other in zip(low, high, strict=True)))

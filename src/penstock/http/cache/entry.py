"""A kept answer as it lies in a file: what it is kept under, until when, its head, and behind all that its body.

    fixed part | key | vary | etag | head | body

The fixed part begins with a mark, a version and a checksum of all up to the body. The file ends where the body does:
one that is longer or shorter was not written to its end. The format is ours alone; docs/internals/cache.md has it.
"""

from __future__ import annotations

from dataclasses import dataclass
from struct import Struct
from zlib import crc32

MARK = b"PENSTOCK"
VERSION = 1
_HEAD_ONLY = 1
# Mark, version, flags, checksum; valid, updating, error, date, last modified; lengths of key, vary, etag, head and
# body; variant, family.
_FORM = Struct("<8sHHIQQQQqIHHIQ16s8s")
_CHECKSUM = slice(12, 16)
FIXED = _FORM.size
LONGEST_KEY = 16384
LONGEST_ETAG = 128
MOST = 1 << 20
"""Bytes that may stand before a body."""
LARGEST = 1 << 62


class BadEntry(ValueError):
    """Raised for a file that holds no entry, or not this one; the text says what is wrong with it."""


@dataclass(slots=True)
class CacheEntry:
    """A kept answer without its body. Times are seconds since 1970 (`last_modified` -1 where it is not known), but
    `updating` and `error` are spans behind `valid`. `head` is a head of HTTP/1.1. `head_only`: what HEAD was answered
    with, which nobody else may get. `family` is new with each first answer under a key: those that vary from it belong
    to it, and are gone with it."""

    key: bytes
    head: bytes
    valid: int
    date: int
    updating: int = 0
    error: int = 0
    last_modified: int = -1
    etag: bytes = b""
    vary: bytes = b""
    variant: bytes = bytes(16)
    family: bytes = bytes(8)
    body_length: int = 0
    head_only: bool = False

    @property
    def start(self) -> int:
        """Return where the body begins."""
        return FIXED + len(self.key) + len(self.vary) + len(self.etag) + len(self.head)


def pack(entry: CacheEntry) -> bytes:
    """Write all that stands before the body."""
    behind = entry.key + entry.vary + entry.etag + entry.head
    fixed = bytearray(
        _FORM.pack(
            MARK,
            VERSION,
            _HEAD_ONLY if entry.head_only else 0,
            0,
            entry.valid,
            entry.updating,
            entry.error,
            entry.date,
            entry.last_modified,
            len(entry.key),
            len(entry.vary),
            len(entry.etag),
            len(entry.head),
            entry.body_length,
            entry.variant,
            entry.family,
        )
    )
    fixed[_CHECKSUM] = crc32(behind, crc32(fixed)).to_bytes(4, "little")
    return bytes(fixed) + behind


def length_of(data: bytes) -> int:
    """Return how many bytes stand before the body, by the fixed part that `data` begins with. Raises `BadEntry`."""
    if len(data) < FIXED:
        raise BadEntry("it is too short")
    mark, version, *_, key, vary, etag, head, body, _, _ = _FORM.unpack_from(data)
    if mark != MARK:
        raise BadEntry("it is no file of this cache")
    if version != VERSION:
        raise BadEntry(f"it has version {version}, and not {VERSION}")
    total: int = FIXED + key + vary + etag + head
    if total > MOST or body > LARGEST:
        raise BadEntry("its lengths are no lengths")
    return total


def unpack(data: bytes, size: int) -> CacheEntry:
    """Read an entry out of what stands before the body of a file of `size` bytes. Raises `BadEntry`."""
    total = length_of(data)
    if len(data) < total:
        raise BadEntry("it is too short")
    (_, _, flags, checksum, valid, updating, error, date, modified, key, vary, etag, _, body, variant, family) = (
        _FORM.unpack_from(data)
    )
    fixed = bytearray(data[:FIXED])
    fixed[_CHECKSUM] = bytes(4)
    if crc32(data[FIXED:total], crc32(fixed)) != checksum:
        raise BadEntry("its checksum is another")
    if total + body != size:
        raise BadEntry(f"it has {size} bytes, and not {total + body}")
    at = FIXED + key
    return CacheEntry(
        data[FIXED:at],
        data[at + vary + etag : total],
        valid,
        date,
        updating,
        error,
        modified,
        data[at + vary : at + vary + etag],
        data[at : at + vary],
        variant,
        family,
        body,
        bool(flags & _HEAD_ONLY),
    )

"""Fields of a head as HPACK writes them (RFC 7541), without a dynamic table.

A table of our own per connection would save a client a few bytes an answer, and cost memory on each connection and a
search in it for each field. Fields are written as literals with names from the static table instead, and those that
come again and again are written once.
"""

from __future__ import annotations

from hpack.huffman_constants import REQUEST_CODES, REQUEST_CODES_LENGTH
from hpack.table import HeaderTable

NO_TABLE = b"\x20"
"""The first word to a peer that has changed how large the table may be: it is empty."""

HOP_BY_HOP = frozenset(("connection", "keep-alive", "proxy-connection", "transfer-encoding", "upgrade"))
"""Fields of HTTP/1.1 that have no place in HTTP/2 (RFC 9113 section 8.2.2)."""

_CHANGING = frozenset(
    (
        "age",
        "content-length",
        "content-range",
        "etag",
        "expires",
        "last-modified",
        "location",
        "sec-websocket-accept",
        "set-cookie",
        "x-request-id",
    )
)
"""What is hardly ever the same twice is not remembered."""

_REMEMBERED_MOST = 2048
_REMEMBERED_LONGEST = 256

_codes = tuple(f"{code:0{size}b}" for code, size in zip(REQUEST_CODES, REQUEST_CODES_LENGTH, strict=True))
_static: dict[tuple[bytes, bytes], int] = {}
_static_names: dict[str, int] = {}
for _number, (_key, _value) in enumerate(HeaderTable.STATIC_TABLE, 1):
    _static.setdefault((_key, _value), _number)
    _static_names.setdefault(_key.decode("ascii"), _number)

_known: dict[tuple[str, str], bytes] = {}
_names: dict[str, bytes] = {}


def field(name: str, value: str) -> bytes:
    """One field. The name is in lower case; both are text of latin-1."""
    if name in _CHANGING:
        return _name(name) + _text(value.encode("latin-1"))
    known = _known.get((name, value))
    if known is None:
        known = _encoded(name, value)
        if len(known) <= _REMEMBERED_LONGEST:
            if len(_known) >= _REMEMBERED_MOST:
                _known.clear()
            _known[name, value] = known
    return known


def status(code: int) -> bytes:
    """`:status`."""
    return field(":status", f"{code:03d}")


def _encoded(name: str, value: str) -> bytes:
    text = value.encode("latin-1")
    number = _static.get((name.encode("latin-1"), text))
    if number is not None:
        return bytes((0x80 | number,))
    return _name(name) + _text(text)


def _name(name: str) -> bytes:
    """A literal that is not indexed, up to its value."""
    known = _names.get(name)
    if known is None:
        number = _static_names.get(name)
        known = _integer(number, 4, 0) if number is not None else b"\0" + _text(name.encode("latin-1"))
        if len(_names) >= _REMEMBERED_MOST:
            _names.clear()
        if len(known) <= _REMEMBERED_LONGEST:
            _names[name] = known
    return known


def _text(data: bytes) -> bytes:
    """A string, in Huffman's code where that makes it shorter (section 5.2)."""
    bits = "".join([_codes[byte] for byte in data])
    size = (len(bits) + 7) // 8
    if size >= len(data):
        return _integer(len(data), 7, 0) + data
    padded = bits + "1" * (size * 8 - len(bits))
    return _integer(size, 7, 0x80) + int(padded, 2).to_bytes(size, "big")


def _integer(number: int, bits: int, flags: int) -> bytes:
    """A number that shares its first byte with flags (RFC 7541 section 5.1)."""
    most = (1 << bits) - 1
    if number < most:
        return bytes((flags | number,))
    out = bytearray((flags | most,))
    number -= most
    while number >= 128:
        out.append(number & 127 | 128)
        number >>= 7
    out.append(number)
    return bytes(out)

"""Fields of a head as HPACK writes them (RFC 7541), without a dynamic table.

A table of our own per connection would save a client a few bytes an answer, and cost memory on each connection and a
search in it for each field. Fields are written as literals with names from the static table instead, and those that
come again and again are written once.
"""

from __future__ import annotations

from penstock.http.h2.huffman import encode
from penstock.http.h2.static_table import STATIC
from penstock.http.line import value_safe

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

_static: dict[tuple[bytes, bytes], int] = {}
_static_names: dict[str, int] = {}
for _number, (_key, _value) in enumerate(STATIC[1:], 1):
    _static.setdefault((_key, _value), _number)
    _static_names.setdefault(_key.decode("ascii"), _number)

_known: dict[tuple[str, str], bytes] = {}
_names: dict[str, bytes] = {}


_LENGTH = b"\x0f\x0d"
"""The name `content-length`, number 28 of the static table, of a literal that is not indexed (section 6.2.2)."""


def field(name: str, value: str) -> bytes:
    """Encode one field. The name is in lower case; both are text of latin-1. Spaces around a value, which say nothing,
    would make it malformed (RFC 9113, 8.2.1), and so would control characters, which are percent-encoded."""
    known = _known.get((name, value))
    if known is None:
        if not value.isprintable():
            value = value_safe(value)
        if name in _CHANGING:
            return _name(name) + _text(value.strip(" \t").encode("latin-1"))
        known = _encoded(name, value)
        if len(known) <= _REMEMBERED_LONGEST:
            if len(_known) >= _REMEMBERED_MOST:
                _known.clear()
            _known[name, value] = known
    return known


def content_length(size: int) -> bytes:
    """Encode `content-length`, as it is: Huffman's code makes few numbers shorter."""
    text = b"%d" % size
    return _LENGTH + bytes((len(text),)) + text


def status(code: int) -> bytes:
    """Encode `:status`."""
    return field(":status", f"{code:03d}")


def _encoded(name: str, value: str) -> bytes:
    text = value.strip(" \t").encode("latin-1")
    number = _static.get((name.encode("latin-1"), text))
    if number is not None:
        return bytes((0x80 | number,))
    return _name(name) + _text(text)


def _name(name: str) -> bytes:
    """Encode a literal that is not indexed, up to its value."""
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
    """Encode a string, in Huffman's code where that makes it shorter (section 5.2)."""
    coded = encode(data)
    if len(coded) >= len(data):
        return _integer(len(data), 7, 0) + data
    return _integer(len(coded), 7, 0x80) + coded


def _integer(number: int, bits: int, flags: int) -> bytes:
    """Encode a number that shares its first byte with flags (RFC 7541 section 5.1)."""
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

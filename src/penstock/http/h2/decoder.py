"""Field blocks -> fields (RFC 7541), for one direction of one connection.

Most fields are an index into the table, which is a look-up here; a literal is two slices. A block that comes again
while the table is the same is not looked at twice: a client that asks for the same sends the same few bytes.
"""

from __future__ import annotations

from collections import deque

from penstock.http.h2.huffman import decode as decode_huffman
from penstock.http.h2.parts import BadBlock, TooManyFields
from penstock.http.h2.static_table import STATIC

Field = tuple[bytes, bytes]

OVERHEAD = 32
"""Bytes that a field counts for beside its name and value (section 4.1)."""

TABLE_SIZE = 4096
_KNOWN = len(STATIC)
_LONGEST = 4
"""Bytes of a number behind its first: what goes beyond them is more than any block can hold."""


class Decoder:
    """`max_header_list_size` bounds the fields of a block as `OVERHEAD` counts them; the table holds at most
    `max_allowed_table_size` bytes. `size` is what the last block came to, counted so.
    """

    __slots__ = (
        "_block",
        "_fields",
        "_size",
        "_table",
        "header_table_size",
        "max_allowed_table_size",
        "max_header_list_size",
        "size",
    )

    def __init__(self, max_header_list_size: int = 65536) -> None:
        self.max_header_list_size = max_header_list_size
        self.max_allowed_table_size = TABLE_SIZE
        self.header_table_size = TABLE_SIZE
        self._table: deque[Field] = deque()
        self._size = 0
        self._block: bytes | None = None
        self._fields: list[Field] = []
        self.size = 0

    def decode(self, data: bytes) -> list[Field]:
        """Decode the fields of a block; who gets them changes nothing in them. Raises `BadBlock`, `TooManyFields`; no
        block can be decoded after that."""
        if data == self._block:
            return self._fields
        fields: list[Field] = []
        table = self._table
        at, end, room = 0, len(data), self.max_header_list_size
        untouched = True
        try:
            while at < end:
                first = data[at]
                at += 1
                if first & 0x80:
                    index = first & 0x7F
                    if index == 0x7F:
                        index, at = _number(data, at, 0x7F)
                    if index < _KNOWN:
                        if not index:
                            raise BadBlock("an index of 0")
                        pair = STATIC[index]
                    else:
                        pair = table[index - _KNOWN]
                elif first & 0xE0 == 0x20:
                    if fields:
                        raise BadBlock("the size of the table behind a field")
                    untouched = False
                    at = self._resize(data, at, first & 0x1F)
                    continue
                else:
                    most = 0x3F if first & 0x40 else 0x0F
                    index = first & most
                    if index == most:
                        index, at = _number(data, at, most)
                    if index:
                        name = STATIC[index][0] if index < _KNOWN else table[index - _KNOWN][0]
                    else:
                        name, at = _string(data, at)
                    value, at = _string(data, at)
                    pair = name, value
                    if most == 0x3F:
                        untouched = False
                        self._add(pair)
                fields.append(pair)
                room -= len(pair[0]) + len(pair[1]) + OVERHEAD
                if room < 0:
                    raise TooManyFields(f"more than {self.max_header_list_size} bytes of fields")
        except IndexError:
            raise BadBlock("an index beyond the table, or a block that is cut off") from None
        if self.header_table_size > self.max_allowed_table_size:
            raise BadBlock("the table is larger than allowed")
        self.size = self.max_header_list_size - room
        if untouched:
            self._block, self._fields = data, fields
        return fields

    def _add(self, pair: Field) -> None:
        """Put a field into the table (section 4.4)."""
        self._block = None
        size = len(pair[0]) + len(pair[1]) + OVERHEAD
        self._evict(self.header_table_size - size)
        if size <= self.header_table_size:
            self._table.appendleft(pair)
            self._size += size

    def _evict(self, most: int) -> None:
        table = self._table
        while table and self._size > most:
            name, value = table.pop()
            self._size -= len(name) + len(value) + OVERHEAD

    def _resize(self, data: bytes, at: int, size: int) -> int:
        """Set a new size for the table (section 6.3), and return where the block goes on."""
        if size == 0x1F:
            size, at = _number(data, at, 0x1F)
        self._block = None
        if size > self.max_allowed_table_size:
            raise BadBlock("the table is larger than allowed")
        self.header_table_size = size
        self._evict(size)
        return at


def _number(data: bytes, at: int, start: int) -> tuple[int, int]:
    """Read the rest of a number that did not fit beside its flags (section 5.1), and where it ends."""
    number, shift = start, 0
    for _ in range(_LONGEST):
        byte = data[at]
        at += 1
        number += (byte & 0x7F) << shift
        if byte < 0x80:
            return number, at
        shift += 7
    raise BadBlock("a number without an end")


def _string(data: bytes, at: int) -> tuple[bytes, int]:
    """Read a string (section 5.2), and where it ends."""
    first = data[at]
    at += 1
    size = first & 0x7F
    if size == 0x7F:
        size, at = _number(data, at, 0x7F)
    stop = at + size
    if stop > len(data):
        raise BadBlock("a string that is cut off")
    text = data[at:stop]
    return (decode_huffman(text) if first & 0x80 else text), stop

"""Records of FastCGI 1.0 (its specification, sections 3, 5 and 8): ours are written, an application's are read.

A record is a header of 8 bytes (version, type, request, length of content, length of padding), the content, and the
padding. There is one request at a time on a connection, and its number is 1.
"""

from __future__ import annotations

from struct import Struct
from typing import Final

from penstock.http.errors import BadResponse

BEGIN_REQUEST: Final = 1
END_REQUEST: Final = 3
PARAMS: Final = 4
STDIN: Final = 5
STDOUT: Final = 6
STDERR: Final = 7

_RESPONDER = 1
_KEEP_CONN = 1
REQUEST = 1
LARGEST = 65528
"""Bytes of content in a record of ours: what two bytes can say, and no padding needed."""
SHORT_MOST = 127
END_SIZE = 8
_HEADER = Struct(">BBHHBx")
_ROLE = Struct(">HB5x")
_LONG = Struct(">I")
_END = Struct(">IB3x")
_REFUSALS = {1: "FCGI_CANT_MPX_CONN", 2: "FCGI_OVERLOADED", 3: "FCGI_UNKNOWN_ROLE"}


def record(kind: int, content: bytes) -> bytes:
    """Write one record of at most `LARGEST` bytes of content, padded to a multiple of 8 bytes."""
    padding = -len(content) % 8
    return _HEADER.pack(1, kind, REQUEST, len(content), padding) + content + bytes(padding)


def records(kind: int, content: bytes) -> bytes:
    """Write as many records as the content needs; none for no content."""
    if len(content) <= LARGEST:
        return record(kind, content) if content else b""
    return b"".join(record(kind, content[at : at + LARGEST]) for at in range(0, len(content), LARGEST))


def begin(*, keep: bool) -> bytes:
    """Write what begins a request to a responder. `keep`: the application leaves the connection open afterwards."""
    return record(BEGIN_REQUEST, _ROLE.pack(_RESPONDER, _KEEP_CONN if keep else 0))


def name_value(name: bytes, value: bytes) -> bytes:
    """Write one name-value pair (section 3.4)."""
    return _length(len(name)) + _length(len(value)) + name + value


def _length(count: int) -> bytes:
    return bytes((count,)) if count <= SHORT_MOST else _LONG.pack(count | 1 << 31)


def refusal(content: bytes) -> str:
    """Return why an application has not taken a request, by what END_REQUEST holds; "" where it has."""
    _, status = _END.unpack(content)
    return "" if status == 0 else _REFUSALS.get(status, f"protocol status {status}")


class StdinCoding:
    """The body of a request, in records (`Coding`)."""

    __slots__ = ()
    end = record(STDIN, b"")
    longest = LARGEST

    def piece(self, data: bytes) -> bytes:
        """Write a part of a body."""
        return records(STDIN, data)

    def head(self, count: int) -> bytes:
        """Write what stands before `count` bytes that follow by themselves."""
        return _HEADER.pack(1, STDIN, REQUEST, count, 0)


CODING = StdinCoding()


class RecordReader:
    """The records of an application, as they come.

        reader.feed(data)
        while (found := reader.next()) is not None:
            kind, content = found

    `kind` is STDOUT, STDERR or END_REQUEST. A long record comes in pieces; content is empty only where a stream ends.
    After END_REQUEST there is nothing more. `clean`: no byte is left, and none is missing.
    """

    __slots__ = ("_at", "_data", "_ended", "_kind", "_left", "_padding")

    def __init__(self) -> None:
        self._data = b""
        self._at = 0
        self._kind = 0
        self._left = 0
        self._padding = 0
        self._ended = False

    def feed(self, data: bytes) -> None:
        """Take what has come."""
        at = self._at
        self._data = self._data[at:] + data if at < len(self._data) else data
        self._at = 0

    def next(self) -> tuple[int, bytes] | None:
        """Return the next piece, None where more has to come first. Raises `BadResponse`."""
        data = self._data
        while True:
            have = len(data) - self._at
            if self._left:
                return self._content(have)
            if self._padding:
                skipped = min(self._padding, have)
                self._padding -= skipped
                self._at += skipped
                if self._padding:
                    return None
                continue
            if self._ended or have < _HEADER.size:
                return None
            self._begin(data)
            if not self._left:
                return self._kind, b""

    def _begin(self, data: bytes) -> None:
        version, kind, request, length, padding = _HEADER.unpack_from(data, self._at)
        if version != 1:
            raise BadResponse(502, f"upstream sent unsupported FastCGI protocol version: {version}")
        if kind not in (STDOUT, STDERR, END_REQUEST):
            raise BadResponse(502, f"upstream sent invalid FastCGI record type: {kind}")
        if request != REQUEST:
            raise BadResponse(502, f"upstream sent unexpected FastCGI request id: {request}")
        if kind == END_REQUEST and length != END_SIZE:
            raise BadResponse(502, f"upstream sent FastCGI end of request with {length} bytes")
        self._at += _HEADER.size
        self._kind = kind
        self._left = length
        self._padding = padding

    def _content(self, have: int) -> tuple[int, bytes] | None:
        kind = self._kind
        if kind == END_REQUEST:
            if have < self._left:
                return None
            self._ended = True
        elif not have:
            return None
        count = min(self._left, have)
        at = self._at
        self._at = at + count
        self._left -= count
        return kind, self._data[at : at + count]

    @property
    def clean(self) -> bool:
        """Return whether the request has ended, and the connection is ready for another."""
        return self._ended and not self._padding and self._at == len(self._data)

    def unread(self, count: int) -> None:
        """Put the last bytes of the piece that `next` has just given back, before what follows."""
        self._at -= count
        self._left += count

    def drain(self) -> bytes:
        """Take what has not been looked at; feeding it again goes on where this was."""
        data, self._data = self._data[self._at :], b""
        self._at = 0
        return data

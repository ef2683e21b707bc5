"""Bodies in chunks (RFC 9112 section 7.1): taken apart, and put together."""

from __future__ import annotations

import re

from penstock.http.errors import BadMessage, BadRequest, BadResponse
from penstock.http.fields import CONTROL, NAME, Headers
from penstock.http.line import value_safe

LAST_CHUNK = b"0\r\n\r\n"

# chunk (RFC 9112, section 7.1) up to its data: chunk-size [ BWS chunk-ext ] CRLF; sizes of up to 60 bits.
_size_line = re.compile(rb"(?=[0-9A-Fa-f])0*+([0-9A-Fa-f]{0,15}+)[ \t]*+(?:;[\t -~\x80-\xff]*+)?\r\n").match

_LONGEST_LINE = 4096
_LONGEST_TRAILERS = 8192
_MOST_TRAILERS = 100

# A chunk may take this much more than its data before it counts as waste, and so much waste is borne.
_FREE = 16
_MOST_WASTE = 16384

# In a trailer these would change what the message is or whom it is for, after it was dealt with.
_REFUSED = frozenset(("content-length", "host", "transfer-encoding"))
_IGNORED = frozenset(
    (
        "authorization",
        "cache-control",
        "connection",
        "content-encoding",
        "content-range",
        "content-type",
        "cookie",
        "expect",
        "keep-alive",
        "max-forwards",
        "proxy-authorization",
        "proxy-connection",
        "range",
        "set-cookie",
        "te",
        "trailer",
        "upgrade",
    )
)


def may_trail(name: str) -> bool:
    """Return whether a field of that name (in lower case) is passed on where it stands behind a body: it must not
    change how the message is taken (RFC 9110, section 6.5.1)."""
    return name not in _IGNORED and name not in _REFUSED


def encode_chunk(data: bytes) -> bytes:
    """Encode one chunk. Empty data makes no chunk, as that would end the body."""
    return b"%x\r\n%b\r\n" % (len(data), data) if data else b""


def last_chunk(trailers: Headers) -> bytes:
    """Encode the end of a body, with trailers."""
    lines = "".join(f"{name}: {value_safe(value)}\r\n" for name, value in trailers)
    return b"0\r\n%b\r\n" % lines.encode("latin-1")


class ChunkedDecoder:
    """A decoder that takes the chunked body of a backend apart as it comes.

    `feed` answers with the pieces of data in what it is given. Once `done`, `rest` is what followed the body
    and `trailers` what came with its end. The framing is not passed on, and must be well formed: CRLF and
    nothing else ends a line; extensions are skipped, within bounds. Only names that may stand in a trailer
    are kept; Content-Length, Transfer-Encoding and Host there are refused. Raises `BadResponse`, and is of no
    more use then.
    """

    __slots__ = ("_left", "_pending", "_seen", "_trailing", "_waste", "done", "rest", "trailers")

    def __init__(self) -> None:
        self._pending = b""
        self._left = 0
        """Data bytes of the chunk at hand still to come, and its CRLF; 0 before a size line."""
        self._seen = 0
        """Of the trailers at hand so many bytes have been looked at."""
        self._trailing = False
        self._waste = 0
        self.done = False
        self.rest = b""
        self.trailers: Headers = []

    def feed(self, data: bytes) -> list[bytes]:
        """Decode what was read, and return the data in it. Raises `BadMessage`."""
        if self.done:
            self.rest += data
            return []
        if self._pending:
            data = self._pending + data
            self._pending = b""
        pieces: list[bytes] = []
        at = 0
        size = len(data)
        while at < size:
            if self._trailing:
                self._end(data[at:])
                break
            left = self._left
            if left > 2:
                end = at + left - 2
                pieces.append(data[at:end])
                if data.startswith(b"\r\n", end):
                    at = end + 2
                    self._left = 0
                elif end < size:
                    at = end
                    self._left = 2
                else:
                    self._left = end - size + 2
                    at = size
                continue
            if left:
                if data[at] != (13 if left == 2 else 10):
                    raise self.error("invalid chunked body")
                at += 1
                self._left = left - 1
                continue
            match = _size_line(data, at)
            if match is None:
                self._wait(data[at:])
                break
            length = int(match[1] or b"0", 16)
            at = match.end()
            self._count_waste(at - match.start(), length)
            if length:
                self._left = length + 2
            else:
                self._trailing = True
        return pieces

    def error(self, what: str) -> BadMessage:
        """Make the exception to raise."""
        return BadResponse(502, f"upstream sent {what}")

    def _wait(self, line: bytes) -> None:
        """Keep the beginning of a size line, if it can still become one."""
        if len(line) > _LONGEST_LINE or _size_line_so_far(line) is None:
            raise self.error("invalid chunked body")
        self._pending = line

    def _count_waste(self, line: int, length: int) -> None:
        if line > _LONGEST_LINE:
            raise self.error("invalid chunked body")
        self._waste = max(0, self._waste + line + 2 - _FREE - 2 * length)
        if self._waste > _MOST_WASTE:
            raise self.error("chunked body that is mostly framing")

    def _end(self, data: bytes) -> None:
        """Read what comes after the last chunk: trailers, if any, and an empty line."""
        if data.startswith(b"\r\n"):
            self.rest = data[2:]
            self.done = True
            return
        seen = self._seen
        end = data.find(b"\r\n\r\n", max(0, seen - 3))
        if (end if end >= 0 else len(data)) > _LONGEST_TRAILERS:
            raise self.error("too big trailers")
        if end < 0:
            if _lone_line_feed(data, seen):
                raise self.error("invalid trailer")
            self._pending = data
            self._seen = len(data)
            return
        self.trailers = self._parse_trailers(str(data[:end], "latin-1"))
        self.rest = data[end + 4 :]
        self.done = True

    def _parse_trailers(self, text: str) -> Headers:
        lines = text.split("\r\n")
        if len(lines) > _MOST_TRAILERS:
            raise self.error("too many trailers")
        trailers: Headers = []
        for line in lines:
            match = NAME.match(line)
            value = line[match.end() :].strip(" ") if match else ""
            if match is None or CONTROL.search(value):
                raise self.error("invalid trailer")
            name = match[1].lower()
            if name in _REFUSED:
                raise self.error(f'"{match[1]}" in trailers')
            if may_trail(name) and _token(name):
                trailers.append((match[1], value))
        return trailers


class RequestBodyDecoder(ChunkedDecoder):
    """A decoder for a client's body. Raises `BadRequest`."""

    __slots__ = ()

    def error(self, what: str) -> BadMessage:
        """Make the error for a body that breaks the coding: the client's fault, 400."""
        return BadRequest(400, f"client sent {what}")


# What can still become one.
_size_line_so_far = re.compile(
    rb"(?:(?=[0-9A-Fa-f])0*+[0-9A-Fa-f]{0,15}+[ \t]*+(?:;[\t -~\x80-\xff]*+)?\r?)?"
).fullmatch
# A line of the trailer-section (RFC 9112, section 7.1.2) that ends in LF without CR.
_lone_line_feed = re.compile(rb"(?<!\r)\n").search
# token (RFC 9110, section 5.6.2): a field-name of a trailer, in lower case.
_token = re.compile(r"[!#$%&'*+.^_`|~0-9a-z-]+", re.ASCII).fullmatch

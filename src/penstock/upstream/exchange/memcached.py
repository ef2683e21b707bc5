"""Values of memcached, by its text protocol (protocol.txt, "Retrieval command"): one `get` of one key.

    VALUE key flags bytes\\r\\n          END\\r\\n
    data\\r\\n                           where there is none
    END\\r\\n
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from penstock.http.errors import BadResponse, excerpt
from penstock.http.response import ResponseHead
from penstock.upstream.errors import failed
from penstock.upstream.exchange.exchange import Exchange
from penstock.upstream.exchange.outgoing import Prepared
from penstock.upstream.exchange.reading import DOING, receive

if TYPE_CHECKING:
    from penstock.net.stream import Stream
    from penstock.upstream.exchange.framing import Framing

TRAILER = b"\r\nEND\r\n"
_value = re.compile(rb"VALUE ([^ ]+) ([0-9]{1,10}) ([0-9]{1,18})(?: [0-9]+)?", re.ASCII).fullmatch
_escaped = re.compile("[\x00-\x20%\x7f]").sub


def escape_key(key: str) -> str:
    """Write what would end a key, or the command, with percent signs."""
    return _escaped(lambda found: f"%{ord(found[0]):02X}", key)


@dataclass(slots=True)
class MemcachedPrepared(Prepared):
    """`key` is what was asked for, `gzipped` the bit of the flags that says a value is compressed; 0 for none."""

    key: bytes = b""
    gzipped: int = 0


def parse_line(line: bytes, key: bytes, gzipped: int) -> ResponseHead:
    """Make the head of an answer, 200 with a length or 404, of its first line without the end. Raises `BadResponse`."""
    if line == b"END":
        head = ResponseHead(404, "404 Not Found", 10, [], {})
        head.content_length = 0
        head.keep_alive = True
        return head
    found = _value(line)
    if found is None:
        raise BadResponse(502, f'memcached sent invalid response: "{excerpt(line.decode("latin-1"))}"')
    if found[1] != key:
        shown = excerpt(line.decode("latin-1"))
        raise BadResponse(502, f'memcached sent invalid key in response "{shown}" for key "{key.decode("latin-1")}"')
    coded = bool(int(found[2]) & gzipped)
    headers = [("Content-Encoding", "gzip")] if coded else []
    head = ResponseHead(200, "200 OK", 10, headers, {"content-encoding": "gzip"} if coded else {})
    head.content_length = int(found[3])
    head.keep_alive = False
    return head


class MemcachedExchange(Exchange):
    """An `Exchange` with memcached. A connection may be kept once the end of the answer has been seen."""

    __slots__ = ()
    plan: MemcachedPrepared

    def _send(self, stream: Stream) -> bool:
        super()._send(stream)
        return False

    async def _head(self, stream: Stream) -> ResponseHead:
        most = self.policy.head_size
        data = b""
        while b"\n" not in data:
            if len(data) >= most:
                raise failed(f"upstream sent too big header while {DOING}", retry="invalid_header")
            got = await receive(self, stream, most - len(data))
            self.attempt.bytes_received += len(got)
            data += got
        line, _, self.rest = data.partition(b"\n")
        try:
            if not line.endswith(b"\r"):
                raise BadResponse(502, f'memcached sent invalid response: "{excerpt(line.decode("latin-1"))}"')
            head = parse_line(line[:-1], self.plan.key, self.plan.gzipped)
        except BadResponse as error:
            raise failed(f"{error.reason} while {DOING}", retry="invalid_header", cause=error) from None
        head.length = len(line) + 1
        if head.status == 404 and self.rest:
            head.keep_alive = False
        return head


class ValueFraming:
    """The bytes of a value, and the end behind it. `head.keep_alive` becomes true with a whole one."""

    __slots__ = ("_head", "_left", "_trailer", "done", "surplus", "trailers")

    def __init__(self, head: ResponseHead, method: str) -> None:
        self._head = head
        self._left = head.content_length or 0
        self._trailer = b""
        self.done = head.status == 404 or method == "HEAD"
        self.surplus = ""
        self.trailers: list[tuple[str, str]] = []

    def feed(self, data: bytes) -> bytes:
        """Return the bytes of the value in these."""
        piece = data[: self._left]
        self._left -= len(piece)
        if not self._left:
            self._trailer += data[len(piece) : len(piece) + len(TRAILER) + 1]
            if not TRAILER.startswith(self._trailer):
                self.done = True
                self.surplus = "memcached sent invalid trailer"
            elif self._trailer == TRAILER:
                self.done = self._head.keep_alive = True
        return piece

    def may_end(self) -> bool:
        """Return whether the value is whole; its trailer may be missing."""
        return not self._left


class MemcachedWire:
    """The part of a `BackendProtocol` that memcached has: heads come by another way."""

    __slots__ = ()

    def read_head(self, data: bytes, seen: int) -> ResponseHead | None:
        raise NotImplementedError

    def framing(self, head: ResponseHead, method: str) -> Framing:
        return ValueFraming(head, method)


MEMCACHED = MemcachedWire()

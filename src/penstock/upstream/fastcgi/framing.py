"""FastCGI as a protocol of backends: the head is in the manner of CGI, and records say where the body ends."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from penstock.http.errors import BadResponse
from penstock.http.response import ResponseHead
from penstock.upstream.exchange.cgi import CGI
from penstock.upstream.exchange.wire import BODILESS
from penstock.upstream.fastcgi.records import STDERR, STDOUT, RecordReader

if TYPE_CHECKING:
    from penstock.upstream.exchange.framing import Framing

PREMATURE = "upstream prematurely closed FastCGI"
SURPLUS = 'upstream sent more data than specified in "Content-Length" header'


class RecordHead(ResponseHead):
    """The head of an answer, and the reader of what follows it. `keeps`: the application was asked to leave the
    connection open. `keep_alive` becomes true with the request's clean end."""

    __slots__ = ("keeps", "reader")

    reader: RecordReader
    keeps: bool


def record_head(text: bytes, seen: int, reader: RecordReader, *, keeps: bool) -> RecordHead | None:
    """Read a head out of what has come of STDOUT; None while it is not whole. Raises `BadResponse`."""
    found = CGI.read_head(text, seen)
    if found is None:
        return None
    if found.status < 200:
        raise BadResponse(502, f'upstream sent invalid status "{found.status}"')
    head = RecordHead(found.status, found.status_line, found.version, found.headers, found.fields)
    head.dropped = found.dropped
    head.content_length = found.content_length
    head.chunked = False
    head.keep_alive = False
    head.length = found.length
    head.reader = reader
    head.keeps = keeps
    return head


class RecordFraming:
    """A body in STDOUT. It is whole with the end of that stream and then of the request; the connection's end alone is
    none. Who goes before an application has said its last word lets it run into a broken pipe.

    `say` takes what comes in STDERR meanwhile. `left` bytes are still to come, where that is known.
    """

    __slots__ = ("_bodiless", "_closed", "_head", "_reader", "done", "left", "say", "surplus", "trailers")

    def __init__(self, head: RecordHead, *, bodiless: bool) -> None:
        self._head = head
        self._reader = head.reader
        self._bodiless = bodiless
        self._closed = False
        self.left = None if bodiless else head.content_length
        self.done = bodiless and not head.keeps
        self.surplus = ""
        self.trailers: list[tuple[str, str]] = []
        self.say: Callable[[bytes], None] = _nothing

    def feed(self, data: bytes) -> bytes:
        """Return the body in these bytes. Raises `BadResponse`."""
        reader = self._reader
        reader.feed(data)
        pieces = []
        while not self.done:
            found = reader.next()
            if found is None:
                break
            kind, content = found
            if kind == STDERR:
                if content:
                    self.say(content)
            elif kind != STDOUT:
                self._end("request")
                self._head.keep_alive = self._head.keeps and reader.clean
                self.done = True
            elif not content:
                self._end("stdout")
                self._closed = True
            elif not self._bodiless:
                pieces.append(self._counted(content))
        if len(pieces) == 1:
            return pieces[0]
        return b"".join(pieces)

    def _counted(self, content: bytes) -> bytes:
        left = self.left
        if left is None:
            return content
        if len(content) > left:
            self.surplus = SURPLUS
            self.done = True
            content = content[:left]
        self.left = left - len(content)
        return content

    def _end(self, what: str) -> None:
        if self.left:
            raise BadResponse(502, f"{PREMATURE} {what}")

    def may_end(self) -> bool:
        """Return whether the application has ended its STDOUT, be it without FCGI_END_REQUEST."""
        self.done = self.done or self._closed
        return self.done


def _nothing(text: bytes) -> None:
    """Drop it."""


class FastCgiWire:
    """The part of a `BackendProtocol` that FastCGI has: heads come by another way."""

    __slots__ = ()

    def read_head(self, data: bytes, seen: int) -> ResponseHead | None:
        raise NotImplementedError

    def framing(self, head: ResponseHead, method: str) -> Framing:
        assert isinstance(head, RecordHead)
        return RecordFraming(head, bodiless=method == "HEAD" or head.status in BODILESS)


FASTCGI = FastCgiWire()

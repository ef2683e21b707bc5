"""What differs between the protocols that backends speak: how a head is found and read, where the body ends."""

from __future__ import annotations

import re
from typing import Protocol

from penstock.http.errors import BadResponse
from penstock.http.response import ResponseHead, head_end, is_status_line, parse_response, plain_response
from penstock.shared.memo import Memo
from penstock.upstream.exchange.framing import ChunkedFraming, CloseFraming, Framing, LengthFraming

BODILESS = frozenset({204, 304})


# The base64 of a SHA-1 (RFC 6455, section 4.2.2), in a line as nearly all write it.
_accept = re.compile(rb"\r\nSec-WebSocket-Accept: ([A-Za-z0-9+/]{27}=)\r\n").search
_NAME = "Sec-WebSocket-Accept"
_KEY = _NAME.lower()
_SWITCHES = b"HTTP/1.1 101 "

_known: Memo[bytes, ResponseHead] = Memo()


class BackendProtocol(Protocol):
    """A protocol that backends speak. It keeps no state: the same object serves every exchange."""

    def read_head(self, data: bytes, seen: int) -> ResponseHead | None:
        """Read the head that `data` begins with, its `length` set; None while it is not whole.

        `seen` bytes have been looked at before. Raises `BadResponse`.
        """
        ...

    def framing(self, head: ResponseHead, method: str) -> Framing:
        """Return where the body of the answer to a request of that method ends."""
        ...


class SwitchedHead(ResponseHead):
    """The head of a 101 that is like one before."""

    __slots__ = ()


class SwitchedHeads:
    """The heads of 101 that have come again, by all of their bytes but the value of Sec-WebSocket-Accept. Those of one
    backend nearly always have: what is the same is read once, and written once (`ResponseHead.written`)."""

    __slots__ = ("_known",)

    def __init__(self) -> None:
        self._known: Memo[bytes, ResponseHead] = Memo()

    def find(self, text: bytes) -> ResponseHead | None:
        """Make the head that `text` is, if others like it have come; None for any other."""
        match = _accept(text)
        if match is None:
            return None
        start, end = match.span(1)
        known = self._known.get(text[:start] + text[end:])
        if known is None:
            return None
        value = str(match[1], "latin-1")
        old = known.fields[_KEY]
        fields = known.fields.copy()
        fields[_KEY] = value
        headers = known.headers.copy()
        headers[headers.index((_NAME, old))] = (_NAME, value)
        made = SwitchedHead(101, known.status_line, 11, headers, fields)
        made.keep_alive = known.keep_alive
        made.length = known.length
        if known.written is not None:
            made.written = known.written.exchanged(old, value)
        return made

    def note(self, head: ResponseHead, text: bytes) -> None:
        """Remember a head that has come again, if it is one of those."""
        match = _accept(text)
        if match is None or head.repeated or head.chunked or head.content_length is not None:
            return
        start, end = match.span(1)
        key = text[:start] + text[end:]
        if match[1] not in key and self._known.again(key):
            head.shared = True
            self._known[key] = head


_switched = SwitchedHeads()


class Http1:
    """The protocol HTTP/1.0 and 1.1, with nginx's patience for those who answer without a status line (HTTP/0.9)."""

    __slots__ = ()

    def read_head(self, data: bytes, seen: int) -> ResponseHead | None:
        """Read a head. Raises `BadResponse`; bytes that can be no status line make a bare 200 whose `length` is 0."""
        end = data.find(b"\r\n\r\n", seen - 3 if seen > 3 else 0) + 4
        if end >= 4:
            text = data[:end]
            known = _known.get(text)
            if known is not None:
                return known
            if text.startswith(_SWITCHES):
                switched = _switched.find(text)
                if switched is not None:
                    return switched
            plain = plain_response(text)
            if plain is not None:
                return self._noted(plain, text)
        if end < 4 or data.count(b"\n", 0, end) != data.count(b"\r\n", 0, end):
            end = head_end(data, seen)  # a line feed alone ends a line, and perhaps the head, too
        if end < 0:
            if data.find(b"\n", 0, seen) >= 0:
                return None  # the line has been judged before
            return None if is_status_line(data) else bare()
        text = data[:end]
        try:
            head = parse_response(text)
        except BadResponse:
            if is_status_line(data):
                raise
            return bare()
        return self._noted(head, text)

    @staticmethod
    def _noted(head: ResponseHead, text: bytes) -> ResponseHead:
        if head.status == 101:
            _switched.note(head, text)
        elif _known.again(text):
            head.shared = True
            _known[text] = head
        return head

    def framing(self, head: ResponseHead, method: str) -> Framing:
        """Return where the body ends: a length, chunks, or the close (RFC 9112, section 6.3)."""
        if method == "HEAD" or head.status in BODILESS:
            return LengthFraming(0)
        if head.chunked:
            return ChunkedFraming()
        if head.content_length is not None:
            return LengthFraming(head.content_length)
        return CloseFraming()


def bare() -> ResponseHead:
    """Make the head of an answer that has none."""
    head = ResponseHead(200, "", 9, [], {})
    head.keep_alive = False
    return head


HTTP1 = Http1()

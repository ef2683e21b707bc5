"""Heads of 101 that differ in nothing but Sec-WebSocket-Accept, as those of one backend nearly always do: what is the
same is read once, and written once (`ResponseHead.written`)."""

from __future__ import annotations

import re

from penstock.http.head_cache import Memo
from penstock.http.response import ResponseHead

# The base64 of a SHA-1 (RFC 6455, section 4.2.2), in a line as nearly all write it.
_accept = re.compile(rb"\r\nSec-WebSocket-Accept: ([A-Za-z0-9+/]{27}=)\r\n").search
_NAME = "Sec-WebSocket-Accept"
_KEY = _NAME.lower()
BEGINNING = b"HTTP/1.1 101 "


class SwitchedHeads:
    """The heads of 101 that have come again, by all of their bytes but the value."""

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
        made = ResponseHead(101, known.status_line, 11, headers, fields)
        made.keep_alive = known.keep_alive
        made.length = known.length
        written = known.written
        if written is not None:
            first, before, after = written[1]
            made.written = [written[0], (first, before, after.replace(old, value)), None]
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

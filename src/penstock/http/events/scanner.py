"""Where the events of a stream begin and end (WHATWG HTML, section 9.2.6, "Interpreting an event stream"). Sans-IO.

    stream        = [ bom ] *event
    event         = *( comment / field ) end-of-line
    comment       = ":" *any-char end-of-line
    field         = 1*name-char [ ":" [ space ] *any-char ] end-of-line
    end-of-line   = CRLF / LF / CR

Only lines are looked at, and only their first bytes are kept: nothing of what a backend sends makes this larger. Lines
are taken as bytes, so that it does not matter where a character of UTF-8 is cut.
"""

from __future__ import annotations

import re
from typing import Protocol

KEPT = 1024
"""Bytes of a line that are looked at: a longer id is none that could be asked with again."""

BOM = b"\xef\xbb\xbf"

_retry = re.compile(rb"[0-9]{1,9}").fullmatch
# What may stand in a header: visible characters, spaces, and bytes of UTF-8.
_fit_for_header = re.compile(rb"[\t -~\x80-\xff]*").fullmatch


class StreamScanner(Protocol):
    """What a scanner knows of a stream: how many events there were, and whether the last one is over."""

    events: int

    @property
    def at_boundary(self) -> bool:
        """Return whether what came so far ends with a whole event, or a comment between two."""
        ...

    @property
    def mid_line(self) -> bool:
        """Return whether what came so far ends in the middle of a line."""
        ...

    def feed(self, data: bytes) -> int:
        """Take in what came next, and return how many of these bytes end with a whole event; 0 for none of them."""
        ...

    def begin(self) -> None:
        """Expect the beginning of a stream: what was begun and not ended is forgotten."""
        ...


class EventScanner:
    """A scanner of `text/event-stream`. `events` counts what a browser would dispatch; `last_id` is the id it would
    ask with again, None where none was told or none that may stand in a header; `retry` the milliseconds that the
    stream wants it to wait, None where it has not said.
    """

    __slots__ = (
        "_after_cr", "_data", "_dirty", "_first", "_id", "_line", "_long", "events", "last_id", "retry",
    )  # fmt: skip

    def __init__(self, last_id: bytes | None = None) -> None:
        """Begin behind the event that the client has had, if it has named one."""
        self.events = 0
        self.last_id = last_id
        self.retry: int | None = None
        self.begin()

    def begin(self) -> None:
        """Do what `StreamScanner.begin` does. What was learnt stays."""
        self._first = True
        """Whether no line has ended yet: a byte order mark may be before it."""
        self._after_cr = False
        """Whether the last byte was a CR: a LF that comes next belongs to it."""
        self._line = b""
        self._long = False
        """Whether more of the line at hand has come than is kept."""
        self._dirty = False
        """Whether the event at hand has a field already."""
        self._data = False
        """Whether one of them was `data`: without, nothing is dispatched."""
        self._id = self.last_id

    @property
    def at_boundary(self) -> bool:
        """Return whether what came so far ends with a whole event, or a comment between two."""
        return not (self._dirty or self._line)

    @property
    def mid_line(self) -> bool:
        """Return whether what came so far ends in the middle of a line."""
        return bool(self._line)

    def feed(self, data: bytes) -> int:
        """Do what `StreamScanner.feed` does."""
        at = whole = 0
        if self._after_cr and data:
            self._after_cr = False
            if data[0] == 10:
                at = 1
                if self.at_boundary:
                    whole = 1
        # `bytes` splits at CRLF, LF and CR, and nowhere else.
        for piece in data[at:].splitlines(keepends=True):
            at += len(piece)
            text = piece.rstrip(b"\r\n")
            if len(text) == len(piece):
                self._keep(text)
                break
            if self._line:
                self._keep(text)
                text, self._line = self._line, b""
            self._take(text, whole=not self._long)
            self._long = False
            if not self._dirty:
                whole = at
        if data and data[-1] == 13:
            self._after_cr = True
        return whole

    def _keep(self, text: bytes) -> None:
        room = KEPT - len(self._line)
        if len(text) > room:
            self._long = True
            text = text[:room]
        self._line += text

    def _take(self, line: bytes, *, whole: bool) -> None:
        """Take in a line; `whole`: nothing of it was left out."""
        if self._first:
            self._first = False
            line = line.removeprefix(BOM)
        if not line:
            self._dispatch()
            return
        if line[0] == 58:
            return
        self._dirty = True
        name, _, value = line.partition(b":")
        if name == b"data":
            self._data = True
        elif name == b"id":
            value = value.removeprefix(b" ")
            if b"\0" not in value:
                self._id = value if whole and _fit_for_header(value) else None
        elif name == b"retry":
            value = value.removeprefix(b" ")
            if whole and _retry(value):
                self.retry = int(value)

    def _dispatch(self) -> None:
        if self._data:
            self.events += 1
        self.last_id = self._id
        self._dirty = self._data = False


class LineScanner:
    """A scanner of JSON lines (`application/x-ndjson` and its like): an event is a line that is not empty."""

    __slots__ = ("_begun", "events")

    def __init__(self) -> None:
        self.events = 0
        self.begin()

    def begin(self) -> None:
        """Do what `StreamScanner.begin` does."""
        self._begun = False

    @property
    def at_boundary(self) -> bool:
        """Return whether what came so far ends with a whole line."""
        return not self._begun

    @property
    def mid_line(self) -> bool:
        """Return whether what came so far ends in the middle of a line."""
        return self._begun

    def feed(self, data: bytes) -> int:
        """Do what `StreamScanner.feed` does."""
        *lines, rest = data.split(b"\n")
        for line in lines:
            if line or self._begun:
                self.events += 1
            self._begun = False
        if rest:
            self._begun = True
        return len(data) - len(rest)

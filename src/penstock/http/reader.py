"""Heads of requests out of a stream of bytes, within nginx's buffer limits."""

from __future__ import annotations

import re

from penstock.http.errors import BadRequest
from penstock.http.head import DEFAULT_OPTIONS, HeadOptions, RequestHead, parse_request
from penstock.http.head_slow import request_line
from penstock.http.seen_heads import SeenHeads

# A line that ends in LF without CR, which a recipient may take (RFC 9112, section 2.2).
_lone_line_feed = re.compile(rb"(?<!\r)\n").search
# What can still become a method and the space behind it (request-line, RFC 9112, section 3).
_method_so_far = re.compile(rb"[A-Z_-]+(?: |\Z)").match
# What stands nowhere in a head: control characters but HTAB (in values, RFC 9110, section 5.5), CR and LF.
_control = re.compile(rb"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]").search

_LONGEST_LINE = 2048

_seen: dict[HeadOptions, SeenHeads] = {}
"""Heads that came before. What they mean depends on the options."""


def seen_by(options: HeadOptions) -> SeenHeads:
    """Return the heads that came before and were read by these options."""
    seen = _seen.get(options)
    if seen is None:
        seen = _seen[options] = SeenHeads()
    return seen


class HeadReader:
    """A reader that gathers one head after the other.

    `feed` what was read; when it answers with a head, `rest` is what followed. The next request begins with
    `feed(reader.rest)`. The limits are those of client_header_buffer_size (`small`) and
    large_client_header_buffers (`number`, `size`): a line that fits no buffer, or lines that need more
    buffers than there are, raise `BadRequest` with 414 or 494. What is wrong is refused as soon as it is
    seen, complete or not. After a `BadRequest` only `line` is of use.
    """

    __slots__ = (
        "_buffer",
        "_empty_line",
        "_heads",
        "_number",
        "_options",
        "_room",
        "_seen",
        "_size",
        "_small",
        "_start",
        "_used",
        "rest",
    )

    def __init__(
        self,
        options: HeadOptions = DEFAULT_OPTIONS,
        small: int = 1024,
        number: int = 4,
        size: int = 8192,
        heads: SeenHeads | None = None,
    ) -> None:
        self._options = options
        self._heads = heads if heads is not None else seen_by(options)
        self._empty_line = b"\n\r\n" if options.bare_line_feeds else b"\r\n\r\n"
        self._small = small
        self._number = number
        self._size = size
        self._buffer = b""
        self._seen = 0
        # Where the line begins that is not yet complete, what is left of its buffer, how many large ones are
        # used.
        self._start = 0
        self._room = small
        self._used = 0
        self.rest = b""

    @property
    def started(self) -> bool:
        """Return whether part of a head has come, but not all of it."""
        return bool(self._buffer)

    @property
    def line(self) -> str:
        """Return the request line of an unfinished or refused head, as far as it came: for the access log."""
        line = self._buffer[:_LONGEST_LINE].partition(b"\n")[0]
        return str(line.removesuffix(b"\r"), "latin-1")

    def feed(self, data: bytes) -> RequestHead | None:
        """Add what was read, and return the head if it is now complete, else None. Raises `BadRequest`."""
        if self._buffer:
            data = self._buffer + data
        elif data[:1] in b"\r\n":
            data = data.lstrip(b"\r\n")
        start = self._seen - 3 if self._seen > 3 else 0
        at = data.find(self._empty_line, start)
        end = at + len(self._empty_line) if at >= 0 else 0
        if self._options.bare_line_feeds:
            lone = data.find(b"\n\n", start)
            if lone >= 0 and (lone < at or not end):
                end = lone + 2
        try:
            return self._complete(data, end) if end else self._check_unfinished(data)
        except BadRequest:
            self._buffer = data[: self._small + self._size]
            raise

    def _complete(self, data: bytes, end: int) -> RequestHead:
        if end > self._small:
            self._walk(data, end)
        head = parse_request(data[:end], self._options, self._heads)
        self.rest = data[end:]
        if self._buffer:
            self._buffer = b""
            self._seen = 0
        if self._room != self._small:
            self._start = self._used = 0
            self._room = self._small
        return head

    def _check_unfinished(self, data: bytes) -> RequestHead | None:
        if not data:
            return None
        seen = self._seen
        if not self._options.bare_line_feeds and _lone_line_feed(data, seen):
            raise BadRequest(400, "client sent a line that ends in a line feed alone")
        if _control(data, seen):
            raise BadRequest(400, "client sent invalid request")

        first_end = data.find(b"\n") + 1
        if first_end == 0:
            if _method_so_far(data) is None:
                raise BadRequest(400, "client sent invalid method")
        elif seen < first_end:
            first = str(data[:first_end], "latin-1")
            if request_line(first.rstrip("\r\n") + "\r\n").version == 9:
                # There is no more to an HTTP/0.9 request. If there is, the parser refuses it.
                self._walk(data, first_end)
                return self._complete(data, len(data) if data[first_end:] != b"\r" else first_end)
        self._walk(data, len(data))
        if len(data) - self._start >= self._room:
            self._check(len(data) - self._start + 1)
        self._buffer = data
        self._seen = len(data)
        return None

    def _walk(self, data: bytes, end: int) -> None:
        """Put the complete lines before `end` into the buffers nginx would have."""
        start = self._start
        while (line_end := data.find(b"\n", start, end) + 1) > 0:
            length = line_end - start
            if length > self._room:
                self._check(length)
                self._used += 1
                self._room = self._size
            self._room -= length
            self._start = start = line_end

    def _check(self, length: int) -> None:
        """Refuse a line of so many bytes that does not fit what is left of a buffer, nor another one."""
        if length <= self._size and self._room < self._size and self._used < self._number:
            return
        if self._start == 0:
            raise BadRequest(414, "client sent too long URI")
        raise BadRequest(494, "client sent too long header line")

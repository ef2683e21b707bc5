"""Byte ranges (nginx: ngx_http_range_filter_module; RFC 9110, section 14)."""

from __future__ import annotations

import os

from penstock.config.settings import Settings, phase
from penstock.http.etag import still_current
from penstock.http.ranges import UNLIMITED, Unsatisfiable, content_range, parse_range
from penstock.http.request import Answer, Body, FilePart, Request
from penstock.modules.core.http_core import HttpCore
from penstock.modules.filters.bodies import pieces
from penstock.modules.filters.conditional import drop_body
from penstock.modules.filters.slice import SlicedBody
from penstock.plan import phases


class Ranges(Settings):
    """Nothing to set; `max_ranges` is the core's."""

    @phase(phases.HEADERS, when=lambda self: True)
    def cut(self, request: Request, answer: Answer) -> None:
        """Answer a Range with the parts of a body whose length is known."""
        if answer.status != 200 or not answer.allow_ranges or answer.length is None or request.parent is not None:
            return
        most = request.location[HttpCore].max_ranges
        if most == 0:
            return
        fields = request.head.fields
        value = fields.get("range")
        same = "if-range" not in fields or still_current(fields["if-range"], answer.etag, answer.modified_at)
        size = answer.length
        try:
            found = parse_range(value, size, UNLIMITED if most is None else most) if value and same else None
        except Unsatisfiable:
            _unsatisfiable(answer, size)
            return
        in_pieces = not isinstance(answer.body, (bytes, FilePart))
        if not found or (in_pieces and len(found) > 1):
            answer.headers.append(("Accept-Ranges", "bytes"))
            return
        answer.status = 206
        answer.reason = None
        _clear(answer)
        if len(found) == 1:
            start, end = found[0]
            answer.headers.append(("Content-Range", content_range(start, end, size)))
            body = answer.body
            if isinstance(body, SlicedBody):
                body.narrow(start, end)
            else:
                answer.body = Sliced(body, start, end) if in_pieces else _part(body, start, end)
            answer.length = end - start
            return
        _multipart(answer, found, size)


class Sliced:
    """One range of a body that comes piece by piece."""

    __slots__ = ("_end", "_pieces", "_seen", "_start", "flushes")

    def __init__(self, body: Body, start: int, end: int) -> None:
        self.flushes: bool = getattr(body, "flushes", False)
        self._pieces = pieces(body)
        self._start = start
        self._end = end
        self._seen = 0

    def __aiter__(self) -> Sliced:
        return self

    async def __anext__(self) -> bytes:
        while self._seen < self._end:
            piece = await self._pieces.__anext__()
            at, self._seen = self._seen, self._seen + len(piece)
            wanted = piece[max(self._start - at, 0) : self._end - at]
            if wanted:
                return wanted
        self.close()
        raise StopAsyncIteration

    def close(self) -> None:
        """Let go of the body: nobody reads on."""
        self._pieces.close()


def _clear(answer: Answer) -> None:
    """Take out what a backend says of a range, as another one is cut here."""
    if answer.from_upstream:
        answer.drop("content-range")


def _part(body: object, start: int, end: int) -> bytes | FilePart:
    if isinstance(body, bytes):
        return body[start:end]
    assert isinstance(body, FilePart)
    return FilePart(body.file, body.offset + start, end - start)


def _multipart(answer: Answer, found: list[tuple[int, int]], size: int) -> None:
    boundary = f"{int.from_bytes(os.urandom(16), 'big') % 10**20:020d}"
    kind = answer.content_type
    if kind is not None and answer.charset:
        kind = f"{kind}; charset={answer.charset}"
    head = f"\r\n--{boundary}\r\n" + (f"Content-Type: {kind}\r\n" if kind is not None else "")
    parts: list[bytes | FilePart] = []
    length = 0
    for start, end in found:
        prefix = f"{head}Content-Range: {content_range(start, end, size)}\r\n\r\n".encode("latin-1")
        parts += (prefix, _part(answer.body, start, end))
        length += len(prefix) + end - start
    last = f"\r\n--{boundary}--\r\n".encode("latin-1")
    parts.append(last)
    answer.body = parts
    answer.length = length + len(last)
    answer.content_type = f"multipart/byteranges; boundary={boundary}"
    answer.charset = None


def _unsatisfiable(answer: Answer, size: int) -> None:
    drop_body(answer)
    answer.status = 416
    answer.special = True
    answer.etag = answer.last_modified = None
    _clear(answer)
    answer.headers.append(("Content-Range", f"bytes */{size}"))

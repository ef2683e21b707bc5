"""An answer onto a stream of HTTP/2: the head as fields, the body in DATA frames as windows allow, the trailers."""

from __future__ import annotations

from time import time
from typing import TYPE_CHECKING

from penstock.http.dates import http_date
from penstock.http.h2.fields import HOP_BY_HOP, content_length, field, status
from penstock.http.request import Answer, FilePart, Request
from penstock.modules.core.http_core import HttpCore
from penstock.modules.http2 import Http2
from penstock.server.h1.send import (
    BARE,
    DATED,
    _allowance,
    _limited,
    _spend,
    absolute,
    bare,
    make_page,
)
from penstock.server.head import product

if TYPE_CHECKING:
    from penstock.net.h2.stream import Lane


async def send_answer(request: Request, answer: Answer, lane: Lane) -> None:
    """Send head and body. Raises what the net floor raises; `request.completed` tells whether all went out."""
    if answer.special:
        make_page(request, answer)
    head_only = request.method == "HEAD" or answer.status in BARE
    if answer.status in BARE:
        bare(request, answer)
    if request.error_status and answer.status not in DATED:
        answer.last_modified = None
    if answer.location is not None:
        answer.location = absolute(request, answer.location)
    request.answer = answer
    request.status = answer.status
    body = answer.body
    empty = head_only or (type(body) is bytes and not body and answer.trailers is None)
    before = lane.wire_sent
    lane.chunk = request.location[Http2].chunk_size
    sender = Sender(request, lane)
    lane.head(head_block(request, answer), ended=empty, flush=empty)
    head = lane.wire_sent - before
    try:
        if not empty:
            if isinstance(body, bytes):
                await sender.send(body, ended=answer.trailers is None)
            elif isinstance(body, (FilePart, list)):
                await sender.send_parts(body if isinstance(body, list) else [body], ended=answer.trailers is None)
            else:
                lane.session.flush()
                await sender.send_pieces(answer)
        if not lane.finished:
            await sender.end(answer)
        request.completed = True
    finally:
        request.bytes_sent = lane.wire_sent
        request.body_bytes_sent = lane.wire_sent - head - before


class Sender:
    """The body's way out: at the pace of `limit_rate`, within `send_timeout`."""

    __slots__ = ("lane", "limited", "request", "timeout")

    def __init__(self, request: Request, lane: Lane) -> None:
        self.request = request
        self.lane = lane
        self.timeout = request.location[HttpCore].send_timeout
        self.limited = _limited(request)

    async def send(self, data: bytes, *, ended: bool) -> None:
        """Send bytes of the body."""
        if not self.limited:
            await self.lane.send_all(data, self.timeout, ended=ended)
            return
        view = memoryview(data)
        while view:
            allowance = min(len(view), await _allowance(self.request))
            await self.lane.send_all(bytes(view[:allowance]), self.timeout, ended=ended and allowance == len(view))
            _spend(self.request, allowance)
            view = view[allowance:]

    async def send_parts(self, parts: list[bytes | FilePart], *, ended: bool) -> None:
        """Send stretches of files, and what stands between them."""
        for number, part in enumerate(parts, 1):
            last = ended and number == len(parts)
            if isinstance(part, bytes):
                await self.send(part, ended=last)
            else:
                await self.send_file(part, ended=last)

    async def send_file(self, part: FilePart, *, ended: bool) -> None:
        """Send a stretch of a file."""
        lane, file = self.lane, part.file.fd
        offset, left = part.offset, part.count
        while left:
            allowance = min(left, await _allowance(self.request)) if self.limited else left
            sent = await lane.sendfile(file, offset, allowance, self.timeout, ended=ended and allowance == left)
            if sent < allowance:
                return  # the file has shrunk; the stream's end will show it
            if self.limited:
                _spend(self.request, allowance)
            offset += sent
            left -= sent

    async def send_pieces(self, answer: Answer) -> None:
        """Send a body that is still to come. The last piece ends the stream where the length tells which one it is."""
        length = answer.length if answer.trailers is None else None
        async for piece in answer.body:  # type: ignore[union-attr]
            if not piece:
                continue
            if length is not None:
                length -= len(piece)
            await self.send(piece, ended=length == 0)

    async def end(self, answer: Answer) -> None:
        """Send trailers, or an empty frame that says that this was all."""
        trailers = list(answer.trailers or ())
        if trailers:
            self.lane.head(b"".join(field(name.lower(), value) for name, value in trailers), ended=True)
        else:
            self.lane.send_now(b"", ended=True)


def head_block(request: Request, answer: Answer) -> bytes:
    """Encode the fields of a head, in nginx's order."""
    tokens = request.location[HttpCore].server_tokens
    parts = [status(answer.status)]
    if not answer.says_server:
        parts.append(field("server", product(tokens)))
    if not answer.says_date:
        parts.append(field("date", http_date(int(time()))))
    if answer.content_type is not None:
        kind = answer.content_type
        parts.append(field("content-type", f"{kind}; charset={answer.charset}" if answer.charset else kind))
    if answer.length is not None:
        parts.append(content_length(answer.length))
    if answer.last_modified is not None:
        parts.append(field("last-modified", answer.last_modified))
    if answer.location is not None:
        parts.append(field("location", answer.location))
    if answer.etag is not None:
        parts.append(field("etag", answer.etag))
    for name, value in answer.headers:
        name = name.lower()
        if name not in HOP_BY_HOP:
            parts.append(field(name, value))
    return b"".join(parts)

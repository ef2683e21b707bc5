"""Bodies of answers as the filters see them: read piece by piece, replaced by what is made of them, let go."""

from __future__ import annotations

import os
from collections.abc import AsyncGenerator

from penstock.http.request import Body, FilePart

PIECE = 32768


async def pieces(body: Body) -> AsyncGenerator[bytes, None]:
    """The bytes of a body, whatever its shape. Files are closed when they have been read, or by `close_body`."""
    if isinstance(body, bytes):
        if body:
            yield body
    elif isinstance(body, FilePart):
        at, end = body.offset, body.offset + body.count
        while at < end:
            data = os.pread(body.file.fd, min(PIECE, end - at), at)
            if not data:
                break
            at += len(data)
            yield data
        body.file.close()
    elif isinstance(body, list):
        for part in body:
            if isinstance(part, bytes):
                yield part
                continue
            async for piece in pieces(part):
                yield piece
    else:
        async for piece in body:
            yield piece


async def close_body(body: Body) -> None:
    """Nobody wants the rest."""
    close = getattr(body, "aclose", None)
    if close is not None:
        await close()
        return
    for part in body if isinstance(body, list) else (body,):
        if isinstance(part, FilePart):
            part.file.close()


class Made:
    """A body that is made from another one, which is closed with it."""

    __slots__ = ("_pieces", "_source")

    def __init__(self, made: AsyncGenerator[bytes, None], source: Body) -> None:
        self._pieces = made
        self._source = source

    def __aiter__(self) -> Made:
        return self

    async def __anext__(self) -> bytes:
        return await self._pieces.__anext__()

    async def aclose(self) -> None:
        """Let go of both."""
        await self._pieces.aclose()
        await close_body(self._source)

"""Bodies of answers as the filters see them: read piece by piece, replaced by what is made of them, let go.

Whoever opens something for a body holds it by the request (`Request.hold`), so that neither a filter nor the sender has
to close anything.
"""

from __future__ import annotations

import os
from collections.abc import AsyncGenerator

from penstock.http.request import Body, Chunks, FilePart

PIECE = 32768


def pieces(body: Body) -> Chunks:
    """Read a body piece by piece, whatever its shape."""
    if isinstance(body, list):
        return Pieces(body)
    if isinstance(body, (bytes, FilePart)):
        return Pieces([body])
    return body


class Pieces:
    """The bytes of a body that is here already, in memory or in files."""

    __slots__ = ("_at", "_parts", "_place")

    def __init__(self, parts: list[bytes | FilePart]) -> None:
        self._parts = parts
        self._place = 0
        """Which part is being read."""
        self._at = 0
        """How much of a file's stretch has been read."""

    def __aiter__(self) -> Pieces:
        return self

    async def __anext__(self) -> bytes:
        parts = self._parts
        while self._place < len(parts):
            part = parts[self._place]
            data = part if isinstance(part, bytes) else self._read(part)
            if isinstance(part, bytes) or not data:
                self._place += 1
                self._at = 0
            if data:
                return data
        raise StopAsyncIteration

    def _read(self, part: FilePart) -> bytes:
        """The next piece of a stretch; b"" at its end, or where the file has shrunk."""
        data = os.pread(part.file.fd, min(PIECE, part.count - self._at), part.offset + self._at)
        self._at += len(data)
        return data

    def close(self) -> None:
        """Let go of the body: nobody reads on. The files are the request's."""
        self._parts = []


class DerivedBody:
    """A body that is made from another one. It may ask for more on its way: the request holds it."""

    __slots__ = ("_made",)

    def __init__(self, made: AsyncGenerator[bytes, None]) -> None:
        self._made = made

    def __aiter__(self) -> DerivedBody:
        return self

    async def __anext__(self) -> bytes:
        return await self._made.__anext__()

    def close(self) -> None:
        """End the generator now. Nothing in its clean-up waits, so that it is at its end after one step."""
        try:
            self._made.aclose().send(None)
        except StopIteration:
            return
        raise RuntimeError("the end of a body waits for nothing")

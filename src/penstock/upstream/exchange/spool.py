"""Bodies that are read wholly before they are used: in memory up to a limit, the rest in a temporary file."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from penstock.http.request import RequestBody
    from penstock.upstream.exchange.temp_file import TempFile

PIECE = 65536


class Spooled:
    """The body of a request, read to its end: `memory` first, then what is in `file`. It can be read again and again.

    A copy of the request may outlive it: the file is closed when the last that has the body has closed it.
    """

    __slots__ = ("_at", "_holders", "done", "file", "length", "memory", "received")

    def __init__(self, memory: bytes, file: TempFile | None, received: int) -> None:
        self.memory = memory
        self.file = file
        self.received = received
        self.length: int | None = len(memory) + (file.size if file is not None else 0)
        self.done = True
        self._at = 0
        self._holders = 1

    def shared(self) -> Spooled:
        """Return the body for one more request, which closes it too."""
        self._holders += 1
        return self

    @property
    def kept(self) -> bytes | None:
        """Return the whole body, if it is in memory: `$request_body`."""
        return self.memory if self.file is None else None

    @property
    def path(self) -> str | None:
        """Return the file it is in: `$request_body_file`."""
        return self.file.path if self.file is not None else None

    async def read(self) -> bytes:
        """Read the next piece; at the end b"", and the next call begins anew."""
        at = self._at
        if at == 0 and self.memory:
            self._at = len(self.memory)
            return self.memory
        if self.file is not None:
            piece = self.file.read(at - len(self.memory), PIECE)
            if piece:
                self._at = at + len(piece)
                return piece
        self._at = 0
        return b""

    async def discard(self) -> None:
        """Do nothing: nothing is left to read from the client."""

    def close(self) -> None:
        """Let go of the body, for one of those that have it. Raises `CannotKeep`."""
        self._holders -= 1
        if self._holders == 0 and self.file is not None:
            self.file.remove()


async def spool(body: RequestBody, limit: int, make: Callable[[], TempFile], *, always: bool = False) -> Spooled:
    """Read a body to its end. Up to `limit` bytes stay in memory, more go to the file that `make` gives.

    `always`: all of it goes there. Raises what reading from the client raises, and `CannotKeep` for the file.
    """
    if not always and body.length is not None and body.length <= limit:
        piece = await body.read()
        if body.done:
            return Spooled(piece, None, body.received)
        pieces = [piece]
    else:
        pieces = []
    size = sum(map(len, pieces))
    file = make() if always else None
    try:
        while True:
            piece = await body.read()
            if not piece:
                break
            if file is None and size + len(piece) > limit:
                file = make()
                for early in pieces:
                    file.append(early)
                pieces.clear()
            if file is not None:
                file.append(piece)
            else:
                pieces.append(piece)
                size += len(piece)
    except BaseException:
        if file is not None:
            file.remove()
        raise
    return Spooled(b"".join(pieces), file, body.received)

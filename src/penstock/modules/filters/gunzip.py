"""Decompression for clients that do not take gzip: `gunzip` (nginx: ngx_http_gunzip_module)."""

from __future__ import annotations

import zlib
from collections.abc import Iterable, Iterator

from penstock.config.kinds import flag
from penstock.config.registry import HTTP_LEVELS, inert
from penstock.config.settings import Settings, directive, phase
from penstock.http.request import Answer, Request
from penstock.modules.filters.gzip_accepted import GzipAccepted
from penstock.modules.filters.transform import PIECE, transform
from penstock.net.errors import PeerGone
from penstock.observe.errorlog import ERROR, report
from penstock.plan import phases

PAGE = "ngx_http_gunzip_module.html"
GZIP_WINDOW = 31


class Gunzip(Settings):
    """Whether answers in gzip are unpacked."""

    enable: bool = directive("gunzip", where=HTTP_LEVELS, takes=flag, default=False, nginx=PAGE)

    @phase(phases.HEADERS, when=lambda self: self.enable)
    def unpack(self, request: Request, answer: Answer) -> None:
        """Unpack what the client would not understand."""
        encoding = answer.header("content-encoding")
        if encoding is None or encoding.lower() != "gzip" or answer.upgraded is not None:
            return
        rules = request.location[GzipAccepted]
        rules.announce(answer)
        if rules.accepted(request, answer):
            return
        answer.drop("content-encoding")
        transform(request, answer, Inflate(request))


class Inflate:
    """A body on its way out of gzip, of one or more members. A kilobyte may become a megabyte: it comes in pieces."""

    __slots__ = ("_begun", "_request", "_zlib")
    swells = True

    def __init__(self, request: Request) -> None:
        self._request = request
        self._zlib = zlib.decompressobj(GZIP_WINDOW)
        self._begun = False

    def feed(self, data: bytes) -> Iterator[bytes]:
        """Unpack a piece, member by member, into pieces of bounded size. Raises `PeerGone` for what is no gzip."""
        while data:
            if self._zlib.eof:
                self._zlib = zlib.decompressobj(GZIP_WINDOW)
            self._begun = True
            try:
                yield self._zlib.decompress(data, PIECE)
            except zlib.error as error:
                raise self._broken(f"inflate() failed: {error}") from None
            data = self._zlib.unused_data if self._zlib.eof else self._zlib.unconsumed_tail

    def flush(self) -> Iterable[bytes]:
        return ()

    def finish(self) -> Iterable[bytes]:
        """End the body. Raises `PeerGone` in the middle of a member, so that no client takes it for whole."""
        if self._begun and not self._zlib.eof:
            raise self._broken("inflate() has no end when the response ends")
        return ()

    def _broken(self, text: str) -> PeerGone:
        report(self._request, ERROR, text)
        return PeerGone(0, "inflate")


inert(
    "gunzip_buffers",
    where=HTTP_LEVELS,
    most=2,
    reason="what zlib gives goes out at once",
    nginx=PAGE,
    module="gunzip",
)

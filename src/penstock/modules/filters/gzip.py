"""Compression of answers: `gzip` (nginx: ngx_http_gzip_module).

Tunnels are never compressed: their bytes are not an answer's body.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterable

from penstock.config.kinds import flag, size, word
from penstock.config.registry import HTTP_LEVELS, IF_LOCATION, inert
from penstock.config.settings import Settings, directive, phase
from penstock.config.values import number
from penstock.config.values import size as to_size
from penstock.config.variables import variable
from penstock.http.request import Answer, Request
from penstock.modules.filters.compression import CompressionStage, worth_compressing
from penstock.modules.filters.gzip_accepted import PAGE, GzipAccepted
from penstock.modules.filters.media_types import types_directive
from penstock.modules.filters.transform import transform
from penstock.plan import phases

WINDOW_BITS = 15
MEMORY_LEVEL = 9
LEAST_BITS = 9


def _level(text: str) -> int:
    found = number(text)
    if not 1 <= found <= 9:
        raise ValueError("value must be between 1 and 9")
    return found


def _window(text: str) -> int:
    bytes_ = to_size(text)
    for bits in range(9, 16):
        if bytes_ == 1 << bits:
            return bits
    raise ValueError("must be 512, 1k, 2k, 4k, 8k, 16k, or 32k")


def _memory(text: str) -> int:
    bytes_ = to_size(text)
    for level in range(1, 10):
        if bytes_ == 256 << level:
            return level
    raise ValueError("must be 512, 1k, 2k, 4k, 8k, 16k, 32k, 64k, or 128k")


class Gzip(Settings):
    """What is compressed, and how hard."""

    enable: bool = directive("gzip", where=HTTP_LEVELS | IF_LOCATION, takes=flag, default=False, nginx=PAGE)
    types: frozenset[str] = types_directive("gzip_types", PAGE)
    level: int = directive(
        "gzip_comp_level", where=HTTP_LEVELS, takes=word(_level, "level"), default=1, nginx=PAGE
    )
    min_length: int = directive("gzip_min_length", where=HTTP_LEVELS, takes=size, default=20, nginx=PAGE)
    window: int = directive(
        "gzip_window", where=HTTP_LEVELS, takes=word(_window, "size"), default=WINDOW_BITS, nginx=PAGE, shown="32k"
    )
    memory: int = directive(
        "gzip_hash", where=HTTP_LEVELS, takes=word(_memory, "size"), default=MEMORY_LEVEL, nginx=PAGE, shown="128k"
    )

    @phase(phases.HEADERS, when=lambda self: self.enable)
    def compress(self, request: Request, answer: Answer) -> None:
        """Compress the body if that is worth it and the client takes it."""
        if not worth_compressing(answer, self.types, self.min_length):
            return
        rules = request.location[GzipAccepted]
        rules.announce(answer)
        if not rules.accepted(request, answer):
            return
        stage = Deflate(request, self.level, *self._memory_for(answer.length))
        transform(request, answer, stage)
        answer.headers.append(("Content-Encoding", "gzip"))

    def _memory_for(self, length: int | None) -> tuple[int, int]:
        """Window and memory level: a short body needs less."""
        window, memory = self.window, self.memory
        if length:
            while window > LEAST_BITS and length < (1 << (window - 1)) - 262:
                window -= 1
                memory -= 1
        return window, max(memory, 1)


HEADER = 10
"""Bytes of gzip's own head (RFC 1952, section 2.3)."""


class Deflate(CompressionStage):
    """A body on its way into gzip."""

    __slots__ = ("_first", "_zlib")

    def __init__(self, request: Request, level: int, window: int, memory: int) -> None:
        super().__init__(request, "gzip_ratio")
        self._zlib = None
        if request.method != "HEAD":
            self._zlib = zlib.compressobj(level, zlib.DEFLATED, window + 16, memory)
        self._first = b""
        """What comes before the first data, which nobody can use without them."""

    def feed(self, data: bytes) -> Iterable[bytes]:
        """Compress a piece; the header of gzip waits for the first bytes of the body, and leaves with them."""
        assert self._zlib is not None
        begins = not self._in
        self._in += len(data)
        made = self._zlib.compress(data)
        if begins and len(made) <= HEADER:
            self._first = made
            return ()
        return self._count(made)

    def flush(self) -> Iterable[bytes]:
        """Return what zlib holds back, at the cost of a worse ratio (Z_SYNC_FLUSH)."""
        assert self._zlib is not None
        return self._count(self._zlib.flush(zlib.Z_SYNC_FLUSH))

    def finish(self) -> Iterable[bytes]:
        """Return the rest with the trailer of gzip, and set `$gzip_ratio`."""
        assert self._zlib is not None
        last = self._count(self._zlib.flush(zlib.Z_FINISH))
        self._ended()
        self._zlib = None
        return last

    def _count(self, data: bytes) -> Iterable[bytes]:
        if self._first and data:
            data, self._first = self._first + data, b""
        return super()._count(data)


@variable("gzip_ratio", late=True)
def gzip_ratio(request: Request) -> str | None:
    """How many times smaller the body became."""
    return request.variables.get("gzip_ratio")


inert(
    "gzip_buffers",
    where=HTTP_LEVELS,
    most=2,
    reason="what zlib gives goes out at once",
    nginx=PAGE,
    module="gzip",
)
inert(
    "gzip_no_buffer",
    "postpone_gzipping",
    where=HTTP_LEVELS,
    reason="a body begins to be compressed with its first bytes",
    nginx=PAGE,
    module="gzip",
)

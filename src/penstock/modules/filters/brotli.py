"""Compression of answers with Brotli: `brotli` (the module ngx_brotli by others).

The library, `brotli`, is an extra, and imported where `brotli on` stands; without it clients get gzip where that is on.
"""

from __future__ import annotations

from collections.abc import Iterable
from importlib import import_module
from types import ModuleType
from typing import Any

from penstock.config.kinds import flag, size, word
from penstock.config.registry import HTTP_LEVELS, IF_LOCATION, inert
from penstock.config.scope import Scope
from penstock.config.settings import Settings, directive, phase
from penstock.config.values import number
from penstock.config.values import size as to_size
from penstock.config.variables import variable
from penstock.http.request import Answer, Request
from penstock.modules.filters.compression import CompressionStage, worth_compressing
from penstock.modules.filters.gzip_accepted import GzipAccepted, asks_for
from penstock.modules.filters.media_types import types_directive
from penstock.modules.filters.transform import transform
from penstock.plan import phases

PAGE = "https://github.com/google/ngx_brotli"
WHERE = HTTP_LEVELS | IF_LOCATION
LEAST_BITS = 10
MOST_LEVEL = 11


def _level(text: str) -> int:
    found = number(text)
    if found > MOST_LEVEL:
        raise ValueError(f"value must be between 0 and {MOST_LEVEL}")
    return found


def _window(text: str) -> int:
    bytes_ = to_size(text)
    for bits in range(LEAST_BITS, 25):
        if bytes_ == 1 << bits:
            return bits
    raise ValueError("must be 1k, 2k, 4k, 8k, 16k, 32k, 64k, 128k, 256k, 512k, 1m, 2m, 4m, 8m or 16m")


class Brotli(Settings):
    """What is compressed, and how hard. It goes before gzip, for clients that take both."""

    enable: bool = directive("brotli", where=WHERE, takes=flag, default=False, nginx=PAGE)
    types: frozenset[str] = types_directive("brotli_types", PAGE, where=WHERE)
    level: int = directive("brotli_comp_level", where=WHERE, takes=word(_level, "level"), default=6, nginx=PAGE)
    min_length: int = directive("brotli_min_length", where=WHERE, takes=size, default=20, nginx=PAGE)
    window: int = directive(
        "brotli_window", where=WHERE, takes=word(_window, "size"), default=19, nginx=PAGE, shown="512k"
    )
    library: ModuleType | None = None

    def finish(self, scope: Scope) -> None:
        """Load the library where it is wanted; warn, and leave answers as they are, where there is none."""
        if self.enable:
            self.library = _library()
            if self.library is None:
                scope.compilation.problems.warn(
                    "brotli needs the library brotli, which is not here: answers are not compressed with it",
                    self.origin("enable"),
                    hint="pip install 'penstock[brotli]'; gzip on compresses them without",
                )

    @phase(phases.HEADERS, when=lambda self: self.library is not None)
    def compress(self, request: Request, answer: Answer) -> None:
        """Compress the body if that is worth it and the client takes it."""
        if not worth_compressing(answer, self.types, self.min_length):
            return
        request.location[GzipAccepted].announce(answer)
        if request.parent is not None or not asks_for("br", request.head.fields.get("accept-encoding", "")):
            return
        transform(request, answer, BrotliStage(request, self.library, self.level, self._bits(answer.length)))
        answer.headers.append(("Content-Encoding", "br"))

    def _bits(self, length: int | None) -> int:
        """The window that a body needs at most."""
        bits = LEAST_BITS if length else self.window
        while length and bits < self.window and length > 1 << bits:
            bits += 1
        return bits


def _library() -> ModuleType | None:
    try:
        return import_module("brotli")
    except ImportError:
        return None


class BrotliStage(CompressionStage):
    """A body on its way into Brotli."""

    __slots__ = ("_brotli",)

    # Any: the library has no types.
    def __init__(self, request: Request, library: Any, level: int, bits: int) -> None:
        super().__init__(request, "brotli_ratio")
        self._brotli = None if request.method == "HEAD" else library.Compressor(quality=level, lgwin=bits)

    def feed(self, data: bytes) -> Iterable[bytes]:
        """Compress a piece."""
        assert self._brotli is not None
        self._in += len(data)
        return self._count(self._brotli.process(data))

    def flush(self) -> Iterable[bytes]:
        """Return what the library holds back, at the cost of a worse ratio."""
        assert self._brotli is not None
        return self._count(self._brotli.flush())

    def finish(self) -> Iterable[bytes]:
        """Return the rest, and set `$brotli_ratio`."""
        assert self._brotli is not None
        last = self._count(self._brotli.finish())
        self._ended()
        self._brotli = None
        return last


@variable("brotli_ratio", late=True)
def brotli_ratio(request: Request) -> str | None:
    """How many times smaller the body became."""
    return request.variables.get("brotli_ratio")


inert(
    "brotli_buffers",
    where=WHERE,
    most=2,
    reason="what the library gives goes out at once",
    nginx=PAGE,
    module="brotli",
)

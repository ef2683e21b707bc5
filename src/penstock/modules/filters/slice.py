"""`slice`: answers that are put together from slices, each asked for, and kept, by itself (nginx:
ngx_http_slice_filter_module).

The first slice is the answer to the client's request. What it says of the whole makes the head; the others are asked
for one after another, as the client takes them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from penstock.config.kinds import size
from penstock.config.registry import HTTP_LEVELS
from penstock.config.settings import Settings, directive, phase
from penstock.config.variables import variable
from penstock.http.cache.slicing import SLICING, BadSlice, Slicing, slicing_of
from penstock.http.ranges import first_wanted
from penstock.http.request import Answer, Request
from penstock.modules.filters.bodies import pieces
from penstock.observe.errorlog import ERROR, report
from penstock.plan import phases
from penstock.upstream.errors import AnswerCut

if TYPE_CHECKING:
    from penstock.http.request import Body


class Slices(Settings):
    """How many bytes are asked for at a time."""

    size: int = directive(
        "slice",
        where=HTTP_LEVELS,
        takes=size,
        default=0,
        nginx="ngx_http_slice_module.html",
        doc="Bytes that a backend is asked for at a time, and that are kept as one; `0` is off. It needs "
        "`$slice_range` as `Range`, and in the key (`proxy_set_header Range $slice_range; proxy_cache_key "
        "$uri$is_args$args$slice_range; proxy_cache_valid 200 206 1h;`).",
    )

    @phase(phases.HEADERS, when=lambda self: self.size)
    def begin(self, request: Request, answer: Answer) -> None:
        """Make of the first slice the head of the whole, and the beginning of its body."""
        slicing = slicing_of(request)
        if slicing is None or request.parent is not None:
            return
        if answer.status != 206:
            assert request.contexts is not None
            del request.contexts[SLICING]
            return
        try:
            start, end, total = slicing.place_of(answer)
        except BadSlice as error:
            report(request, ERROR, str(error))
            answer.silent = True
            return
        answer.status = 200
        answer.reason = None
        answer.length = total
        answer.trailers = None
        answer.drop("content-range")
        answer.drop("accept-ranges")
        answer.allow_ranges = True
        if request.method != "HEAD":
            answer.body = body = SlicedBody(request, slicing, answer.body, (start, end), total)
            request.hold(body)


class SlicedBody:
    """The bytes of all slices, from `_at` to `_end`. `_slice` is where the slice lies that is being read, `_read` how
    far that has come."""

    __slots__ = ("_asked", "_at", "_end", "_pieces", "_read", "_request", "_slice", "_slicing")

    def __init__(self, request: Request, slicing: Slicing, body: Body, place: tuple[int, int], total: int) -> None:
        self._request = request
        self._slicing = slicing
        self._pieces = pieces(body)
        self._slice = place
        self._read = place[0]
        self._asked: Request | None = None
        self._at = 0
        self._end = total

    def narrow(self, start: int, end: int) -> None:
        """Let it be these bytes of the whole alone; `end` is exclusive. Nothing has been read yet."""
        self._at, self._end = start, end

    def __aiter__(self) -> SlicedBody:
        return self

    async def __anext__(self) -> bytes:
        while self._at < self._end:
            start, end = self._slice
            if not start <= self._at < end:
                await self._next()
                continue
            piece = await self._piece()
            before, self._read = self._read, self._read + len(piece)
            if not piece or self._read > end:
                text = f"unexpected length in slice response: {self._read - start}, expected: {end - start}"
                raise self._failed(text)
            wanted = piece[self._at - before : self._end - before]
            if wanted:
                self._at += len(wanted)
                return wanted
        self.close()
        raise StopAsyncIteration

    async def _piece(self) -> bytes:
        """What comes next of the slice; b"" at its end."""
        async for piece in self._pieces:
            if piece:
                return piece
        return b""

    async def _next(self) -> None:
        """Ask for the slice that is wanted next."""
        if self._read == self._slice[1] and await self._piece():
            raise self._failed("slice response is longer than it has said")
        self.close()
        request, slicing = self._request, self._slicing
        slicing.ask_for(self._at)
        self._asked = asked = await request.connection.service.again(
            request, lambda copy: copy.context(SLICING, lambda: slicing)
        )
        answer = asked.answer
        assert answer is not None
        try:
            start, end, _ = slicing.place_of(answer)
        except BadSlice as error:
            raise self._failed(str(error)) from None
        self._pieces = pieces(answer.body)
        self._slice = start, end
        self._read = start

    def _failed(self, text: str) -> AnswerCut:
        report(self._request, ERROR, text)
        return AnswerCut(0, "read")

    def close(self) -> None:
        """Let go of the slice that is being read. What is kept of it goes on being read."""
        self._pieces.close()
        asked, self._asked = self._asked, None
        if asked is not None:
            self._request.connection.service.end_subrequest(asked)


@variable("slice_range")
def slice_range(request: Request) -> str | None:
    """The slice that a backend is asked for, as a Range header has it: `bytes=0-1048575`."""
    slicing = slicing_of(request)
    if slicing is None:
        size = request.location[Slices].size
        if not size or request.parent is not None or request.answer is not None:
            return None
        if request.contexts is not None:
            request.contexts.pop(SLICING, None)  # of a location that the request has left
        fields = request.head.fields
        start = 0 if "if-range" in fields else first_wanted(fields.get("range", ""))
        slicing = request.context(SLICING, lambda: Slicing(request.location, size, start))
    return slicing.range

"""Which slice of an answer a request is about, and whether what has come for it is that slice (nginx:
ngx_http_slice_filter_module)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from penstock.config.key import Key
from penstock.http.ranges import parse_content_range

if TYPE_CHECKING:
    from penstock.http.request import Answer, Request
    from penstock.plan.location import Location


class BadSlice(Exception):
    """Raised for an answer that is not the slice that was asked for; the text is nginx's."""


class Slicing:
    """The slice that is asked for at the moment, and what the first one has told of the whole: its tag, and its size in
    bytes (None until then)."""

    __slots__ = ("etag", "location", "size", "start", "total")

    def __init__(self, location: Location, size: int, start: int) -> None:
        self.location = location
        self.size = size
        self.start = 0
        self.etag: str | None = None
        self.total: int | None = None
        self.ask_for(start)

    def ask_for(self, place: int) -> None:
        """Let the slice in which this byte is be the next one."""
        self.start = place - place % self.size

    @property
    def range(self) -> str:
        """Return what a backend is asked for, as a Range header has it."""
        return f"bytes={self.start}-{self.start + self.size - 1}"

    def place_of(self, answer: Answer) -> tuple[int, int, int]:
        """Look at what has come for a slice; return its start and end (exclusive), and the size of the whole.

        Raises `BadSlice`."""
        if answer.status != 206:
            raise BadSlice(f"unexpected status code {answer.status} in slice response")
        if self.etag and answer.etag != self.etag:
            raise BadSlice("etag mismatch in slice response")
        found = parse_content_range(answer.header("content-range") or "")
        if found is None:
            raise BadSlice("invalid range in slice response")
        start, end, total = found
        if total is None:
            raise BadSlice("no complete length in slice response")
        expected = min(self.start + self.size, total)
        if start != self.start or end != expected or start >= end:
            raise BadSlice(f"unexpected range in slice response: {start}-{end}, expected: {self.start}-{expected}")
        if self.total not in (None, total):
            raise BadSlice(f"unexpected complete length in slice response: {total}, expected: {self.total}")
        if answer.length not in (None, end - start):
            raise BadSlice(f"unexpected length in slice response: {answer.length}, expected: {end - start}")
        self.etag, self.total = answer.etag, total
        return start, end, total


SLICING: Key[Slicing] = Key("slicing")
"""The key of a request's contexts under which its slice is."""


def slicing_of(request: Request) -> Slicing | None:
    """Return which slice a request is about; None where it is about all of an answer, or has gone on elsewhere."""
    slicing = None if request.contexts is None else request.contexts.get(SLICING)
    return None if slicing is None or slicing.location is not request.location else slicing


def same_slice(request: Request) -> Slicing | None:
    """Return the slice that a request is about now, for a copy of it that goes on by itself; None where it has none."""
    slicing = slicing_of(request)
    return None if slicing is None else Slicing(slicing.location, slicing.size, slicing.start)

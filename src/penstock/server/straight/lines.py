"""The lines of a backend's answer that a client gets, written without an `Answer`."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeAlias

from penstock.http.fields import LOWER
from penstock.modules.proxy.proxy import Proxy

if TYPE_CHECKING:
    from penstock.http.response import ResponseHead
    from penstock.modules.proxy.pass_request import Passing

Lines: TypeAlias = tuple[str, str, str]
"""Of an answer's head: its first line, what stands before Connection and what behind it."""

TAKEN = {"content-type": 0, "last-modified": 1, "etag": 2}
"""Headers that have a place of their own."""
RANGES = "Accept-Ranges: bytes"


class AnswerLines:
    """Which headers go through one location as they are, by its `Passing.routes`."""

    __slots__ = ("_marked", "_quiet", "_rewrites", "_routes")

    def __init__(self, passing: Passing) -> None:
        self._routes = passing.routes
        self._quiet = frozenset(name for name, route in passing.routes.items() if route is None)
        self._marked = frozenset(passing.routes) - self._quiet
        self._rewrites = isinstance(passing, Proxy) and bool(passing.domains or passing.paths or passing.flags)

    def of(self, head: ResponseHead, length: int | None, ranges: bool | None = None) -> Lines | None:
        """Return the lines of an answer with a body of that length (None: nothing is said of it); None where one asks
        for more than to be passed on. `ranges`: whether parts of it may be asked for, where we are who gives them."""
        if not ranges and not head.repeated and self._marked.isdisjoint(head.fields):
            return self._alike(head, length)
        routes = self._routes
        kept: list[str | None] = [None, None, None]
        others = ""
        count = 0
        for name, value in head.headers:
            key = LOWER[name]
            if key not in routes:
                others += f"{name}: {value}\r\n"
                count += 1
                continue
            route = routes[key]
            if route is None:
                continue
            if key in TAKEN:
                if kept[TAKEN[key]] is None:
                    count += 1
                kept[TAKEN[key]] = value
            elif key == "accept-ranges" and ranges is not None:
                continue
            elif key == "accept-ranges" or (key == "set-cookie" and not self._rewrites):
                others += f"{name}: {value}\r\n"
                count += 1
            else:
                return None
        if ranges:
            others += f"{RANGES}\r\n"
            count += 1
        kind, modified, etag = kept
        first = f"HTTP/1.1 {head.status} {head.status_line[4:]}\r\n"
        before = "" if kind is None else f"Content-Type: {kind}\r\n"
        if length is not None:
            before += f"Content-Length: {length}\r\n"
            count += 1
        if modified is not None:
            before += f"Last-Modified: {modified}\r\n"
        after = others if etag is None else f"ETag: {etag}\r\n{others}"
        return _sound(first, before, after, count + 1)

    def _alike(self, head: ResponseHead, length: int | None) -> Lines | None:
        """The same where no header has a place or a meaning of its own."""
        quiet = self._quiet
        pairs = zip(head.fields, head.headers, strict=True)
        kept = [f"{name}: {value}\r\n" for key, (name, value) in pairs if key not in quiet]
        before = "" if length is None else f"Content-Length: {length}\r\n"
        first = f"HTTP/1.1 {head.status} {head.status_line[4:]}\r\n"
        return _sound(first, before, "".join(kept), len(kept) + (2 if before else 1))


def _sound(first: str, before: str, after: str, count: int) -> Lines | None:
    """None where there are more lines than were written: `render_head` mends that, and says so."""
    whole = first + before + after
    if whole.count("\n") != count or whole.count("\r") != count or "\0" in whole:
        return None
    return first, before, after

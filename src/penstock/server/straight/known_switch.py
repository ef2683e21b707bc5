"""A 101 that comes again: those of one backend differ in Sec-WebSocket-Accept alone, nearly always, and so does what
its clients are sent. Both are compared and put together as bytes."""

from __future__ import annotations

from binascii import a2b_base64
from time import time
from typing import TYPE_CHECKING

from penstock.server.head import signature

if TYPE_CHECKING:
    from penstock.http.response import ResponseHead
    from penstock.server.straight.lines import Lines

MOST = 64
"""As many are known of one location, each by its length."""
_ACCEPT = "sec-websocket-accept"
_DIGEST = 20
"""Bytes of a SHA-1."""


class KnownSwitch:
    """What stands around the value in a backend's head, and in the one that a client is sent. `websocket`: it switches
    to WebSocket."""

    __slots__ = (
        *("_after", "_back", "_before", "_end", "_first", "_front", "_middle", "_since", "_start", "_tokens"),
        *("_until", "websocket"),
    )

    def __init__(self, start: int, said: bytes, lines: tuple[str, str, str], tokens: str, *, websocket: bool) -> None:
        """Take a backend's head in which the value starts there; `lines` are the client's: the first, and what stands
        behind Server and Date, up to the value and from its end."""
        self._start = start
        self._end = end = start + 4 * (_DIGEST + 1) // 3
        self._before = said[:start]
        self._after = said[end:]
        self._first, self._middle, back = lines
        self._back = back.encode("latin-1")
        self._front = b""
        self._since = self._until = 0.0
        self._tokens = tokens
        self.websocket = websocket

    def answer(self, said: bytes) -> bytes | None:
        """Write the head for the client of a backend that has said this; None where it is another head."""
        start, end = self._start, self._end
        if said[:start] != self._before or said[end:] != self._after:
            return None
        value = said[start:end]
        try:
            if len(a2b_base64(value)) != _DIGEST:
                return None
        except ValueError:
            return None
        now = time()
        if not self._since <= now < self._until:
            self._since = since = float(int(now))
            self._until = since + 1.0
            self._front = f"{self._first}{signature(self._tokens)}{self._middle}".encode("latin-1")
        return self._front + value + self._back


def known_switch(head: ResponseHead, said: bytes, lines: Lines, tokens: str, *, websocket: bool) -> KnownSwitch | None:
    """Make what is known of a head from now on; None where its value stands anywhere else, too."""
    value = head.fields.get(_ACCEPT, "")
    first, before, after = lines
    text = f"{before}Connection: upgrade\r\n{after}\r\n"
    place = value.encode("latin-1")
    if len(place) != 4 * (_DIGEST + 1) // 3 or said.count(place) != 1 or text.count(value) != 1 or value in first:
        return None
    middle, _, back = text.partition(value)
    return KnownSwitch(said.index(place), said, (first, middle, back), tokens, websocket=websocket)

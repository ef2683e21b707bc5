"""The events of a stream, one by one, for somebody who looks on. Sans-IO and bounded."""

from __future__ import annotations

from typing import NamedTuple

from penstock.http.events.scanner import EventScanner, LineScanner


class SeenEvent(NamedTuple):
    """An event, or a comment between two: `text` is what was kept of the beginning of its lines, `size` how many bytes
    there were."""

    text: bytes
    size: int
    comment: bool


class EventSplitter:
    """Splits a stream. `keep` bytes of an event are kept; `lines`: each line is one. `whole`: what comes first begins
    an event; else nothing is told up to the next one."""

    __slots__ = ("_keep", "_kept", "_mute", "_scanner", "_size")

    def __init__(self, keep: int, *, lines: bool, whole: bool) -> None:
        self._scanner: EventScanner | LineScanner = LineScanner() if lines else EventScanner()
        self._keep = keep
        self._kept = b""
        self._size = 0
        self._mute = not whole

    def feed(self, data: bytes) -> list[SeenEvent]:
        """Take in what came next, and return what has ended in it."""
        found: list[SeenEvent] = []
        scanner = self._scanner
        for line in data.splitlines(keepends=True):
            before = scanner.events
            ended = scanner.feed(line)
            self._size += len(line)
            if len(self._kept) < self._keep:
                self._kept = (self._kept + line)[: self._keep]
            if not ended:
                continue
            text, size = self._kept, self._size
            self._kept, self._size = b"", 0
            mute, self._mute = self._mute, False
            if not mute and text.strip(b"\r\n"):
                found.append(SeenEvent(text, size, scanner.events == before))
        return found

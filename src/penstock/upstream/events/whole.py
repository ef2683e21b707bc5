"""What of an event stream's bytes goes on at once: all of them; whole events only, where another answer may follow."""

from __future__ import annotations

from typing import TYPE_CHECKING

from penstock.http.events.scanner import BOM

if TYPE_CHECKING:
    from penstock.http.events.scanner import StreamScanner


class WholeEvents:
    """`scanner` is None where its bytes are in a coding that nobody undoes. With `buffer`, only whole events go on: up
    to so many bytes of one are kept.

    `kept` is the beginning of an event that is not whole. `torn`: one was passed on all the same, as it was too long.
    """

    __slots__ = ("_strips", "buffer", "kept", "scanner", "torn")

    def __init__(self, scanner: StreamScanner | None, buffer: int) -> None:
        self.scanner = scanner
        self.buffer = buffer
        self.kept = b""
        self.torn = False
        self._strips = -1
        """Bytes of a mark at the beginning that were left out so far; -1 where none is to be."""

    @property
    def between(self) -> bool:
        """Return whether the client has whole events, as far as that can be seen."""
        scanner = self.scanner
        if scanner is None or scanner.at_boundary:
            return True
        return self.buffer > 0 and not self.torn

    def feed(self, data: bytes) -> bytes:
        """Return what goes on now."""
        if self._strips >= 0:
            data = self._without_mark(data)
        scanner = self.scanner
        if scanner is None:
            return data
        whole = scanner.feed(data)
        if not self.buffer:
            return data
        if self.torn:
            if not whole:
                return data
            self.torn = False
            out, self.kept = data[:whole], data[whole:]
        elif whole:
            out, self.kept = self.kept + data[:whole], data[whole:]
        else:
            out = b""
            self.kept += data
        if len(self.kept) > self.buffer:
            out += self.kept
            self.kept = b""
            self.torn = True
        return out

    def take_kept(self) -> bytes:
        """Return what is kept, which the application has left unfinished."""
        kept, self.kept = self.kept, b""
        return kept

    def begin(self) -> None:
        """Expect another answer: what was not whole is dropped, since that brings it again."""
        self.kept = b""
        self.strip_mark()
        if self.scanner is not None:
            self.scanner.begin()

    def strip_mark(self) -> None:
        """Leave a byte order mark out, if one comes next. It stands at the beginning of a stream only."""
        self._strips = 0

    def _without_mark(self, data: bytes) -> bytes:
        at = self._strips
        while data and at < len(BOM) and data[0] == BOM[at]:
            at += 1
            data = data[1:]
        begun = BOM[:at] if at < len(BOM) and data else b""
        self._strips = -1 if data or at == len(BOM) else at
        return begun + data

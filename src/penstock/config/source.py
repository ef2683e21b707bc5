"""Where configuration text comes from: files, positions in them, and text fit for a person's eyes."""

from __future__ import annotations

import errno
import os
from bisect import bisect_right
from typing import NamedTuple

from penstock.config.inputs import FILE, gathered

COMMAND_LINE = "command line"

_LARGEST = 64 * 1024 * 1024


class Source:
    """The text of one configuration file, decoded as latin-1 so that one character is one byte.

    `path` is the name messages use; it need not exist (`-g` and tests have text without a file).
    """

    __slots__ = ("_starts", "path", "text")

    def __init__(self, path: str, text: str) -> None:
        self.path = path
        self.text = text
        self._starts: list[int] | None = None

    def __repr__(self) -> str:
        return f"Source({self.path!r}, {len(self.text)} bytes)"

    def position(self, offset: int) -> tuple[int, int]:
        """Return line and column, both counted from 1; the column counts bytes."""
        starts = self._line_starts()
        number = bisect_right(starts, offset)
        return number, offset - starts[number - 1] + 1

    def line(self, number: int) -> str:
        """Return the text of a line without its end; lines outside the file are empty."""
        starts = self._line_starts()
        if not 1 <= number <= len(starts):
            return ""
        end = starts[number] if number < len(starts) else len(self.text)
        return self.text[starts[number - 1] : end].rstrip("\r\n")

    def _line_starts(self) -> list[int]:
        # Most configurations load without a single message, so nobody pays for this until asked.
        if self._starts is None:
            starts = [0]
            find = self.text.find
            newline = find("\n")
            while newline >= 0:
                starts.append(newline + 1)
                newline = find("\n", newline + 1)
            self._starts = starts
        return self._starts


class Span(NamedTuple):
    """A stretch of a source: `start` included, `end` excluded.

    A named tuple because a large configuration makes a hundred thousand of them.
    """

    source: Source
    start: int
    end: int

    @property
    def file(self) -> str:
        """Return the path of the file, as the configuration names it."""
        return self.source.path

    @property
    def line(self) -> int:
        """Return the number of its first line, from 1 on."""
        return self.source.position(self.start)[0]

    @property
    def column(self) -> int:
        """Return where it begins in that line, in bytes from 1 on."""
        return self.source.position(self.start)[1]

    @property
    def text(self) -> str:
        """Return the text itself."""
        return self.source.text[self.start : self.end]


def read_source(path: str) -> Source:
    """Read a file as latin-1. Raises `OSError` as `open` does, and for files beyond 64 MiB.

    `path` is latin-1 too: a name out of a configuration is bytes, whatever encoding the file system speaks.
    """
    data = gathered(FILE, path, lambda: _read(path))
    return Source(path, data.decode("latin-1"))


def _read(path: str) -> bytes:
    with open(path.encode("latin-1"), "rb") as file:  # noqa: PTH123  bytes
        data = file.read(_LARGEST + 1)
    if len(data) > _LARGEST:
        raise OSError(errno.EFBIG, os.strerror(errno.EFBIG), path)
    return data


def shown(text: str) -> str:
    """Return latin-1 text as a person should see it: UTF-8 where valid, everything invisible escaped.

    Escaping covers control characters, stray bytes, byte order marks, non-breaking spaces and characters that
    reverse the writing direction: what cannot be seen is what people search for in vain.
    """
    if text.isascii() and text.isprintable():
        return text
    decoded = text.encode("latin-1").decode("utf-8", "backslashreplace")
    return "".join(char if char.isprintable() else _escaped(char) for char in decoded)


def _escaped(char: str) -> str:
    return char.encode("unicode_escape").decode("ascii")

"""From one character set into another: single bytes by a table, UTF-8 by code points."""

from __future__ import annotations

import codecs
from collections.abc import Iterable
from typing import Protocol

UNKNOWN = b"?"
REPLACEMENT = "\ufffd"


class Recoder(Protocol):
    """A stage of a body; `keeps_length` where a byte becomes a byte."""

    swells: bool
    keeps_length: bool

    def feed(self, data: bytes) -> Iterable[bytes]: ...
    def flush(self) -> Iterable[bytes]: ...
    def finish(self) -> Iterable[bytes]: ...


class Map:
    """What each byte of one set is in another, which may be UTF-8. ASCII is ASCII unless something else is said."""

    __slots__ = ("_bytes", "utf8")

    def __init__(self, utf8: bool) -> None:
        self.utf8 = utf8
        self._bytes = [bytes((code,)) if code < 128 else UNKNOWN for code in range(256)]

    def put(self, code: int, written: bytes) -> None:
        """Set how one character is written in the other set. Raises `ValueError` for what is no character."""
        if self.utf8:
            if len(written.decode("utf-8")) != 1 or ord(written.decode("utf-8")) > 0xFFFF:
                raise ValueError(written)
        elif len(written) != 1:
            raise ValueError(written)
        self._bytes[code] = written

    @property
    def forth(self) -> Forth:
        return Forth(bytes(map(ord, self._bytes)) if not self.utf8 else None, tuple(self._bytes))

    @property
    def back(self) -> Back:
        table = {written: code for code, written in reversed(list(enumerate(self._bytes))) if written != UNKNOWN}
        table[UNKNOWN] = self._bytes.index(UNKNOWN) if self._bytes[63] != UNKNOWN else 63
        if self.utf8:
            return Back(None, {ord(written.decode("utf-8")): chr(code) for written, code in table.items()})
        single = bytearray(bytes(range(128)) + UNKNOWN * 128)
        for written, code in table.items():
            single[written[0]] = code
        return Back(bytes(single), {})


class Forth:
    """The way of a map."""

    __slots__ = ("single", "written")

    def __init__(self, single: bytes | None, written: tuple[bytes, ...]) -> None:
        self.single = single
        self.written = written


class Back:
    """The way back. `points` are the bytes of code points."""

    __slots__ = ("points", "single")

    def __init__(self, single: bytes | None, points: dict[int, str]) -> None:
        self.single = single
        self.points = points


class Tables:
    """Every map of a configuration, and what Python knows besides."""

    __slots__ = ("_found", "_given")

    def __init__(self) -> None:
        self._given: dict[tuple[str, str], Forth | Back] = {}
        self._found: dict[tuple[str, str], Forth | Back | None] = {}

    def add(self, source: str, target: str, made: Map) -> bool:
        """Keep a map for both ways; False if there is one already."""
        names = source.lower(), target.lower()
        if names in self._given:
            return False
        self._given[names] = made.forth
        self._given[names[::-1]] = made.back
        return True

    def find(self, source: str, target: str) -> Forth | Back | None:
        """Find the way from one set to another; None where there is none."""
        names = source.lower(), target.lower()
        given = self._given.get(names)
        if given is not None:
            return given
        if names not in self._found:
            if len(self._found) >= 64:
                self._found.clear()
            self._found[names] = _of_python(*names)
        return self._found[names]


def _of_python(source: str, target: str) -> Forth | Back | None:
    """A table between two sets that Python knows, of which at least one has single bytes."""
    if source == "utf-8":
        made = _of_python(target, source)
        if not isinstance(made, Forth):
            return None
        return _map(made.written, utf8=True).back
    try:
        letters = [_letter(source, code) for code in range(256)]
        written = tuple(letter.encode(target, "replace") if letter else UNKNOWN for letter in letters)
    except (LookupError, UnicodeError):
        return None
    if target != "utf-8" and any(len(each) != 1 for each in written):
        return None
    return _map(written, utf8=target == "utf-8").forth


def _letter(name: str, code: int) -> str:
    """The character of a byte, "" where it has none. Raises `LookupError` for a set that has not single bytes."""
    b"a".decode(name)  # raises for what is a codec, but of no text
    make = codecs.lookup(name).incrementaldecoder
    if make is None:
        raise LookupError(name)
    try:
        letter = make().decode(bytes((code,)))
    except UnicodeDecodeError:
        return ""
    if len(letter) != 1:  # it waits for another byte
        raise LookupError(name)
    return letter


def _map(written: tuple[bytes, ...], *, utf8: bool) -> Map:
    made = Map(utf8)
    for code, each in enumerate(written):
        made.put(code, each)
    return made


def recoder(way: Forth | Back) -> Recoder:
    """Make the stage that recodes one body."""
    if way.single is not None:
        return SingleByteTable(way.single)
    return ToUtf8(way.written) if isinstance(way, Forth) else FromUtf8(way.points)


class SingleByteTable:
    """A byte becomes a byte."""

    __slots__ = ("_table",)
    swells = False
    keeps_length = True

    def __init__(self, table: bytes) -> None:
        self._table = table

    def feed(self, data: bytes) -> Iterable[bytes]:
        return (data.translate(self._table),)

    def flush(self) -> Iterable[bytes]:
        return ()

    def finish(self) -> Iterable[bytes]:
        return ()


class ToUtf8:
    """A byte becomes a character of UTF-8."""

    __slots__ = ("_table",)
    swells = False
    keeps_length = False

    def __init__(self, table: tuple[bytes, ...]) -> None:
        self._table = table

    def feed(self, data: bytes) -> Iterable[bytes]:
        table = self._table
        return (b"".join([table[code] for code in data]),)

    def flush(self) -> Iterable[bytes]:
        return ()

    def finish(self) -> Iterable[bytes]:
        return ()


class FromUtf8:
    """A character of UTF-8 becomes a byte, or `&#1234;` where the set has none; what is not UTF-8 becomes "?"."""

    __slots__ = ("_decoder", "_points")
    swells = False
    keeps_length = False

    def __init__(self, points: dict[int, str]) -> None:
        self._points = _Points(points)
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")

    def feed(self, data: bytes) -> Iterable[bytes]:
        return (self._recoded(self._decoder.decode(data)),)

    def flush(self) -> Iterable[bytes]:
        return ()

    def finish(self) -> Iterable[bytes]:
        return (self._recoded(self._decoder.decode(b"", True)),)

    def _recoded(self, text: str) -> bytes:
        return text.translate(self._points).encode("latin-1")


class _Points(dict[int, str]):
    def __missing__(self, point: int) -> str:
        if point < 128:
            return chr(point)
        return "?" if point == ord(REPLACEMENT) else f"&#{point};"

"""Redis's wire format, both ways and without a socket: commands as arrays of strings, replies of version 3.

https://redis.io/docs/latest/develop/reference/protocol-spec/
"""

from __future__ import annotations

from typing import TypeAlias

Reply: TypeAlias = "bytes | int | float | bool | list[Reply] | Failure | Push | None"

MOST_BYTES = 8 << 20
"""Bytes of one reply, and of the strings in it."""
MOST_ITEMS = 1 << 16
DEEPEST = 8
YES = b"*1\r\n:1\r\n"
LENGTH_OF_YES = len(YES)


class NotRedis(Exception):
    """What came is no reply of Redis, or one that is larger than anything that was asked for."""


class Failure:
    """An error that Redis answered with; `text` begins with its code, such as `NOSCRIPT`."""

    __slots__ = ("text",)

    def __init__(self, text: str) -> None:
        self.text = text


class Push:
    """What comes without having been asked for: a message of a channel that was subscribed to."""

    __slots__ = ("items",)

    def __init__(self, items: list[Reply]) -> None:
        self.items = items


class _Partial(Exception):
    """More bytes are needed."""


def argument(word: bytes) -> bytes:
    """Write one argument of a command."""
    return b"$%d\r\n%b\r\n" % (len(word), word)


EMPTY = argument(b"")


def command(*words: bytes) -> bytes:
    """Write a command and its arguments."""
    return b"*%d\r\n" % len(words) + b"".join(map(argument, words))


class ReplyReader:
    """Reads replies as their bytes come. What is not a whole reply yet is kept, `MOST_BYTES` at most."""

    __slots__ = ("_data", "_wanted")

    def __init__(self) -> None:
        self._data = b""
        self._wanted = 0

    def feed(self, data: bytes) -> list[Reply]:
        """Take bytes, and return the replies that are whole now. Raises `NotRedis`."""
        if self._data:
            data = self._data + data
            if len(data) < self._wanted:
                self._data = data
                return []
        elif data[:LENGTH_OF_YES] == YES:
            # Nearly all that comes: places that were granted, one answer or some in a row.
            count = len(data) // LENGTH_OF_YES
            if data == YES * count:
                return [[1] for _ in range(count)]
        found: list[Reply] = []
        at = 0
        self._wanted = 0
        while at < len(data):
            try:
                reply, at = self._read(data, at, 0)
            except _Partial:
                break
            found.append(reply)
        self._data = data[at:]
        if len(self._data) > MOST_BYTES:
            raise NotRedis("a reply is too long")
        if self._wanted:
            self._wanted -= at
        return found

    def _read(self, data: bytes, at: int, depth: int) -> tuple[Reply, int]:
        end = data.find(b"\r\n", at)
        if end < 0:
            if len(data) - at > MOST_BYTES:
                raise NotRedis("a line is too long")
            raise _Partial
        kind = data[at : at + 1]
        line = data[at + 1 : end]
        at = end + 2
        if kind == b":":
            return _number(line), at
        if kind == b"$" or kind == b"=":
            return self._string(data, line, at)
        if kind in (b"*", b"~", b">", b"%"):
            count = _number(line) * (2 if kind == b"%" else 1)
            if count < 0:
                return None, at
            if count > MOST_ITEMS or depth >= DEEPEST:
                raise NotRedis("a reply has too many items")
            items: list[Reply] = []
            for _ in range(count):
                item, at = self._read(data, at, depth + 1)
                items.append(item)
            return (Push(items) if kind == b">" else items), at
        return _simple(kind, line), at

    def _string(self, data: bytes, line: bytes, at: int) -> tuple[Reply, int]:
        length = _number(line)
        if length < 0:
            return None, at
        if length > MOST_BYTES:
            raise NotRedis("a string is too long")
        if len(data) < at + length + 2:
            # So that a long string which comes in many pieces is not looked at once for each of them.
            self._wanted = at + length + 2
            raise _Partial
        return data[at : at + length], at + length + 2


def _number(line: bytes) -> int:
    try:
        return int(line)
    except ValueError:
        raise NotRedis("a number is none") from None


def _simple(kind: bytes, line: bytes) -> Reply:
    if kind == b"+":
        return line
    if kind == b"-":
        return Failure(line.decode("latin-1"))
    if kind == b"_":
        return None
    if kind == b"#":
        return line == b"t"
    if kind == b",":
        try:
            return float(line)
        except ValueError:
            raise NotRedis("a number is none") from None
    if kind == b"(":
        return _number(line)
    raise NotRedis("a reply begins with something unknown")

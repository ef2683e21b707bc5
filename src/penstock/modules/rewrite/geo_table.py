"""Values by address: the two tables of `geo`, one of networks and one of IPv4 ranges."""

from __future__ import annotations

from bisect import bisect_right
from typing import Protocol

from penstock.config.values import network

NOWHERE = "255.255.255.255"
"""What nginx looks up for a client that has no address, such as one of a unix socket."""

_MAPPED = 0xFFFF
_Range = tuple[int, int, str]


class Overlap(ValueError):
    """A range that is neither inside of another nor outside; the text is the other one."""


class GeoTable(Protocol):
    """Both have this."""

    def find(self, address: str) -> str:
        """Return the value of the network or range that has the address, the default or "" where none has."""
        ...


def _number(address: str) -> tuple[bool, int]:
    """Whether it is IPv6, and its number. An IPv4 address inside IPv6 is an IPv4 address."""
    try:
        found = network(address)
    except ValueError:
        return _number(NOWHERE)
    if found.family == "inet":
        return False, found.prefix
    if found.family == "inet6":
        return (False, found.prefix & 0xFFFFFFFF) if found.prefix >> 32 == _MAPPED else (True, found.prefix)
    return _number(NOWHERE)


class Networks:
    """Networks of either family; the smallest one around an address counts."""

    __slots__ = ("_tables",)

    def __init__(self) -> None:
        # By family, then by the number of bits that do not count, the smallest first.
        self._tables: tuple[dict[int, dict[int, str]], dict[int, dict[int, str]]] = ({}, {})

    def put(self, six: bool, shift: int, prefix: int, value: str) -> str | None:
        """Add a network; the value it had before."""
        table = self._tables[six]
        old = table.setdefault(shift, {}).get(prefix)
        table[shift][prefix] = value
        if old is None:
            self._sort(six)
        return old

    def remove(self, six: bool, shift: int, prefix: int) -> bool:
        """Take a network out; False where there is none."""
        return self._tables[six].get(shift, {}).pop(prefix, None) is not None

    def _sort(self, six: bool) -> None:
        table = self._tables[six]
        ordered = sorted(table.items())
        table.clear()
        table.update(ordered)

    def find(self, address: str) -> str:
        """Find the value for an address; empty where no network has it."""
        six, number = _number(address)
        for shift, networks in self._tables[six].items():
            found = networks.get(number >> shift)
            if found is not None:
                return found
        return ""


class GeoRanges:
    """IPv4 ranges, kept as nginx keeps them: cut at every /16, sorted, a later one cut out of an earlier one."""

    __slots__ = ("_chunks", "default")

    def __init__(self) -> None:
        self.default = ""
        self._chunks: dict[int, list[_Range]] = {}

    def put(self, start: int, end: int, value: str) -> list[str]:
        """Add a range; the values that exactly the same range had before. Raises `Overlap`."""
        old: list[str] = []
        for high in range(start >> 16, (end >> 16) + 1):
            low, top = _within(high, start, end)
            chunk = self._chunks.setdefault(high, [])
            at = bisect_right(chunk, (top, 0x10000, "")) - 1
            if at < 0 or low > chunk[at][1]:
                chunk.insert(at + 1, (low, top, value))
                continue
            first, last, before = chunk[at]
            if low < first or top > last:
                raise Overlap(f"{_shown(high, first)}-{_shown(high, last)}")
            if (low, top) == (first, last):
                old.append(before)
            pieces = [(first, low - 1, before), (low, top, value), (top + 1, last, before)]
            chunk[at : at + 1] = [piece for piece in pieces if piece[0] <= piece[1]]
        return old

    def remove(self, start: int, end: int) -> bool:
        """Take a range out; False where it was not there as it stands."""
        there = True
        for high in range(start >> 16, (end >> 16) + 1):
            wanted = _within(high, start, end)
            chunk = self._chunks.get(high, [])
            kept = [each for each in chunk if each[:2] != wanted]
            there = there and len(kept) != len(chunk)
            self._chunks[high] = kept
        return there

    def find(self, address: str) -> str:
        """Find the value for an address."""
        six, number = _number(address)
        if six:
            number = 0xFFFFFFFF
        chunk = self._chunks.get(number >> 16)
        if chunk:
            low = number & 0xFFFF
            at = bisect_right(chunk, (low, 0x10000, "")) - 1
            if at >= 0 and low <= chunk[at][1]:
                return chunk[at][2]
        return self.default


def _within(high: int, start: int, end: int) -> tuple[int, int]:
    low = start & 0xFFFF if start >> 16 == high else 0
    top = end & 0xFFFF if end >> 16 == high else 0xFFFF
    return low, top


def _shown(high: int, low: int) -> str:
    return f"{high >> 8}.{high & 255}.{low >> 8}.{low & 255}"

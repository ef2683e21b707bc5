"""Keys and their values in memory that all workers share (`keyval_zone`): found as texts, by address, or by beginning.

The memory holds JSON, `{"key": ["value", 0]}`; the number is when a pair is over, in seconds since 1970, 0 for never.
A worker reads it again when there is a newer version. `now` is seconds since 1970, everywhere.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import TypeAlias

from penstock.config.values import network
from penstock.shared.versioned_text import VersionedText
from penstock.shared.whole_file import write_whole

KINDS = ("string", "ip", "prefix")
Entry: TypeAlias = "list[str | float]"
"""A value, and when it is over."""
Entries: TypeAlias = "dict[str, Entry]"
Place: TypeAlias = "tuple[bool, int, int]"
"""A network: whether it is IPv6, how many bits do not count, and the others as a number."""
_MAPPED = 0xFFFF


def place_of(text: str) -> Place | None:
    """Return the network, or the address, that a text names; None where it is neither."""
    try:
        found = network(text)
    except ValueError:
        return None
    if found.family not in ("inet", "inet6"):
        return None
    six, shift, prefix = found.family == "inet6", found.shift, found.prefix
    if six and shift <= 32 and prefix >> (32 - shift) == _MAPPED:  # IPv4 inside IPv6
        return False, shift, prefix & ((1 << (32 - shift)) - 1)
    return six, shift, prefix


def _lives(entry: Entry, now: float) -> bool:
    end = entry[1]
    assert not isinstance(end, str)
    return not end or now < end


class KeyvalStore:
    """The pairs of one zone. `kind` is how keys are found, `timeout` how long a pair is there (0: for good), `state`
    the file that keeps them ("" for none)."""

    __slots__ = ("_entries", "_lengths", "_networks", "_seen", "kind", "memory", "state", "timeout")

    def __init__(self, memory: VersionedText, kind: str, timeout: float, state: str) -> None:
        self.memory = memory
        self.kind = kind
        self.timeout = timeout
        self.state = state
        self._seen = 0
        self._entries: Entries = {}
        self._networks: list[tuple[bool, int, dict[int, str]]] = []
        self._lengths: list[int] = []

    def find(self, text: str, now: float) -> str | None:
        """Find the value for a text; None where there is none."""
        self._catch_up()
        if self.kind == "ip":
            return self._by_address(text, now)
        if self.kind == "prefix":
            return self._by_beginning(text, now)
        return self._value(text, now)

    def pairs(self, now: float) -> dict[str, str]:
        """Return all pairs that are there."""
        self._catch_up()
        return {key: str(entry[0]) for key, entry in self._entries.items() if _lives(entry, now)}

    def change(self, act: Callable[[Entries], None], now: float) -> None:
        """Let `act` change the pairs, for all workers. Raises what it raises, `TooMuch`, and `OSError` for the file;
        nothing has changed then."""
        with self.memory:
            entries: Entries = {key: entry for key, entry in self.memory.read().items() if _lives(entry, now)}
            act(entries)
            text = self.memory.encoded(entries)
            if self.state:
                write_whole(self.state, _written(entries))
            self.memory.put(text)

    def fill(self, text: bytes) -> None:
        """Begin with what a file holds, where nothing has been in the memory yet. Raises `ValueError`, `TooMuch`."""
        entries = _parsed(text)
        with self.memory:
            if not self.memory.version:
                self.memory.write(entries)

    def end_of(self, milliseconds: float | None, now: float) -> float:
        """Return when a pair is over that is made now, by its own time or by that of the zone."""
        seconds = self.timeout if milliseconds is None else milliseconds / 1000
        return now + seconds if seconds else 0

    def takes(self, key: str) -> bool:
        """Return whether there may be such a key."""
        return bool(key) and (self.kind != "ip" or place_of(key) is not None)

    # -- how keys are found

    def _value(self, key: str, now: float) -> str | None:
        entry = self._entries.get(key)
        return str(entry[0]) if entry is not None and _lives(entry, now) else None

    def _by_address(self, text: str, now: float) -> str | None:
        wanted = place_of(text)
        if wanted is None:
            return None
        six, shift, prefix = wanted
        for of_six, bits, keys in self._networks:
            if of_six is six and bits >= shift:
                key = keys.get(prefix >> (bits - shift))
                found = None if key is None else self._value(key, now)
                if found is not None:
                    return found
        return None

    def _by_beginning(self, text: str, now: float) -> str | None:
        for length in self._lengths:
            if length <= len(text):
                found = self._value(text[:length], now)
                if found is not None:
                    return found
        return None

    def _catch_up(self) -> None:
        """Read the pairs again if they have changed, and order them: the smallest networks and longest keys first."""
        if self.memory.version == self._seen:
            return
        self._seen, self._entries = self.memory.latest()
        self._lengths = sorted({len(key) for key in self._entries}, reverse=True)
        tables: dict[tuple[bool, int], dict[int, str]] = {}
        if self.kind == "ip":
            for key in self._entries:
                found = place_of(key)
                if found is not None:
                    tables.setdefault(found[:2], {})[found[2]] = key
        self._networks = [(six, bits, keys) for (six, bits), keys in sorted(tables.items())]


def _written(entries: Entries) -> bytes:
    """Write pairs as a file has them: `{"key": "value", "other": {"value": "...", "expire": 1764500000000}}`."""
    made: dict[str, object] = {}
    for key, (value, end) in entries.items():
        assert not isinstance(end, str)
        shown = as_unicode(str(value))
        made[as_unicode(key)] = {"value": shown, "expire": round(end * 1000)} if end else shown
    return json.dumps(made, indent=1).encode("ascii") + b"\n"


def _parsed(text: bytes) -> Entries:
    """Read them again. Raises `ValueError`."""
    found = json.loads(text)
    if not isinstance(found, dict):
        raise ValueError("an object is expected")
    made: Entries = {}
    for key, value in found.items():
        end = 0.0
        if isinstance(value, dict):
            expire = value.get("expire", 0)
            if isinstance(expire, bool) or not isinstance(expire, int | float):
                raise ValueError(f'the time of "{key}" is no number')
            value, end = value.get("value"), expire / 1000
        if not isinstance(value, str):
            raise ValueError(f'the value of "{key}" is no text')
        made[as_latin1(key)] = [as_latin1(value), end]
    return made


def as_latin1(text: str) -> str:
    """Write a text of JSON as texts are spelled here: a character for each of its bytes."""
    return text.encode("utf-8", "surrogatepass").decode("latin-1")


def as_unicode(text: str) -> str:
    """Write it as JSON does again."""
    return text.encode("latin-1").decode("utf-8", "replace")

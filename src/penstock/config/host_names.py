"""Names of hosts by which something is looked up: whole ones, and masks (nginx: ngx_hash_combined_t)."""

from __future__ import annotations

from typing import Generic, TypeVar

Value = TypeVar("Value")


def is_mask_or_name(name: str) -> bool:
    """Return whether a name is whole or has one `*` for its first or last label, and no empty label within."""
    stars = name.count("*")
    if ".." in name or "\0" in name or stars > 1:
        return False
    if not stars or (name[0] == "." and len(name) > 1):
        return True
    return len(name) > 2 and (name.startswith("*.") or name.endswith(".*"))


class HostNames(Generic[Value]):
    """What belongs to `www.example.org`, to `*.example.org` (the longest), then to `www.*` (the longest).

    `.example.org` is two names in one: the whole one and the mask. Names are in lower case.
    """

    __slots__ = ("heads", "tails", "whole")

    def __init__(self) -> None:
        self.whole: dict[str, Value] = {}
        self.heads: dict[str, Value] = {}
        self.tails: dict[str, Value] = {}

    def __bool__(self) -> bool:
        return bool(self.whole or self.heads or self.tails)

    def values(self) -> list[Value]:
        """Return every value there may be."""
        return [*self.whole.values(), *self.heads.values(), *self.tails.values()]

    def add(self, name: str, value: Value) -> Value | None:
        """Add a name; or return the value that has it already, and add nothing, not half of two names in one."""
        if name.startswith("*."):
            return _put(self.heads, name[1:], value)
        if name.startswith(".") and len(name) > 1:
            holder = self.heads.get(name, self.whole.get(name[1:]))
            if holder is None:
                self.heads[name] = self.whole[name[1:]] = value
            return holder
        if name.endswith(".*"):
            return _put(self.tails, name[:-1], value)
        return _put(self.whole, name, value)

    def find(self, host: str) -> Value | None:
        """Find what belongs to a host."""
        found = self.whole.get(host)
        return self.by_mask(host) if found is None else found

    def by_mask(self, host: str) -> Value | None:
        """Find it among the masks only."""
        if self.heads:
            at = host.find(".")
            while at >= 0:
                found = self.heads.get(host[at:])
                if found is not None:
                    return found
                at = host.find(".", at + 1)
        if self.tails:
            at = host.rfind(".")
            while at >= 0:
                found = self.tails.get(host[: at + 1])
                if found is not None:
                    return found
                at = host.rfind(".", 0, at)
        return None


def _put(table: dict[str, Value], key: str, value: Value) -> Value | None:
    holder = table.get(key)
    if holder is None:
        table[key] = value
    return holder

"""What another process wrote as JSON, read with types: nothing unexpected is taken, and nothing is left over.

A process of another version, or one that has gone wrong, must be noticed before its words mean something else here.
"""

from __future__ import annotations

from math import inf
from typing import Any

LONGEST = 1 << 20
"""Characters of a text."""

MOST = 4096
"""Items of a list."""


class Strange(ValueError):
    """Raised for fields that are not as expected; the text says which."""


class Fields:
    """The fields of one object: take each of them once, then call `end`."""

    __slots__ = ("_left", "_where")

    def __init__(self, value: object, where: str = "it") -> None:
        if not isinstance(value, dict):
            raise Strange(f"{where} is no object")
        # Any: JSON, of which each method below looks at what it gives.
        self._left: dict[str, Any] = dict(value)
        self._where = where

    def text(self, name: str) -> str:
        """Take a text. Raises `Strange`."""
        value = self._take(name)
        if not isinstance(value, str) or len(value) > LONGEST:
            raise self._strange(name, "a text")
        return value

    def whole(self, name: str, most: int = 2**63 - 1) -> int:
        """Take a whole number from 0 on."""
        value = self._take(name)
        if type(value) is not int or not 0 <= value <= most:
            raise self._strange(name, f"a whole number up to {most}")
        return value

    def real(self, name: str) -> float:
        """Take a finite number."""
        return self._real(name, self._take(name))

    def real_or_none(self, name: str) -> float | None:
        """Take a finite number, or null. Raises `Strange`."""
        value = self._take(name)
        return None if value is None else self._real(name, value)

    def span(self, name: str) -> float:
        """Take seconds from 0 on; null stands for ever."""
        value = self.real_or_none(name)
        if value is None:
            return inf
        if value < 0:
            raise self._strange(name, "seconds")
        return value

    def flag(self, name: str) -> bool:
        """Take true or false. Raises `Strange`."""
        value = self._take(name)
        if not isinstance(value, bool):
            raise self._strange(name, "true or false")
        return value

    def one_of(self, name: str, known: dict[str, Any]) -> Any:
        """Take a text, and return what it stands for."""
        value = self.text(name)
        if value not in known:
            raise self._strange(name, "one of " + ", ".join(known))
        return known[value]

    def items(self, name: str) -> list[Any]:
        """Take a list of anything, as long as it is not too long. Raises `Strange`."""
        value = self._take(name)
        if not isinstance(value, list) or len(value) > MOST:
            raise self._strange(name, "a list")
        return value

    def texts(self, name: str) -> list[str]:
        """Take a list of texts. Raises `Strange`."""
        value = self.items(name)
        if not all(isinstance(item, str) and len(item) <= LONGEST for item in value):
            raise self._strange(name, "a list of texts")
        return value

    def objects(self, name: str) -> list[Fields]:
        """Take a list of objects; each of them has to be read to its end. Raises `Strange`."""
        return [Fields(item, f"{self._where}.{name}") for item in self.items(name)]

    def objects_or_none(self, name: str) -> list[Fields] | None:
        """Take a list of objects, or null. Raises `Strange`."""
        if self._left.get(name, 0) is None:
            del self._left[name]
            return None
        return self.objects(name)

    def object(self, name: str) -> Fields:
        """Take an object, which has to be read to its end. Raises `Strange`."""
        return Fields(self._take(name), f"{self._where}.{name}")

    def object_or_none(self, name: str) -> Fields | None:
        """Take an object, or null. Raises `Strange`."""
        value = self._take(name)
        return None if value is None else Fields(value, f"{self._where}.{name}")

    def plain_or_none(self, name: str) -> dict[str, Any] | None:
        """Take an object that somebody else reads."""
        value = self._take(name)
        if value is not None and not isinstance(value, dict):
            raise self._strange(name, "an object")
        return value

    def has(self, name: str) -> bool:
        """Return whether a field is there that was not taken yet."""
        return name in self._left

    def end(self) -> None:
        """Raise `Strange` if a field is left over."""
        if self._left:
            raise Strange(f"{self._where} has unknown fields: {', '.join(sorted(self._left))[:200]}")

    def _take(self, name: str) -> Any:
        try:
            return self._left.pop(name)
        except KeyError:
            raise Strange(f"{self._where} has no {name}") from None

    def _real(self, name: str, value: Any) -> float:
        # `float` of a huge whole number raises, and JSON as Python reads it knows NaN and Infinity.
        if type(value) not in (int, float) or not -1e18 < value < 1e18:
            raise self._strange(name, "a number")
        return float(value)

    def _strange(self, name: str, wanted: str) -> Strange:
        return Strange(f"{self._where}.{name} is not {wanted}")


def finite(seconds: float) -> float | None:
    """Return seconds as `Fields.span` reads them: None stands for ever."""
    return None if seconds == inf else seconds

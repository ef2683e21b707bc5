"""Keys that know the type of what is kept by them: for what modules keep in a scope, in a plan, in a request.

The module that owns a value defines the key, and who wants the value imports it:

    UPSTREAMS: Key[Upstreams] = Key("upstreams")
    ...
    found = plan.shared.get(UPSTREAMS)  # Upstreams | None
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Generic, TypeVar

T = TypeVar("T")


class Key(Generic[T]):
    """Two keys are never the same, whatever they are called; `name` is for who reads it."""

    __slots__ = ("name",)

    def __init__(self, name: str) -> None:
        self.name = name

    def __repr__(self) -> str:
        return f"<key {self.name}>"


# Each key says what its value is, which a dictionary can not.
class KeyedValues(dict[Key[Any], Any]):
    """A plain dictionary for the interpreter; what a key gives has the key's type for the type checker."""

    __slots__ = ()

    if TYPE_CHECKING:

        def __getitem__(self, key: Key[T]) -> T: ...

        def __setitem__(self, key: Key[T], value: T) -> None: ...

        def get(self, key: Key[T]) -> T | None: ...  # type: ignore[override]

        def setdefault(self, key: Key[T], default: T) -> T: ...  # type: ignore[override]

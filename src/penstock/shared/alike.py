"""Objects that begin alike: each is made like a model of its class, and then gets what is its own.

An `__init__` that sets fifty slots is a call and four bytecodes for each of them. `_alike.c` copies them in one loop
where the package was built with a compiler; without it, a function that is generated for the class does. A request on
a kept connection takes 8,000 of 113,500 instructions less so (experiments/requests.md).
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any, TypeVar

from penstock.shared.compiled import are_wanted

T = TypeVar("T")

_like: Callable[[object, int], Callable[[], Any]] | None = None
if are_wanted():
    try:
        from penstock.shared import _alike
    except ImportError:
        pass
    else:
        _like = _alike.like


def like(model: T) -> Callable[[], T]:
    """Return what makes another object of the model's class with the same values in its slots.

    All slots of the model must have been set, and it has nothing but slots. What they are at each call counts: a model
    is not changed once somebody has it.
    """
    kind = type(model)
    names = slots_of(kind)
    made: Callable[[], T]
    if _like is not None and kind.__basicsize__ == object.__basicsize__ + 8 * len(names):
        made = _like(model, len(names))
    else:
        copier = _copiers.get(kind)
        if copier is None:
            copier = _copiers[kind] = _copier(kind)
        made = partial(copier, model)
    return made


def slots_of(kind: type) -> list[str]:
    """Name the slots of a class. Raises `TypeError` where its objects have something besides."""
    if kind.__dictoffset__ or kind.__weakrefoffset__:
        raise TypeError(f"{kind.__name__} has more than slots")
    names: list[str] = []
    for each in kind.__mro__:
        own = each.__dict__.get("__slots__", ())
        names += [own] if isinstance(own, str) else own
    return names


# Any: the class of what is made is only known where it is called.
_copiers: dict[type, Callable[[Any], Any]] = {}


def _copier(kind: type) -> Callable[[Any], Any]:
    lines = ["def another(model):", "    made = make(kind)"]
    lines += [f"    made.{name} = model.{name}" for name in slots_of(kind)]
    known: dict[str, Any] = {"make": object.__new__, "kind": kind}
    exec("\n".join((*lines, "    return made")), known)
    made: Callable[[Any], Any] = known["another"]
    return made

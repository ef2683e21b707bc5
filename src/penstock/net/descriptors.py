"""Open what takes a descriptor, also where all of them are in use: who asks for nothing goes first."""

from __future__ import annotations

from collections.abc import Callable
from errno import EMFILE, ENFILE
from typing import TypeVar

from penstock.net.loop import running_loop

T = TypeVar("T")


def with_room(make: Callable[[], T]) -> T:
    """Give what `make` opens; where descriptors have run out, some are freed, and it is tried once more.

    Raises `OSError`, and what `make` raises.
    """
    try:
        return make()
    except OSError as error:
        if error.errno not in (EMFILE, ENFILE) or not _made():
            raise
    return make()


def _made() -> bool:
    """Return whether the loop that runs has freed some; a master has none."""
    try:
        make_room = running_loop().make_room
    except RuntimeError:
        return False
    return make_room is not None and make_room()

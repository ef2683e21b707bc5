"""An answer out of a cache, or on its way into one."""

from __future__ import annotations

from penstock.http.request import Answer


class KeptAnswer(Answer):
    """An answer that may be kept. `conditional`: it is, and then a client's conditions are judged here as those for a
    file are."""

    __slots__ = ("conditional",)

    def __init__(self, status: int) -> None:
        super().__init__(status)
        self.conditional = False

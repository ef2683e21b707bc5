"""What filters that compress bodies have in common: which answers are worth it, and what is counted on the way."""

from __future__ import annotations

from collections.abc import Iterable

from penstock.http.request import Answer, Request
from penstock.modules.filters.media_types import listed

COMPRESSED = frozenset({200, 403, 404})
"""Statuses of answers that are worth it."""


def worth_compressing(answer: Answer, types: frozenset[str], least: int) -> bool:
    """Return whether a body may become smaller: it is none already, of one of these types, and has `least` bytes at
    least, as far as its length is known."""
    return (
        answer.status in COMPRESSED
        and answer.upgraded is None
        and (answer.length is None or answer.length >= least)
        and not answer.header("content-encoding")
        and listed(types, answer)
    )


class CompressionStage:
    """A body on its way. `variable` is where its ratio is found once it has ended."""

    __slots__ = ("_in", "_out", "_request", "_variable")
    swells = False

    def __init__(self, request: Request, variable: str) -> None:
        self._request = request
        self._variable = variable
        self._in = 0
        self._out = 0

    def _count(self, data: bytes) -> Iterable[bytes]:
        """Count what goes out."""
        self._out += len(data)
        return (data,) if data else ()

    def _ended(self) -> None:
        """Set the variable: how many times smaller the body became, in hundredths as nginx rounds them."""
        ratio = (self._in * 1000 // max(1, self._out) + 5) // 10 / 100
        self._request.variables[self._variable] = f"{ratio:.2f}"

"""Who may keep the answer to a request beside passing it on: a cache."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from penstock.http.cache.answer import KeptAnswer
    from penstock.http.response import ResponseHead
    from penstock.upstream.exchange.exchange import Exchange


class Keeps(Protocol):
    """What is asked once a head has come that is passed on."""

    def intercepted(self, head: ResponseHead) -> None:
        """Note that a page of ours stands in place of an answer."""
        ...

    def keep_answer(self, exchange: Exchange, head: ResponseHead, answer: KeptAnswer, *, buffering: bool) -> bool:
        """Give the answer its body, and keep it; False where it is not kept, with nothing done."""
        ...

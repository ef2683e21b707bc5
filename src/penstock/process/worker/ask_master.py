"""A worker asks its master something, and waits for the answer in a fiber."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from penstock.process.channel import Channel, Message
from penstock.process.master.asked import ASK, TOLD

if TYPE_CHECKING:
    from asyncio import Future
    from collections.abc import Mapping

    from penstock.net.loop import Loop

PATIENCE = 60.0
"""Seconds for an answer: a reload may take long."""


class NoAnswer(Exception):
    """Raised where there is no master to answer, or it says nothing in time."""


class MasterQuestions:
    """The worker's side; `channel` is None where there is no master."""

    def __init__(self, loop: Loop, channel: Channel | None) -> None:
        self._loop = loop
        self._channel = channel
        self._number = 0
        self._waiting: dict[int, Future[Mapping[str, Any]]] = {}
        if channel is not None:
            channel.handlers[TOLD] = self._told

    async def ask(self, what: str) -> Mapping[str, Any]:
        """Ask, and return the fields of the answer. Raises `NoAnswer`."""
        if self._channel is None:
            raise NoAnswer("master_process is off: there is no master to ask; send HUP")
        self._number = number = self._number + 1
        answer = self._waiting[number] = self._loop.create_future()
        if not self._channel.send(ASK, {"id": number, "what": what}):
            del self._waiting[number]
            raise NoAnswer("the master takes no messages")
        late = self._loop.call_later(PATIENCE, self._late, number)
        try:
            fields: Mapping[str, Any] = await answer
            return fields
        finally:
            late.cancel()
            self._waiting.pop(number, None)

    def _late(self, number: int) -> None:
        waiting = self._waiting.get(number)
        if waiting is not None and not waiting.done():
            waiting.set_exception(NoAnswer("the master did not answer in time"))

    def _told(self, message: Message) -> None:
        message.drop()
        waiting = self._waiting.get(message.fields.get("id", 0))
        if waiting is not None and not waiting.done():
            waiting.set_result(message.fields)

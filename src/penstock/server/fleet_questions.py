"""Asking all machines of the fleet in somebody's name, and answering when another machine asks.

A worker answers for itself alone; what one worker does for all of its machine (`steer`) is asked of one worker of each.
"""

from __future__ import annotations

import asyncio
import os
import time
from base64 import b64encode
from typing import TYPE_CHECKING, Any

from penstock.modules.fleet.channel import (
    MOST_ANSWERED,
    MOST_OPEN,
    Gathering,
    Told,
    deflate,
    fresh_id,
    pack_answer,
    pack_question,
    read_piece,
    read_question,
)
from penstock.net.fiber import Fiber, spawn

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from penstock.modules.fleet.link import Link
    from penstock.net.redis.replies import Reply

PATIENCE = 1.5
"""Seconds for answers: what comes later is not waited for."""
_WALL = max(time.time() - time.monotonic() for _ in range(5))
"""What the clock of this machine's processes is behind the wall's. Taken once, before the workers are forked: an entry
says the same each time it is asked for, so that the pages of a list fit together. A process that is held up between two
clocks finds too little: one of five is not."""


class FleetQuestions:
    """This worker's part. `answer` does what is asked of this worker, and may raise `ValueError`."""

    def __init__(self, link: Link, answer: Callable[[dict[str, object]], Awaitable[Told]]) -> None:
        self._link = link
        self._answer = answer
        self._answering: set[Fiber[None]] = set()
        self._open: dict[bytes, tuple[Gathering, asyncio.Event]] = {}
        self.machine = os.uname().nodename
        link.listeners[b"message"] = self._pushed

    async def ask(self, question: Told) -> Told:
        """Ask all machines; what they answer is returned as it came. Raises `ValueError` where that can not be."""
        link = self._link
        if not link.up:
            raise ValueError(f"{link.options.address.shown} does not answer, by which the fleet is asked")
        if len(self._open) >= MOST_OPEN:
            raise ValueError("the fleet is being asked already; try again")
        wanted = await self._who()
        to = None
        if question.get("do") == "steer":
            first: dict[str, str] = {}
            for lease in sorted(wanted):
                first.setdefault(lease.partition(":")[0], lease)
            to = sorted(first.values())
            wanted = set(to)
        id = fresh_id()
        gathering, complete = Gathering(wanted), asyncio.Event()
        self._open[id] = gathering, complete
        try:
            words = pack_question(id, link.lease.name, to, question)
            if not link.run((b"PUBLISH", link.lease.channels[0], words), _nothing):
                raise ValueError("the Redis of the fleet was lost just now")
            try:
                await asyncio.wait_for(complete.wait(), PATIENCE)
            except TimeoutError:
                pass
        finally:
            del self._open[id]
        return {
            "pid": os.getpid(),
            "open": 0,
            "matched": 0,
            "packed": [b64encode(data).decode("ascii") for _, data in sorted(gathering.answers.items())],
            "machines": len({lease.partition(":")[0] for lease in wanted}),
            "asked": len(wanted),
        }

    async def _who(self) -> set[str]:
        """The leases of this moment; those that were known last, if Redis does not say."""
        told: asyncio.Future[Reply] = asyncio.get_running_loop().create_future()

        def heard(reply: Reply) -> None:
            if not told.done():
                told.set_result(reply)

        # Those of the dead are among them until somebody has taken them out: they were not told to us lately.
        if not self._link.run((b"ZREVRANGE", self._link.options.base + b":l", b"0", b"4095", b"WITHSCORES"), heard):
            return set(self._link.leases)
        try:
            found = await asyncio.wait_for(told, PATIENCE)
        except TimeoutError:
            return set(self._link.leases)
        return _living(found, self._link.options.lease)

    def _pushed(self, items: list[Reply]) -> None:
        if len(items) != 3 or items[0] != b"message":
            return
        channel, data = items[1], items[2]
        if not isinstance(data, bytes):
            return
        if channel == self._link.lease.channels[1]:
            piece = read_piece(data)
            found = None if piece is None else self._open.get(piece.question)
            if piece is not None and found is not None:
                found[0].add(piece)
                if found[0].complete:
                    found[1].set()
        elif channel == self._link.lease.channels[0]:
            asked = read_question(data, self._link.lease.name)
            if asked is not None and len(self._answering) < MOST_ANSWERED:
                fiber = spawn(self._reply(asked.id, asked.asker, asked.question))
                if not fiber.done:
                    self._answering.add(fiber)
                    fiber.on_done(self._answering.discard)

    async def _reply(self, id: bytes, asker: str, question: dict[str, Any]) -> None:
        link = self._link
        node = link.options.node
        select = question.get("select")
        if isinstance(select, dict) and isinstance(select.get("id"), str) and "/" in select["id"]:
            meant, _, rest = select["id"].partition("/")
            select = {**select, "id": rest if meant == node else "none"}
            question = {**question, "select": select}
        try:
            answer = dict(await self._answer(question))
        except ValueError as error:
            answer = {"error": str(error)}
        for entry in answer.get("tunnels", ()):
            entry["since"] = _WALL + entry.pop("opened")
            entry["id"] = f"{node}/{entry['id']}"
            entry["machine"] = self.machine
        answer["machine"] = self.machine
        answer["node"] = node
        data: list[bytes] = []
        for part in deflate(answer):
            data.append(part)
            await asyncio.sleep(0)
        for piece in pack_answer(id, link.lease.name, b"".join(data)):
            link.run((b"PUBLISH", link.options.base + b":to:" + asker.encode("ascii"), piece), _nothing)


def _living(found: Reply, lease: float) -> set[str]:
    """Return the leases that end at most one lease before the last one does: the others are over."""
    pairs = found if isinstance(found, list) else []
    ends: dict[str, float] = {}
    for pair in pairs:
        match pair:
            case [bytes(name), int() | float() as end]:
                ends[name.decode("latin-1")] = float(end)
    last = max(ends.values(), default=0.0)
    return {name for name, end in ends.items() if end > last - lease * 1000}


def _nothing(reply: object) -> None:
    return None

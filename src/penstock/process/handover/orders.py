"""Tunnels from worker to worker: of an old program to a new one, or of a worker that goes to a sibling.

Masters arrange it and see no tunnel. Each worker has a line to its master; by it comes an order, with one end of a pair
of sockets: GIVE your tunnels to whoever is at the other end, or TAKE what comes from there. Only descriptors that were
inherited or passed on are used, so that nobody else can take part. What the two say is in `frames.py`.
"""

from __future__ import annotations

import socket
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING

from penstock.net.timers import Alarm

if TYPE_CHECKING:
    from penstock.net.loop import Loop
    from penstock.observe.files import LogFiles
    from penstock.process.channel import Channel, Message
    from penstock.process.handover.receiver import Taker
    from penstock.process.handover.sender import Giver
    from penstock.process.master.link import MasterLink
    from penstock.server.service import Service

GIVE = "give"
TAKE = "take"
AGAIN = "again"
"""A worker whose taker has died asks for another one."""

TRIES = 3
PAUSE = 1.0
"""How often it asks, and seconds before it does."""

Serving = Callable[[], "tuple[Service, LogFiles] | None"]
"""What a worker serves now; None for one that is leaving."""


def order(to: Channel, what: str, fd: int) -> bool:
    """Tell a worker to `GIVE` or `TAKE`, by a copy of a descriptor; whether it could be told."""
    return to.send(what, descriptors=[fd])


def give_to_other_program(lines: Sequence[Channel], link: MasterLink, takers: int) -> None:
    """Let the workers at these lines give their tunnels to the `takers` workers of the other master."""
    each = max(1, -(-takers // max(1, len(lines))))
    for giver in lines:
        for _ in range(each):
            with _pair() as (near, far):
                if link.tell({"say": "take"}, far.fileno()):
                    order(giver, GIVE, near.fileno())


def give_to_sibling(giver: Channel, taker: Channel) -> None:
    """Let the worker at one line give its tunnels to the one at another."""
    with _pair() as (near, far):
        if order(taker, TAKE, far.fileno()):
            order(giver, GIVE, near.fileno())


@contextmanager
def _pair() -> Iterator[tuple[socket.socket, socket.socket]]:
    """A pair of stream sockets, of which the caller passes copies on."""
    near, far = socket.socketpair(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        yield near, far
    finally:
        near.close()
        far.close()


class Hands:
    """A worker's part: does what the master orders."""

    def __init__(self, loop: Loop, channel: Channel, serving: Serving) -> None:
        self._loop = loop
        self._serving = serving
        self._givers: set[Giver] = set()
        self._takers: set[Taker] = set()
        self._waiting: list[Callable[[], None]] = []
        self._tries = TRIES
        self._channel = channel
        self._retry = Alarm(loop.timers, self._ask_again)
        channel.handlers[GIVE] = self._give
        channel.handlers[TAKE] = self._receive_tunnels

    def _give(self, message: Message) -> None:
        from penstock.process.handover.sender import Giver

        (fd,) = message.descriptors
        giver = Giver(self._loop, socket.socket(fileno=fd), self._given, self._over)
        self._givers.add(giver)
        self._given(giver)

    def _over(self, giver: Giver) -> None:
        """If its taker has died, there may be another one in a moment."""
        self._givers.discard(giver)
        self._given(giver)
        if giver.failed and self._tries and self._loop.tunnels:
            self._tries -= 1
            self._retry.set(PAUSE)

    def _ask_again(self) -> None:
        self._channel.send(AGAIN)

    def when_given(self, action: Callable[[], None]) -> None:
        """Call `action` once every tunnel has been offered to those who shall have them; now, if nobody shall."""
        if any(not giver.seen for giver in self._givers):
            self._waiting.append(action)
        else:
            action()

    def _given(self, giver: Giver) -> None:
        """A giver has had its turn, or has ended."""
        if any(not each.seen for each in self._givers):
            return
        waiting, self._waiting = self._waiting, []
        for action in waiting:
            action()

    def _receive_tunnels(self, message: Message) -> None:
        found = self._serving()
        if found is None:
            message.drop()
            return
        from penstock.process.handover.receiver import Taker

        (fd,) = message.descriptors
        self._takers.add(Taker(*found, socket.socket(fileno=fd), self._takers.discard))

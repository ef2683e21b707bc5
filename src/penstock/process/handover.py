"""Tunnels from worker to worker: of an old program to a new one, or of a worker that goes to a sibling.

Masters arrange it and see no tunnel. Each worker has a line to its master; by it comes an order, with one end of a pair
of sockets: GIVE your tunnels to whoever is at the other end, or TAKE what comes from there. Only descriptors that were
inherited or passed on are used, so that nobody else can take part. What the two say is in `frames.py`.
"""

from __future__ import annotations

import os
import socket
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING

from penstock.net.loop import IN, Loop
from penstock.observe.errorlog import ALERT, report

if TYPE_CHECKING:
    from penstock.observe.files import LogFiles
    from penstock.process.giver import Giver
    from penstock.process.link import Link
    from penstock.process.taker import Taker
    from penstock.server.service import Service

GIVE = b"give"
TAKE = b"take"

Serving = Callable[[], "tuple[Service, LogFiles] | None"]
"""What a worker serves now; None for one that is leaving."""


def line() -> tuple[socket.socket, socket.socket]:
    """The master's end and the worker's end of a line for orders."""
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    ours.setblocking(False)
    theirs.setblocking(False)
    return ours, theirs


def order(to: socket.socket, what: bytes, fd: int) -> bool:
    """Tell a worker to `GIVE` or `TAKE`, by a copy of a descriptor; whether it could be told."""
    try:
        socket.send_fds(to, [what], [fd])
    except OSError:
        return False
    return True


def give_to_other_program(lines: Sequence[socket.socket], link: Link, takers: int) -> None:
    """Let the workers at these lines give their tunnels to the `takers` workers of the other master."""
    each = max(1, -(-takers // max(1, len(lines))))
    for giver in lines:
        for _ in range(each):
            with _pair() as (near, far):
                if link.tell({"say": "take"}, far.fileno()):
                    order(giver, GIVE, near.fileno())


def give_to_sibling(giver: socket.socket, taker: socket.socket) -> None:
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
    """A worker's part: does what the master orders. Costs a descriptor until there is something to do."""

    def __init__(self, loop: Loop, orders: socket.socket, serving: Serving) -> None:
        self._loop = loop
        self._orders = orders
        self._serving = serving
        self._busy: set[Giver | Taker] = set()
        loop.hot.watch(orders.fileno(), IN, self._ordered)

    def _ordered(self, mask: int) -> None:
        try:
            data, fds, _, _ = socket.recv_fds(self._orders, 16, 1, socket.MSG_CMSG_CLOEXEC)
        except BlockingIOError:
            return
        except OSError as error:
            report(None, ALERT, f"recvmsg() from the master failed ({error.errno}: {os.strerror(error.errno or 0)})")
            data, fds = b"", []
        if not data or not fds:
            # The master is gone, which the worker learns elsewhere.
            if not data:
                self._loop.hot.forget(self._orders.fileno())
            return
        sock = socket.socket(fileno=fds[0])
        if data == GIVE:
            from penstock.process.giver import Giver

            self._busy.add(Giver(self._loop, sock, self._busy.discard))
            return
        found = self._serving()
        if data != TAKE or found is None:
            sock.close()
            return
        from penstock.process.taker import Taker

        self._busy.add(Taker(*found, sock, self._busy.discard))

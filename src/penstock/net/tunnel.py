"""A tunnel: two streams that became one conversation, until it ends.

What is left of two sessions is two sockets, two `Side`s with their counters, and one deadline. Traffic stores
the coarse clock and nothing else; the deadline is looked at when it comes up, and moved on if something
happened since."""

from __future__ import annotations

import enum
import socket
from collections.abc import Callable
from math import inf
from typing import Any, Protocol

from penstock.net.loop import Loop
from penstock.net.side import Side
from penstock.net.timers import Alarm
from penstock.net.twin import NOTHING, SHORT


class End(enum.Enum):
    """Why a tunnel ended. The value is for people."""

    CLIENT_CLOSED = "client closed connection"
    BACKEND_CLOSED = "upstream closed connection"
    CLIENT_RESET = "client reset connection"
    BACKEND_RESET = "upstream reset connection"
    IDLE = "idle timeout"
    CLIENT_SEND_TIMEOUT = "timed out sending to client"
    BACKEND_SEND_TIMEOUT = "timed out sending to upstream"
    SHUTDOWN = "shutdown"
    CLOSED = "closed by the proxy"


Send = Callable[[Any], int]
"""Writes bytes to a side: how many of them it took. Raises OSError as a socket does."""


class Guard(Protocol):
    """Whoever lets a tunnel end in a way of its own, in bounded time, by `close`."""

    def ends(self, reason: End, side: Side | None) -> bool:
        """The tunnel is about to end; `side` is the one that has ended, was reset or is stuck, if it is one side's
        doing. True: not now. It must not be closed before this returns."""

    def refused(self, side: Side) -> None:
        """`side` takes no more bytes."""


class Tunnel:
    """A live tunnel. `reason` (and `errno`, after a reset) says why it ended; `None` while it lives.

    `client` and `backend` are its sides while it lives; `from_client` and `from_backend` count bytes,
    `opened` is on the loop's monotonic clock. `owner` is for whoever keeps books of it."""

    __slots__ = (
        "_alarm",
        "_engaged",
        "_first",
        "_refusal",
        "_totals",
        "backend",
        "client",
        "errno",
        "guard",
        "idle_timeout",
        "loop",
        "on_end",
        "opened",
        "owner",
        "paused",
        "reason",
    )

    def __init__(
        self,
        loop: Loop,
        client: Side,
        backend: Side,
        idle_timeout: float,
        on_end: Callable[[Tunnel, End], None],
    ) -> None:
        self.loop = loop
        self.client: Side = client
        self.backend: Side = backend
        self.idle_timeout = idle_timeout
        self.on_end: Callable[[Tunnel, End], None] | None = on_end
        self.opened = loop.hot.now
        self.owner: object = None
        self.guard: Guard | None = None
        self.reason: End | None = None
        self.errno = 0
        self.paused = False
        self._first: End | None = None
        self._refusal: End | None = None
        self._totals = (0, 0)
        self._engaged = False
        self._alarm = Alarm(loop.timers, self)
        client.tunnel = backend.tunnel = self
        client.peer, backend.peer = backend, client
        loop.tunnels.add(self)

    def equip(self) -> None:
        """Makes ready to move bytes in Python."""
        self.client.equip()
        self.backend.equip()

    @property
    def from_client(self) -> int:
        """Bytes read from the client so far."""
        return self._totals[0] if self.reason else self._figures(self.client)[0]

    @property
    def from_backend(self) -> int:
        """Bytes read from the backend so far."""
        return self._totals[1] if self.reason else self._figures(self.backend)[0]

    @property
    def last(self) -> float:
        """When bytes last moved, in either direction."""
        return max(self._figures(self.client)[1], self._figures(self.backend)[1])

    def close(self, reason: End = End.SHUTDOWN) -> None:
        """Ends the tunnel now, whatever is unsent. Does nothing if it has ended."""
        self._end(reason)

    def inject(self, side: Side, data: bytes | memoryview) -> None:
        """Sends `data` to `side` after what is unsent there, past a tap. That this is a frame boundary is the caller's
        business."""
        if self.paused:
            return  # whoever goes on with it may say it
        self.dismiss()
        if side.unsent is not None:
            side.unsent += bytes(data)
            return
        if self.reason is not None or side.deaf or side.finished:
            return
        try:
            sent = side.writer()(data)
        except OSError as exc:
            if not side.write_must_wait(exc):
                side.refuse(exc)
                return
            sent = 0
        if sent < len(data):
            side.hold(bytes(data[sent:]))
        else:
            self.engage()

    def tap(self, side: Side, make: Callable[[Send], Send] | None) -> None:
        """Lets everything read from `side` go through `make(send)`, where `send` writes it to the other side; `None`
        ends that. Costs nothing where unused.

        What it is called with is a view into the worker's buffer: what is needed later must be copied. It returns how
        many of the bytes need no more thought; the rest are kept and sent later, past it.
        """
        self.dismiss()
        send = side.peer.writer()
        side.send_peer = send if make is None else make(send)
        side.tapped = make is not None
        if make is None:
            self.engage()

    def pause(self) -> None:
        """Moves no byte and looks at no deadline until `resume`: what it is can be told, and another may go on with
        it (`net/carry.py`)."""
        self.dismiss()
        self.paused = True
        self._alarm.clear()
        self.client.park()
        self.backend.park()

    def resume(self) -> None:
        """Goes on."""
        self.paused = False
        if self.check_over():
            return
        self.client.settle()
        self.backend.settle()
        self._alarm.at(self.loop.timers.now)
        self.engage()

    @property
    def ending(self) -> tuple[End | None, End | None, int]:
        """What has been seen of its end: who ended first, who refuses bytes, and the errno of that."""
        return self._first, self._refusal, self.errno

    @ending.setter
    def ending(self, seen: tuple[End | None, End | None, int]) -> None:
        self._first, self._refusal, self.errno = seen

    def release(self) -> tuple[socket.socket, socket.socket, bytes, bytes]:
        """Gives both sockets away, without `on_end`: client, backend, and what is unsent to each."""
        self.dismiss()
        to_client, to_backend = self.client.unsent or b"", self.backend.unsent or b""
        self._leave(End.SHUTDOWN)
        client, backend = self.client, self.backend
        del self.client, self.backend
        return client.release(), backend.release(), to_client, to_backend

    # -- the compiled twin

    @property
    def plain(self) -> bool:
        """Whether the twin, if there is one, may carry it as long as nobody wants to look at its bytes."""
        return self.loop.hot.twin is not None and type(self.client) is Side and type(self.backend) is Side

    def engage(self) -> None:
        """Lets the compiled twin carry it, where there is one and nothing but bytes is to be passed on."""
        if self.loop.hot.twin is None or self._engaged or self.reason is not None:
            return
        if self.client.carries_plainly() and self.backend.carries_plainly():
            self.entrust()

    def entrust(self) -> None:
        """Gives it to the twin, which must be able to carry it."""
        twin = self.loop.hot.twin
        assert twin is not None
        client, backend = self.client, self.backend
        twin.engage(client.fd, client.read, client.last, backend.fd, backend.read, backend.last)
        self._engaged = True
        handlers = self.loop.hot.handlers
        handlers[client.fd] = client
        handlers[backend.fd] = backend

    def dismiss(self, about: Side | None = None) -> tuple[int, int, bytes]:
        """Takes it back from the twin: the trouble there was with reading from `about`, its errno, and what the
        other side did not take."""
        told = (NOTHING, 0, b"")
        twin = self.loop.hot.twin
        if twin is None or not self._engaged:
            return told
        self._engaged = False
        untold: tuple[Side, bytes] | None = None
        for side in (self.client, self.backend):
            side.read, side.last, trouble, errno, kept = twin.dismiss(side.fd)
            side.equip()
            if side is about:
                told = (trouble, errno, kept)
            elif trouble == SHORT:
                # Its event is still to come: somebody else's was before it in the same batch.
                untold = side, kept
                continue
            self.loop.hot.handlers[side.fd] = side.on_event
        if untold is not None:
            side, kept = untold
            side.peer.hold(kept)
        return told

    @property
    def engaged(self) -> bool:
        """Whether the twin has it."""
        return self._engaged

    def _figures(self, side: Side) -> tuple[int, float]:
        twin = self.loop.hot.twin
        return twin.figures(side.fd) if self._engaged and twin is not None else (side.read, side.last)

    # -- for the sides

    def note_end(self, side: Side) -> None:
        """`side` sent its FIN."""
        if self._first is None:
            self._first = End.CLIENT_CLOSED if side is self.client else End.BACKEND_CLOSED

    def reason_for(self, side: Side) -> End:
        """The name of `side`'s FIN."""
        return End.CLIENT_CLOSED if side is self.client else End.BACKEND_CLOSED

    def note_refusal(self, side: Side, errno: int) -> None:
        """`side` would not take bytes; why it did not, the end of what it says will tell better."""
        if self._refusal is None:
            self._refusal = End.CLIENT_RESET if side is self.client else End.BACKEND_RESET
            self.errno = errno
        if self.guard is not None:
            self.guard.refused(side)

    def held_up(self, reason: End, side: Side | None) -> bool:
        """Whether somebody wants it to end in another way."""
        return self.guard is not None and self.reason is None and self.guard.ends(reason, side)

    def reset(self, side: Side, errno: int) -> None:
        """Reading from `side` failed: the tunnel is over."""
        self.errno = errno
        reason = End.CLIENT_RESET if side is self.client else End.BACKEND_RESET
        if self.held_up(reason, side):
            side.abandon()
            return
        side.deaf = True
        self._end(reason)

    def check_over(self) -> bool:
        """Ends the tunnel if both directions are over; says whether it has."""
        if self.reason is not None:
            return True
        client, backend = self.client, self.backend
        # Both directions are over: `Side.over` of both, without the calls.
        if not (backend.deaf or (client.ended and backend.unsent is None)):
            return False
        if not (client.deaf or (backend.ended and client.unsent is None)):
            return False
        reason = self._first if self._first is not None else self._refusal
        assert reason is not None
        if self.guard is not None and self.held_up(reason, None):
            return False
        self._end(reason)
        return True

    def stuck(self, side: Side) -> None:
        """`side` does not take what is sent to it: its send timeout runs."""
        due = self.loop.timers.now + side.send_timeout
        if due < self._alarm.deadline:
            self._alarm.at(due)

    def loose(self) -> None:
        """A side has taken everything again."""
        due = self.loop.timers.now + self.idle_timeout
        if due < self._alarm.deadline:
            self._alarm.at(due)

    def start(self) -> None:
        """Arms the idle deadline."""
        if self.idle_timeout != inf:
            self._alarm.set(self.idle_timeout)

    def __call__(self) -> None:
        """Looks at its deadlines; its alarm calls this, and so needs no bound method for it."""
        now = self.loop.timers.now
        due = inf
        for side, late in (
            (self.client, End.CLIENT_SEND_TIMEOUT),
            (self.backend, End.BACKEND_SEND_TIMEOUT),
        ):
            if side.unsent is not None:
                until = side.stuck + side.send_timeout
                if until <= now:
                    if not self.held_up(late, side):
                        self._end(late)
                        return
                    until = now + side.send_timeout
                due = min(due, until)
        if due == inf:
            due = self.last + self.idle_timeout
            if due <= now:
                if not self.held_up(End.IDLE, None):
                    self._end(End.IDLE)
                    return
                due = now + self.idle_timeout
        if due != inf:
            self._alarm.at(due)

    def _leave(self, reason: End) -> None:
        self.reason = reason
        self._totals = (self.client.read, self.backend.read)
        self.loop.tunnels.discard(self)
        self._alarm.close()

    def _end(self, reason: End) -> None:
        if self.reason is not None:
            return
        if self._engaged:
            self.dismiss()
        self._leave(reason)
        client, backend = self.client, self.backend
        del self.client, self.backend
        client.close()
        backend.close()
        on_end, self.on_end = self.on_end, None
        if on_end is not None:
            on_end(self, reason)

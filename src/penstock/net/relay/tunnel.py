"""A tunnel: two streams that became one conversation, until it ends.

What is left of two sessions is two sockets, two `Side`s with their counters, and one deadline. Traffic stores
the coarse clock and nothing else; the deadline is looked at when it comes up, and moved on if something
happened since."""

from __future__ import annotations

import enum
import socket
from collections.abc import Callable
from math import inf
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, Protocol, TypeAlias

from penstock.net.loop import Loop
from penstock.net.relay.carried import Carried
from penstock.net.relay.side import Side
from penstock.net.relay.states import FlowState, flow_from
from penstock.net.timers import Alarm, Timers
from penstock.shared.alike import like

if TYPE_CHECKING:
    from penstock.net.relay.guard import TunnelGuard


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


# To look into an enumeration costs 580 instructions (CPython 3.11).
CLIENT_CLOSED, BACKEND_CLOSED, SHUTDOWN, IDLE = End.CLIENT_CLOSED, End.BACKEND_CLOSED, End.SHUTDOWN, End.IDLE

NOTHING_SEEN = (None, None, 0)


class Hearer(Protocol):
    """Who hears of a tunnel's end, once, when both sockets are closed."""

    def over(self, tunnel: Tunnel, reason: End, /) -> None:
        """Do what is left to do."""
        ...


OnEnd: TypeAlias = "Hearer | Callable[[Tunnel, End], None]"


class Told:
    """A function that hears of it."""

    __slots__ = ("over",)

    def __init__(self, over: Callable[[Tunnel, End], None]) -> None:
        self.over = over


def hearer(on_end: OnEnd) -> Hearer:
    """Return who hears of an end. Not every one is a function: a bound method would be kept with every tunnel, and an
    object that is called is 430 instructions more than its method."""
    return on_end if hasattr(on_end, "over") else Told(on_end)


Send = Callable[[Any], int]
"""Writes bytes to a side: how many of them it took. Raises OSError as a socket does."""


class Tunnel(Carried):
    """A live tunnel. `reason` (and `errno`, after a reset) says why it ended; `None` while it lives.

    `client` and `backend` are its sides while it lives; `from_client` and `from_backend` count bytes,
    `opened` is on the loop's monotonic clock. `owner` is for whoever keeps books of it."""

    __slots__ = ("_alarm", "ending", "guard", "half_close", "idle_timeout", "on_end", "owner", "paused")

    half_close: bool
    """Whether what one side says may end before the other's: without it, one end is the end of both."""
    ending: tuple[End | None, End | None, int]
    """What has been seen of its end: who ended first, who refuses bytes, and the errno of that."""

    def __init__(
        self,
        loop: Loop,
        idle_timeout: float,
        on_end: OnEnd,
        alarm: Alarm | None = None,
        owner: object = None,
    ) -> None:
        """Nothing moves, and no deadline is looked at: `join` or `fold` is next."""
        self.loop = loop
        self.idle_timeout = idle_timeout
        self.on_end: Hearer | None = hearer(on_end)
        self.opened = loop.hot.now
        self.owner = owner
        self.websocket = False
        self.reason = None
        self._engaged = False
        self._limits = None
        self.frames = None
        self.guard: TunnelGuard | None = None
        self.half_close = True
        self.paused = False
        self.ending = NOTHING_SEEN
        if alarm is None:
            alarm = Alarm(loop.timers, self)
        else:
            alarm.deadline = inf
            alarm.callback = self
        self._alarm = alarm
        loop.tunnels.add(self)

    def join(self, client: Side, backend: Side) -> None:
        """Let two sides know each other, and the tunnel."""
        self._client = client
        self._backend = backend
        client.tunnel = backend.tunnel = self
        client.peer, backend.peer = backend, client

    def equip(self) -> None:
        """Make ready to move bytes in Python."""
        self.client.equip()
        self.backend.equip()

    @property
    def from_client(self) -> int:
        """Count the bytes read from the client so far."""
        return self._client if self.reason else self._figures(of_client=True)[0]  # type: ignore[return-value]

    @property
    def from_backend(self) -> int:
        """Count the bytes read from the backend so far."""
        return self._backend if self.reason else self._figures(of_client=False)[0]  # type: ignore[return-value]

    @property
    def totals(self) -> tuple[int, int]:
        """Return both counts of a tunnel that is over."""
        return self._client, self._backend  # type: ignore[return-value]

    @property
    def last(self) -> float:
        """Return when bytes last moved, in either direction."""
        return max(self._figures(of_client=True)[1], self._figures(of_client=False)[1])

    @property
    def flows(self) -> tuple[FlowState, FlowState]:
        """Return how it is with what the client says, and with what the backend says."""
        if self.reason is not None:
            return FlowState.CLOSED, FlowState.CLOSED
        if self._limits is not None:
            return FlowState.FLOWING, FlowState.FLOWING
        return flow_from(self.client), flow_from(self.backend)

    def close(self, reason: End = End.SHUTDOWN) -> None:
        """End the tunnel now, whatever is unsent. Does nothing if it has ended."""
        self._end(reason)

    def inject(self, side: Side, data: bytes | memoryview) -> None:
        """Send `data` to `side` after what is unsent there, past a tap. That this is a frame boundary is the caller's
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
        elif self.frames is None:
            self.engage()  # where frames are looked at, the event under way may not be over

    def tap(self, side: Side, make: Callable[[Send], Send] | None) -> None:
        """Let everything read from `side` go through `make(send)`, where `send` writes it to the other side; `None`
        ends that. Costs nothing where unused.

        What it is called with is a view into the worker's buffer: what is needed later must be copied. It returns how
        many of the bytes need no more thought; the rest are kept and sent later, past it.
        """
        self.dismiss()
        send = side.passing()
        side.send_peer = send if make is None else make(send)
        side.tapped = make is not None
        if make is None:
            self.engage()

    def pause(self) -> None:
        """Move no byte and looks at no deadline until `resume`: what it is can be told, and another may go on with it
        (`net/relay/handover.py`)."""
        self.dismiss()
        self.paused = True
        self._alarm.clear()
        self.client.park()
        self.backend.park()

    def resume(self) -> None:
        """Move bytes again."""
        self.paused = False
        if self.check_over():
            return
        self.client.settle()
        self.backend.settle()
        self._alarm.at(self.loop.timers.now)
        self.engage()

    @property
    def errno(self) -> int:
        """Return what the system said of a reset; 0 where there was none."""
        return self.ending[2]

    def release(self) -> tuple[socket.socket, socket.socket, bytes, bytes]:
        """Give both sockets away, without `on_end`: client, backend, and what is unsent to each."""
        self.dismiss()
        client, backend = self.client, self.backend
        to_client, to_backend = client.unsent or b"", backend.unsent or b""
        self._leave(End.SHUTDOWN, client.read, backend.read)
        return client.release(), backend.release(), to_client, to_backend

    @property
    def transport(self) -> str:
        """Return what carries its client's side, while it lives: "h1", "h2", or "tcp"; each perhaps with "-tls"."""
        found = "h1" if self._limits is not None else self.client.transport
        return found.replace("h1", "tcp") if getattr(self.owner, "bare", False) else found

    # -- for the sides

    def note_end(self, side: Side) -> None:
        """Note that `side` sent its FIN."""
        first, refusal, errno = self.ending
        if first is None:
            self.ending = self.reason_for(side), refusal, errno

    def reason_for(self, side: Side) -> End:
        """Return the name of `side`'s FIN."""
        return End.CLIENT_CLOSED if side is self.client else End.BACKEND_CLOSED

    def note_refusal(self, side: Side, errno: int, untaken: int) -> None:
        """Note that `side` would not take bytes, so many of which had waited for it; why it did not, the end of what it
        says will tell better."""
        first, refusal, _ = self.ending
        if refusal is None:
            self.ending = first, (End.CLIENT_RESET if side is self.client else End.BACKEND_RESET), errno
        if self.guard is not None:
            self.guard.refused(side, untaken)

    def held_up(self, reason: End, side: Side | None) -> bool:
        """Return whether somebody wants it to end in another way."""
        return self.guard is not None and self.reason is None and self.guard.ends(reason, side)

    def reset(self, side: Side, errno: int) -> None:
        """End the tunnel: reading from `side` failed."""
        first, refusal, _ = self.ending
        self.ending = first, refusal, errno
        reason = End.CLIENT_RESET if side is self.client else End.BACKEND_RESET
        if self.held_up(reason, side):
            side.abandon()
            return
        side.deaf = True
        self._end(reason)

    def check_over(self) -> bool:
        """End the tunnel if both directions are over, and say whether it has ended."""
        if self.reason is not None:
            return True
        client, backend = self.client, self.backend
        # Both directions are over: `Side.is_over` of both, without the calls (340 instructions each).
        said_in = client.ended and backend.unsent is None
        said_out = backend.ended and client.unsent is None
        over = (backend.deaf or said_in) and (client.deaf or said_out)
        if not over and (self.half_close or not (said_in or said_out)):
            return False
        first, refusal, _ = self.ending
        reason = first if first is not None else refusal
        assert reason is not None
        if self.guard is not None and self.held_up(reason, None):
            return False
        self._end(reason)
        return True

    def stuck(self, side: Side) -> None:
        """Let the send timeout of `side` run: it does not take what is sent to it."""
        due = self.loop.timers.now + side.send_timeout
        if due < self._alarm.deadline:
            self._alarm.at(due)

    def loose(self, side: Side) -> None:
        """Let only the idle timeout run again: a side has taken everything."""
        if self.guard is not None:
            self.guard.drained(side)
        due = self.loop.timers.now + self.idle_timeout
        if due < self._alarm.deadline:
            self._alarm.at(due)

    def start(self) -> None:
        """Arm the idle deadline."""
        if self.idle_timeout != inf:
            alarm = self._alarm
            alarm.deadline = due = alarm.timers.now + self.idle_timeout
            if due < alarm.queued:
                alarm.at(due)

    def __call__(self) -> None:
        """Look at the deadlines. The alarm calls this, and so needs no bound method."""
        now = self.loop.timers.now
        due = inf
        for side, late in (
            (self._client, End.CLIENT_SEND_TIMEOUT),
            (self._backend, End.BACKEND_SEND_TIMEOUT),
        ):
            if isinstance(side, Side) and side.unsent is not None:
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

    def _leave(self, reason: End, from_client: int, from_backend: int) -> None:
        self.reason = reason
        self._client = from_client
        self._backend = from_backend
        self._limits = None
        self.loop.tunnels.discard(self)
        self._alarm.close()

    def _end(self, reason: End) -> None:
        if self.reason is not None:
            return
        if self._engaged:
            self.dismiss()
        client, backend = self.client, self.backend
        self._leave(reason, client.read, backend.read)
        client.close()
        backend.close()
        on_end, self.on_end = self.on_end, None
        if on_end is not None:
            on_end.over(self, reason)

    def said_goodbye(self, read: int, read_other: int, by_client: bool) -> None:
        """End: each side has sent a close frame, and one of them its FIN. Nothing that is to come counts any more, and
        passing FIN on to wait for the other's would take four calls of the system and two turns of the loop."""
        if by_client:
            self.reason = reason = CLIENT_CLOSED
            self._client, self._backend = read, read_other
        else:
            self.reason = reason = BACKEND_CLOSED
            self._client, self._backend = read_other, read
        self._limits = None
        loop = self.loop
        loop.tunnels.discard(self)
        alarm, self._alarm = self._alarm, _RETIRED
        loop.timers.reclaim(alarm)
        on_end, self.on_end = self.on_end, None
        if on_end is not None:
            on_end.over(self, reason)


_RETIRED = Alarm(Timers(), lambda: None)
"""The alarm of tunnels that have ended and whose own has gone to others."""

_nowhere: Any = SimpleNamespace(hot=SimpleNamespace(now=0.0), timers=None, tunnels=set())


def _model() -> Tunnel:
    made = Tunnel(_nowhere, inf, print)
    made.loop.tunnels.clear()
    made._client = made._backend = 0
    made._engaged = True
    return made


another_carried = like(_model())
"""Make a tunnel that the compiled twin has from its beginning; `carry` gives it what is its own."""

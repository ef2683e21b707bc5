"""A tunnel that goes to another process: what it was there, as plain values, and how it goes on here.

The process that has it stops reading and writing (`Tunnel.pause`), describes it (`state_of`), and sends that with both
descriptors. The other makes a tunnel of them (`adopt`), which does nothing until `Tunnel.resume`: there is never a
moment in which two processes would read from one socket. Which side lets go when is `process/handover.py`'s.

Moments are on the system's monotonic clock, which all processes share.
"""

from __future__ import annotations

import socket
from collections.abc import Callable
from dataclasses import dataclass

from penstock.net.loop import Loop
from penstock.net.relay import End, Tunnel
from penstock.net.side import Side


@dataclass(frozen=True, slots=True)
class SideState:
    """One end. `unsent` waits to be sent to it; timeouts are seconds, `inf` for none."""

    read: int
    last: float
    stuck: float
    send_timeout: float
    ended: bool
    deaf: bool
    unsent: bytes


@dataclass(frozen=True, slots=True)
class TunnelState:
    """Both ends, and what is of the whole. `first` and `refusal` are what has been seen of its end so far."""

    client: SideState
    backend: SideState
    opened: float
    idle_timeout: float
    first: End | None
    refusal: End | None
    errno: int


def portable(tunnel: Tunnel) -> bool:
    """Whether it can go to another process: TLS has state that only OpenSSL knows."""
    return tunnel.reason is None and type(tunnel.client) is Side and type(tunnel.backend) is Side


def state_of(tunnel: Tunnel) -> TunnelState:
    """What is to be known of a paused tunnel."""
    return TunnelState(
        _state(tunnel.client),
        _state(tunnel.backend),
        tunnel.opened,
        tunnel.idle_timeout,
        *tunnel.ending,
    )


def adopt(
    loop: Loop,
    client: socket.socket,
    backend: socket.socket,
    state: TunnelState,
    on_end: Callable[[Tunnel, End], None],
) -> Tunnel:
    """A paused tunnel that goes on where another process left it, once it is resumed."""
    client.setblocking(False)
    backend.setblocking(False)
    now = loop.hot.now
    tunnel = Tunnel(
        loop,
        _side(client, loop, state.client, now),
        _side(backend, loop, state.backend, now),
        state.idle_timeout,
        on_end,
    )
    tunnel.opened = min(state.opened, now)
    tunnel.ending = state.first, state.refusal, state.errno
    tunnel.paused = True
    return tunnel


def _state(side: Side) -> SideState:
    return SideState(
        side.read, side.last, side.stuck, side.send_timeout, side.ended, side.deaf, side.unsent or b""
    )


def _side(sock: socket.socket, loop: Loop, state: SideState, now: float) -> Side:
    side = Side(sock, loop.hot, state.send_timeout)
    side.read = state.read
    side.last = min(state.last, now)
    side.stuck = min(state.stuck, now)
    side.ended = state.ended
    side.deaf = state.deaf
    side.unsent = state.unsent or None
    return side

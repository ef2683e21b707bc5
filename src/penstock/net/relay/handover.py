"""A tunnel that goes to another process: what it was there, as plain values, and how it goes on here.

The process that has it stops reading and writing (`Tunnel.pause`), describes it (`state_of`), and sends that with both
descriptors. The other makes a tunnel of them (`adopt`), which does nothing until `Tunnel.resume`: there is never a
moment in which two processes would read from one socket. Which side lets go when is `process/handover/orders.py`'s.

Moments are on the system's monotonic clock, which all processes share.
"""

from __future__ import annotations

import socket
from dataclasses import dataclass
from typing import Any

from penstock.net.loop import Loop
from penstock.net.relay.side import Side
from penstock.net.relay.tunnel import End, OnEnd, Tunnel
from penstock.shared.json_fields import Fields, Strange, finite


@dataclass(frozen=True, slots=True)
class SideState:
    """One end. `ended`: it has said its last; `finished`: it has been told that the other has; `deaf`: it takes nothing
    more. `unsent` waits to be sent to it; timeouts are seconds, `inf` for none."""

    read: int
    last: float
    stuck: float
    send_timeout: float
    ended: bool
    deaf: bool
    finished: bool
    unsent: bytes


@dataclass(frozen=True, slots=True)
class TunnelState:
    """Both ends, and what is of the whole. `first` and `refusal` are what has been seen of its end so far."""

    client: SideState
    backend: SideState
    opened: float
    idle_timeout: float
    half_close: bool
    first: End | None
    refusal: End | None
    errno: int


def portable(tunnel: Tunnel) -> bool:
    """Return whether a tunnel can go to another process: TLS has state that only OpenSSL knows."""
    return tunnel.portable


def state_of(tunnel: Tunnel) -> TunnelState:
    """Return what is to be known of a paused tunnel."""
    return TunnelState(
        _state(tunnel.client),
        _state(tunnel.backend),
        tunnel.opened,
        tunnel.idle_timeout,
        tunnel.half_close,
        *tunnel.ending,
    )


def adopt(
    loop: Loop,
    client: socket.socket,
    backend: socket.socket,
    state: TunnelState,
    on_end: OnEnd,
) -> Tunnel:
    """Make a paused tunnel that goes on where another process left it, once it is resumed."""
    client.setblocking(False)
    backend.setblocking(False)
    now = loop.hot.now
    tunnel = Tunnel(loop, state.idle_timeout, on_end)
    tunnel.join(_side(client, loop, state.client, now), _side(backend, loop, state.backend, now))
    tunnel.equip()
    if not state.half_close:
        tunnel.half_close = False
    tunnel.opened = min(state.opened, now)
    tunnel.ending = state.first, state.refusal, state.errno
    tunnel.paused = True
    return tunnel


def _state(side: Side) -> SideState:
    return SideState(
        read=side.read,
        last=side.last,
        stuck=side.stuck,
        send_timeout=side.send_timeout,
        ended=side.ended,
        deaf=side.deaf,
        finished=side.finished,
        unsent=side.unsent or b"",
    )


def _side(sock: socket.socket, loop: Loop, state: SideState, now: float) -> Side:
    side = Side(sock, loop.hot, state.send_timeout)
    side.read = state.read
    side.last = min(state.last, now)
    side.stuck = min(state.stuck, now)
    side.ended = state.ended
    side.deaf = state.deaf
    side.finished = state.finished
    side.unsent = state.unsent or None
    return side


# -- as plain values


def written(state: TunnelState) -> dict[str, object]:
    """Write a state for JSON, without `unsent`, which travels as bytes."""
    return {
        "client": _written_side(state.client),
        "backend": _written_side(state.backend),
        "opened": state.opened,
        "idle_timeout": finite(state.idle_timeout),
        "half_close": state.half_close,
        "first": state.first.name if state.first is not None else "",
        "refusal": state.refusal.name if state.refusal is not None else "",
        "errno": state.errno,
    }


def read(fields: Fields, to_client: bytes, to_backend: bytes) -> TunnelState:
    """Read what `written` wrote, and the bytes beside it. Raises `Strange`."""
    state = TunnelState(
        _read_side(fields.object("client"), to_client),
        _read_side(fields.object("backend"), to_backend),
        opened=fields.real("opened"),
        idle_timeout=fields.span("idle_timeout"),
        half_close=fields.flag("half_close"),
        first=fields.one_of("first", _ENDS),
        refusal=fields.one_of("refusal", _ENDS),
        errno=fields.whole("errno", 1 << 16),
    )
    fields.end()
    over = [(one.deaf or (other.ended and not one.unsent)) for one, other in _both_ways(state)]
    if all(over) and state.first is None and state.refusal is None:
        raise Strange("a tunnel has ended for no reason")
    return state


_ENDS: dict[str, Any] = {"": None, **{end.name: end for end in End}}


def _both_ways(state: TunnelState) -> tuple[tuple[SideState, SideState], ...]:
    return (state.client, state.backend), (state.backend, state.client)


def _written_side(side: SideState) -> dict[str, object]:
    return {
        "read": side.read,
        "last": side.last,
        "stuck": side.stuck,
        "send_timeout": finite(side.send_timeout),
        "ended": side.ended,
        "deaf": side.deaf,
        "finished": side.finished,
    }


def _read_side(fields: Fields, unsent: bytes) -> SideState:
    side = SideState(
        read=fields.whole("read"),
        last=fields.real("last"),
        stuck=fields.real("stuck"),
        send_timeout=fields.span("send_timeout"),
        ended=fields.flag("ended"),
        deaf=fields.flag("deaf"),
        finished=fields.flag("finished"),
        unsent=unsent,
    )
    fields.end()
    return side

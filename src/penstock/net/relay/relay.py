"""Two streams become one tunnel."""

from __future__ import annotations

import socket
from collections.abc import Callable
from functools import lru_cache
from math import inf

from penstock.net.loop import IN, Loop
from penstock.net.relay.carried import reach
from penstock.net.relay.secure_tunnel import SecureTunnel
from penstock.net.relay.side import Side
from penstock.net.relay.tls_side import TlsSide
from penstock.net.relay.tunnel import Hearer, OnEnd, Tunnel, another_carried, hearer
from penstock.net.stream import READING, Stream
from penstock.net.timers import Alarm
from penstock.net.tls.tls import TlsStream


def relay(
    client: Stream,
    backend: Stream,
    *,
    to_client: bytes = b"",
    to_backend: bytes = b"",
    idle_timeout: float | None = None,
    send_timeouts: tuple[float | None, float | None] = (None, None),
    half_close: bool = True,
    on_end: OnEnd,
    owner: object = None,
    watch: Callable[[Tunnel], None] | None = None,
    steps: bool = False,
    alarm: Alarm | None = None,
    websocket: bool = False,
) -> Tunnel:
    """Take both streams' sockets over and let bytes flow both ways until the tunnel ends; the streams are empty after.

    `to_client` and `to_backend` are sent first, each before anything that is read later; bytes put back into
    a stream follow them. `idle_timeout` (seconds) is between two movements in any direction; `send_timeouts`
    are for the client and the backend taking nothing of what is due to them. Without `half_close` the end of what one
    side says is the end of all, once it is out. `on_end(tunnel, reason)`, or its method `over`, is called once, when
    both sockets are closed; possibly before this returns. `watch` is called before any byte moves: it may set taps and
    a guard; `steps`: it does nothing but look at frames that the twin may step over. `alarm` is one that nobody else
    needs any more. `websocket`: both sides speak it."""
    loop = client.loop
    if (
        (watch is None or (steps and type(client) is Stream))
        and type(backend) is Stream
        and not (to_client or to_backend or backend._unread)
        and carries(client, loop)
    ):
        # Nearly every tunnel.
        other, seconds = watched(backend), limits(*send_timeouts)
        silence, hears = idle_timeout or inf, hearer(on_end)
        tunnel = carry(loop, client, other, silence, seconds, hears, alarm, websocket, owner, half_close)
        if watch is not None:
            watch(tunnel)
        return tunnel
    client_sock, client_mask, said = client.release()
    backend_sock, backend_mask, answered = backend.release()
    left = side_of(client, client_sock, send_timeouts[0])
    right = side_of(backend, backend_sock, send_timeouts[1])
    tunnel = Tunnel(loop, idle_timeout or inf, on_end, alarm, owner)
    tunnel.join(left, right)
    if not half_close:
        tunnel.half_close = False
    tunnel.websocket = websocket
    tunnel.equip()
    if watch is not None:
        watch(tunnel)
    left.start(client_mask)
    right.start(backend_mask)
    tunnel.start()
    left.read = len(said)
    right.read = len(answered)
    if to_client or answered:
        right.send_on(to_client + answered)
    if tunnel.reason is None and (to_backend or said):
        left.send_on(to_backend + said)
    for side in (left, right):
        if tunnel.reason is None and side.mask & IN and side.buffered():
            side.move()
    tunnel.engage()
    return tunnel


def carries(client: Stream, loop: Loop) -> bool:
    """Return whether a tunnel of this client may begin without sides: the compiled relay has it at once, or it speaks
    TLS."""
    if type(client) is Stream:
        return loop.hot.twin is not None and client._unread is None
    return type(client) is TlsStream and client.is_at_rest


def carry(
    loop: Loop,
    client: Stream,
    backend: int,
    idle_timeout: float,
    send_timeouts: tuple[float, float],
    on_end: Hearer,
    alarm: Alarm | None,
    websocket: bool,
    owner: object = None,
    half_close: bool = True,
) -> Tunnel:
    """Begin a tunnel without sides, of a stream that `carries` is true for, and a backend's descriptor.

    The loop watches that for reading; see `relay` and `limits`. No names are given to its arguments: every handshake
    comes here."""
    if isinstance(client, TlsStream):
        secure = SecureTunnel(loop, idle_timeout, on_end, alarm, owner, client.ssl)
        if not half_close:
            secure.half_close = False
        secure.websocket = websocket
        secure.start()
        secure.fold(watched(client), backend, send_timeouts)
        return secure
    # Written out, with `Tunnel.__init__`, `start`, `watched` and `_listen`: six calls and 90 bytecodes.
    hot = loop.hot
    unused = client._sock is None and client._reader is None and client._writer is None
    if unused and client._mask == READING and client._posted is None:
        fd = client.fd
        client.fd = -1
        client._mask = 0
        client.on_hangup = None
    else:
        fd = watched(client)
    tunnel = another_carried()
    tunnel.loop = loop
    tunnel.opened = now = hot.now
    tunnel.idle_timeout = idle_timeout
    tunnel.on_end = on_end
    tunnel.owner = owner
    tunnel.websocket = websocket
    tunnel._client = fd
    tunnel._backend = backend
    tunnel._limits = send_timeouts
    if not half_close:
        tunnel.half_close = False
    if alarm is None:
        alarm = Alarm(loop.timers, tunnel)
    else:
        alarm.callback = tunnel
    tunnel._alarm = alarm
    alarm.deadline = due = now + idle_timeout
    if due < alarm.queued:
        alarm.at(due)
    loop.tunnels.add(tunnel)
    hot.twin.engage(fd, 0, now, backend, 0, now, websocket)  # type: ignore[union-attr]
    handlers, carried = hot.handlers, hot.carried
    del handlers[fd], handlers[backend]
    try:
        carried[fd] = carried[backend] = tunnel
    except IndexError:
        reach(carried, fd, backend)
        carried[fd] = carried[backend] = tunnel
    return tunnel


@lru_cache(maxsize=256)
def limits(client: float | None, backend: float | None) -> tuple[float, float]:
    """Give the seconds for which each side may take nothing: one pair for all tunnels that have the same, 64 bytes less
    for each."""
    return client or inf, backend or inf


def watched(stream: Stream) -> int:
    """Take a stream's descriptor over, for nothing but bytes to be waited for."""
    hot = stream.hot
    fd, mask = stream.release_fd()
    if mask != READING:
        if mask:
            hot.change(fd, READING)
        else:
            hot.watch(fd, READING, stream._on_event)
    return fd


def side_of(stream: Stream, sock: socket.socket, send_timeout: float | None) -> Side:
    """Make the side of a stream that has released its socket. `send_timeout` in seconds, None for none."""
    if not isinstance(stream, Stream):
        return stream.as_side(send_timeout or inf)  # a stream of HTTP/2, which has no socket of its own
    if isinstance(stream, TlsStream):
        return TlsSide(sock, stream.ssl, stream.hot, send_timeout or inf)
    return Side(sock, stream.hot, send_timeout or inf)

"""Two streams become one tunnel."""

from __future__ import annotations

import socket
from collections.abc import Callable
from math import inf

from penstock.net.loop import IN
from penstock.net.side import Side
from penstock.net.stream import Stream
from penstock.net.tls import TlsStream
from penstock.net.tls_side import TlsSide
from penstock.net.tunnel import End, Tunnel


def relay(
    client: Stream,
    backend: Stream,
    *,
    to_client: bytes = b"",
    to_backend: bytes = b"",
    idle_timeout: float | None = None,
    send_timeouts: tuple[float | None, float | None] = (None, None),
    on_end: Callable[[Tunnel, End], None],
    owner: object = None,
    watch: Callable[[Tunnel], None] | None = None,
) -> Tunnel:
    """Takes both streams' sockets over and lets bytes flow both ways until the tunnel ends; the streams are
    empty after.

    `to_client` and `to_backend` are sent first, each before anything that is read later; bytes put back into
    a stream follow them. `idle_timeout` (seconds) is between two movements in any direction; `send_timeouts`
    are for the client and the backend taking nothing of what is due to them. `on_end(tunnel, reason)` is
    called once, when both sockets are closed; possibly before this returns. `watch` is called before any byte
    moves: it may set taps and a guard."""
    loop = client.loop
    client_sock, client_mask, said = client.release()
    backend_sock, backend_mask, answered = backend.release()
    left = _side(client, client_sock, send_timeouts[0])
    right = _side(backend, backend_sock, send_timeouts[1])
    tunnel = Tunnel(loop, left, right, idle_timeout or inf, on_end)
    tunnel.owner = owner
    if watch is None and not (to_client or answered or to_backend or said) and tunnel.plain:
        # Nearly every tunnel: the twin has it at once.
        tunnel.start()
        left.watch(client_mask)
        right.watch(backend_mask)
        tunnel.entrust()
        return tunnel
    tunnel.equip()
    if watch is not None:
        watch(tunnel)
    left.start(client_mask)
    right.start(backend_mask)
    tunnel.start()
    left.read = len(said)
    right.read = len(answered)
    if to_client or answered:
        right.say(to_client + answered)
    if tunnel.reason is None and (to_backend or said):
        left.say(to_backend + said)
    for side in (left, right):
        if tunnel.reason is None and side.mask & IN and side.buffered():
            side.take()
    tunnel.engage()
    return tunnel


def _side(stream: Stream, sock: socket.socket, send_timeout: float | None) -> Side:
    if not isinstance(stream, Stream):
        return stream.as_side(send_timeout or inf)  # a stream of HTTP/2, which has no socket of its own
    if isinstance(stream, TlsStream):
        return TlsSide(sock, stream.ssl, stream.hot, send_timeout or inf)
    return Side(sock, stream.hot, send_timeout or inf)

"""Connecting to a peer."""

from __future__ import annotations

import os
import socket
from errno import EALREADY, EINPROGRESS

from penstock.net.errors import DialFailed, TimedOut
from penstock.net.loop import Loop, running_loop
from penstock.net.stream import Stream, bare_socket

Address = tuple[str, int] | tuple[str, int, int, int] | str
"""(host, port) with a numeric host, for IPv6 also (host, port, flow, scope); or the path of a unix socket."""

_IP_TRANSPARENT = 19
_IPV6_TRANSPARENT = 75
_IP_BIND_ADDRESS_NO_PORT = 24


def family_of(address: Address) -> socket.AddressFamily:
    """AF_UNIX for a path, AF_INET6 for a host with a colon, AF_INET for the rest."""
    if isinstance(address, str):
        return socket.AF_UNIX
    return socket.AF_INET6 if ":" in address[0] else socket.AF_INET


async def connect(
    address: Address,
    timeout: float | None = None,
    *,
    bind: tuple[str, int] | None = None,
    transparent: bool = False,
    keepalive: bool = False,
    nodelay: bool = True,
    rcvbuf: int | None = None,
    sndbuf: int | None = None,
    loop: Loop | None = None,
) -> Stream:
    """A stream connected to `address` within `timeout` seconds.

    `bind` is the local (host, port) to connect from, `transparent` allows one that is not ours (it needs
    CAP_NET_RAW); `keepalive` sets SO_KEEPALIVE. `loop` spares asking for the running one, which costs a system
    call. Raises `DialFailed`, `TimedOut`.
    """
    loop = loop or running_loop()
    family = family_of(address)
    try:
        sock = bare_socket(family)
    except OSError as exc:
        raise DialFailed(exc.errno or 0, "socket") from None
    stream = Stream(sock, loop, address)
    try:
        if keepalive:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        if nodelay and family != socket.AF_UNIX:
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if rcvbuf is not None:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, rcvbuf)
        if sndbuf is not None:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, sndbuf)
        if bind is not None:
            _bind(sock, bind, transparent)
        error = sock.connect_ex(address)
        if error == EINPROGRESS:
            # On the same machine the peer's kernel has answered by now. To ask once more is cheaper than an event.
            error = sock.connect_ex(address)
        if error == EALREADY:
            await stream.writable(timeout)
            error = sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
            stream.written()
        if error:
            raise DialFailed(error)
    except TimedOut:
        stream.close()
        raise
    except OSError as exc:
        stream.close()
        raise DialFailed(exc.errno or 0) from None
    except BaseException:
        stream.close()
        raise
    return stream


def _bind(sock: socket.socket, local: tuple[str, int], transparent: bool) -> None:
    v6 = sock.family == socket.AF_INET6
    try:
        if transparent:
            level, option = (socket.IPPROTO_IPV6, _IPV6_TRANSPARENT) if v6 else (socket.IPPROTO_IP, _IP_TRANSPARENT)
            sock.setsockopt(level, option, 1)
        if local[1] == 0:
            # Let the port be chosen at connect(), when the whole four-tuple is known: no early exhaustion of
            # ports.
            sock.setsockopt(socket.IPPROTO_IP, _IP_BIND_ADDRESS_NO_PORT, 1)
        sock.bind(local)
    except OSError as exc:
        raise DialFailed(exc.errno or 0, f"bind({_shown(local)})") from None


def _shown(address: Address) -> str:
    if isinstance(address, str):
        return "unix:" + os.fsdecode(address)
    return f"[{address[0]}]:{address[1]}" if ":" in address[0] else f"{address[0]}:{address[1]}"

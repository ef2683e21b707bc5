"""Connecting to a peer."""

from __future__ import annotations

import socket
from errno import EAGAIN, EALREADY, EINPROGRESS

from penstock.config.addresses import address_text
from penstock.net.bare_socket import bare_socket
from penstock.net.calls import connect as begin
from penstock.net.calls import send
from penstock.net.descriptors import with_room
from penstock.net.errors import DialFailed
from penstock.net.loop import Loop, running_loop
from penstock.net.stream import Stream, stream_of

Address = tuple[str, int] | tuple[str, int, int, int] | str
"""(host, port) with a numeric host, for IPv6 also (host, port, flow, scope); or the path of a unix socket."""

_IP_TRANSPARENT = 19
_IPV6_TRANSPARENT = 75
_IP_BIND_ADDRESS_NO_PORT = 24


def family_of(address: Address) -> socket.AddressFamily:
    """Return AF_UNIX for a path, AF_INET6 for a host with a colon, AF_INET for the rest."""
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
    """Connect to `address` within `timeout` seconds.

    `bind` is the local (host, port) to connect from, `transparent` allows one that is not ours (it needs
    CAP_NET_RAW); `keepalive` sets SO_KEEPALIVE. `loop` spares asking for the running one, which costs a system
    call. Raises `DialFailed`, `TimedOut`.
    """
    stream, done = begin_connect(
        address,
        loop or running_loop(),
        bind=bind,
        transparent=transparent,
        keepalive=keepalive,
        nodelay=nodelay,
        rcvbuf=rcvbuf,
        sndbuf=sndbuf,
    )
    if not done and not is_there(stream):
        try:
            await stream.writable(timeout)
        except BaseException:
            stream.close()
            raise
        end_connect(stream)
    return stream


def begin_connect(
    address: Address,
    loop: Loop,
    *,
    bind: tuple[str, int] | None = None,
    transparent: bool = False,
    keepalive: bool = False,
    nodelay: bool = True,
    rcvbuf: int | None = None,
    sndbuf: int | None = None,
) -> tuple[Stream, bool]:
    """Begin to connect, as `connect` does: the stream, and whether it is connected already. Where it is not, wait until
    it is writable and call `end_connect`. Raises `DialFailed`, with nothing left open."""
    if not (keepalive or rcvbuf or sndbuf or bind) and type(address) is tuple and len(address) == 2:
        # Nearly always: no object is made for the socket.
        fd, (error, _) = _begin(address, nodelay)
        if fd < 0:
            raise DialFailed(error)
        return stream_of(fd, loop, address), not error
    family = family_of(address)
    sock = _socket(family)
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
        if error and error != EINPROGRESS:
            raise DialFailed(error)
    except OSError as exc:
        stream.close()
        raise DialFailed(exc.errno or 0) from None
    except BaseException:
        stream.close()
        raise
    return stream, not error


def end_connect(stream: Stream) -> None:
    """Tell whether a connection that was begun, and is writable now, has come to be. Raises `DialFailed`."""
    error = stream.sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
    if error:
        stream.close()
        raise DialFailed(error)
    stream.written()


def is_there(stream: Stream) -> bool:
    """Return whether a connection that was begun has come to be already, by sending nothing. On the same machine the
    peer's kernel has answered by now, and to ask is cheaper than an event, a turn and an `epoll_ctl`: 0.94 of the
    processor's time of a handshake (experiments/requests.md). Raises `DialFailed`, with nothing left open."""
    try:
        send(stream.fd, b"")
    except OSError as exc:
        if exc.errno in (EAGAIN, EALREADY):
            return False
        stream.close()
        raise DialFailed(exc.errno or 0) from None
    return True


def _begin(address: tuple[str, int], nodelay: bool) -> tuple[int, tuple[int, int]]:
    host, port = address
    try:
        return begin(host, port, nodelay, b"", -1)
    except OSError:
        pass  # perhaps there is room for another once some have been closed
    try:
        return with_room(lambda: begin(host, port, nodelay, b"", -1))
    except OSError as exc:
        raise DialFailed(exc.errno or 0, "socket") from None


def _socket(family: int) -> socket.socket:
    try:
        return bare_socket(family)
    except OSError:
        pass  # perhaps there is room for another once some have been closed
    try:
        return with_room(lambda: bare_socket(family))
    except OSError as exc:
        raise DialFailed(exc.errno or 0, "socket") from None


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
        raise DialFailed(exc.errno or 0, f"bind({address_text(local)})") from None

"""System calls on sockets by descriptor: no object stands for a connection that is read from, written to and closed.

`_calls.c` does the same where the package was built with a compiler, with less in between: it keeps the lock of the
interpreter, and reads into one buffer. `PENSTOCK_RELAY=python` leaves it out with the rest of what is compiled.
"""

from __future__ import annotations

import os
import socket
from errno import EAGAIN, EINPROGRESS, EINTR, EPIPE
from typing import TYPE_CHECKING, TypeAlias

from penstock.net.bare_socket import bare_socket, socket_of
from penstock.shared.compiled import are_wanted

if TYPE_CHECKING:
    from collections.abc import Callable

NOT_YET = (EAGAIN, EINPROGRESS, EINTR)
"""Why nothing could be read or written that will be later."""

Name: TypeAlias = "tuple[str, int] | tuple[str, int, int, int] | None"


def _recv(fd: int, limit: int, /) -> bytes:
    return os.read(fd, limit)


def _send(fd: int, data: bytes | bytearray | memoryview, /) -> int:
    return os.write(fd, data)


def _send_last(fd: int, data: bytes | bytearray | memoryview, /) -> int:
    sock = socket_of(fd)
    try:
        return sock.send(data, socket.MSG_MORE)
    finally:
        sock.detach()


def _finish(fd: int, /) -> None:
    sock = socket_of(fd)
    try:
        sock.shutdown(socket.SHUT_WR)
    finally:
        sock.detach()


def _connect(host: str, port: int, nodelay: bool, /) -> tuple[int, int]:
    sock = bare_socket(socket.AF_INET6 if ":" in host else socket.AF_INET)
    if nodelay:
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    error = sock.connect_ex((host, port))
    return sock.detach(), error


def _call(host: str, port: int, data: bytes, /) -> tuple[int, int]:
    fd, error = _connect(host, port, True)
    if not error or error == EINPROGRESS:
        try:
            return fd, os.write(fd, data)
        except OSError as exc:
            if exc.errno in NOT_YET:
                return fd, 0
            error = exc.errno or EPIPE
    os.close(fd)
    return -1, error


def _nodelay(fd: int, /) -> None:
    sock = socket.socket(fileno=fd)
    try:
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    finally:
        sock.detach()


recv: Callable[[int, int], bytes] = _recv
"""Read at most so many bytes; b"" at the end. Raises `OSError`."""

send: Callable[[int, bytes | bytearray | memoryview], int] = _send
"""Write, and return how much was taken. Raises `OSError`."""

send_last: Callable[[int, bytes | bytearray | memoryview], int] = _send_last
"""Write what `finish` follows at once: the end leaves with it, in one segment. Raises `OSError`."""

finish: Callable[[int], None] = _finish
"""Say that nothing more will be sent (FIN). Raises `OSError`."""

accept: Callable[[int], tuple[int, Name]] | None = None
"""Accept from a listening socket of TCP: the descriptor, non-blocking, and who it is. Raises `OSError`. None where the
socket's own method is as good."""

connect: Callable[[str, int, bool], tuple[int, int]] = _connect
"""Begin to connect to an address in figures, with TCP_NODELAY or without: the descriptor, and 0 or an errno,
EINPROGRESS where it goes on. Raises `OSError` where no descriptor is left, `ValueError` for another address."""

call: Callable[[str, int, bytes], tuple[int, int]] = _call
"""Do what `connect` does, with TCP_NODELAY, and send bytes at once: on the same machine the other kernel has answered
by then. The descriptor and how much was taken, perhaps nothing yet; or -1 and an errno, with nothing left open. Raises
as `connect` does."""

watch: Callable[[int, int, int], None] | None = None
"""Register a descriptor and its events with an epoll, which comes first. Raises `OSError`. None where the epoll's own
method is as good."""

nodelay: Callable[[int], None] = _nodelay
"""Set TCP_NODELAY. Raises `OSError`."""

close: Callable[[int], None] = os.close
"""Close a descriptor."""

if are_wanted():
    try:
        from penstock.net import _calls

        # The newest first: what was built of other sources, and lacks one, changes nothing.
        connect, call, watch = _calls.connect, _calls.call, _calls.watch
        recv, send, accept = _calls.recv, _calls.send, _calls.accept
        send_last, finish = _calls.send_last, _calls.finish
        nodelay, close = _calls.nodelay, _calls.close
    except (ImportError, AttributeError):
        pass

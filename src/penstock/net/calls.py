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


def _connect(host: str, port: int, nodelay: bool, data: bytes, _epoll: int, /) -> tuple[int, tuple[int, int]]:
    sock = bare_socket(socket.AF_INET6 if ":" in host else socket.AF_INET)
    if nodelay:
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    error, taken = sock.connect_ex((host, port)), 0
    if data and (not error or error == EINPROGRESS):
        try:
            error, taken = 0, sock.send(data)
        except OSError as exc:
            error = EINPROGRESS if exc.errno in NOT_YET else exc.errno or EPIPE
    if error and error != EINPROGRESS:
        sock.close()
        return -1, (error, 0)
    return sock.detach(), (error, taken)


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

accept: Callable[[int, int, int], tuple[int, tuple[Name, bytes | None]]] | None = None
"""Accept from a listening socket of TCP: the descriptor, non-blocking, and who it is. An epoll that is given (-1: none)
watches the new descriptor for reading, and what has come already, of so many bytes at most, has been read then: system
calls that follow each other find the kernel's code in the caches (experiments/requests.md). Raises `OSError`. None
where the socket's own method is as good."""

connect: Callable[[str, int, bool, bytes, int], tuple[int, tuple[int, int]]] = _connect
"""Begin to connect to an address in figures, with TCP_NODELAY or without, and send bytes at once, if there are some: on
the same machine the other kernel has answered by then. The descriptor, 0 or EINPROGRESS where it goes on, and how much
was taken; or -1 and an errno, with nothing left open. An epoll that is given (-1: none) watches for what comes back, as
for `accept`. Raises `OSError` where no descriptor is left, `ValueError` for another address."""

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
        connect, watch = _calls.reach, _calls.watch
        recv, send, accept = _calls.recv, _calls.send, _calls.accept
        send_last, finish = _calls.send_last, _calls.finish
        nodelay, close = _calls.nodelay, _calls.close
    except (ImportError, AttributeError):
        pass

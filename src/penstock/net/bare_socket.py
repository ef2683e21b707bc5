"""A socket without the class that the library puts above it."""

from __future__ import annotations

import _socket
import os
import socket
from errno import EBADF
from typing import Any

_NEW = int(socket.SOCK_STREAM | socket.SOCK_NONBLOCK)


class _Bare(_socket.socket):
    """The C class under `socket.socket`. It can be referred to weakly, as OpenSSL's object in Python wants it."""

    __slots__ = ("__weakref__",)


class StandIn(_Bare):
    """One object for whatever descriptor it is lent to: for a call that wants an object, and for OpenSSL's object in
    Python, which takes the number of the descriptor when it is made, and later only asks whether a socket is there that
    does not block. So a connection has none of its own, and no weak reference to it: 160 bytes less for each."""

    __slots__ = ()

    def __init__(self) -> None:
        """Begin with no descriptor."""

    def of(self, fd: int) -> socket.socket:
        """Stand for this descriptor of a stream's socket until it is lent again. Raises `OSError` where it is closed.
        """
        if fd != self.fileno():
            if fd < 0:
                raise OSError(EBADF, os.strerror(EBADF))
            super().__init__(socket.AF_INET, _NEW, 0, fd)  # of no call that it is lent for the family matters
        lent: Any = self
        return lent  # type: ignore[no-any-return]

    def __del__(self) -> None:
        """Close nothing: the descriptor is somebody else's."""


def bare_socket(family: int) -> socket.socket:
    """Make a new non-blocking TCP or unix socket.

    The class above it in the library costs a microsecond more to make and to close; what it adds (`makefile`, `accept`,
    `dup`, the context manager) nobody asks a stream for.
    """
    made: Any = _Bare(family, _NEW, 0)
    return made  # type: ignore[no-any-return]


def socket_of(fd: int, family: int = -1) -> socket.socket:
    """Make the object for the descriptor of a stream's socket, which does not block; it owns it from now on. The system
    is asked for a `family` that is not given. Raises `OSError` where it is closed."""
    if fd < 0:
        raise OSError(EBADF, os.strerror(EBADF))
    made: Any
    if family >= 0:
        made = _Bare(family, _NEW, 0, fd)  # the object knows by its type that it does not block
    else:
        made = _Bare(-1, -1, -1, fd)
        made.setblocking(False)
    return made  # type: ignore[no-any-return]

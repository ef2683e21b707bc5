"""Between an old and a new master: a pair of sockets, one end of which the new program inherits.

    PENSTOCK_LINK=5     the number of the new master's end

Nobody else can reach it: it has no name. Each message is one datagram of JSON (`{"version": 1, ...}`), some with a
descriptor. A master waits for signals and for nothing else, so that what comes is told by SIGIO.
"""

from __future__ import annotations

import fcntl
import json
import os
import socket
from collections.abc import Mapping
from contextlib import suppress
from typing import Any, NamedTuple

from penstock.process.startup.environment_numbers import LARGEST_DESCRIPTOR, whole

VERSION = 1
LONGEST = 4096


class LinkMessage(NamedTuple):
    """What the other master said; `fd` is -1 where no descriptor came with it."""

    message: dict[str, Any]
    fd: int


class MasterLink:
    """One end."""

    __slots__ = ("_sock",)

    def __init__(self, sock: socket.socket) -> None:
        sock.setblocking(False)
        self._sock = sock
        fcntl.fcntl(sock, fcntl.F_SETOWN, os.getpid())
        fcntl.fcntl(sock, fcntl.F_SETFL, fcntl.fcntl(sock, fcntl.F_GETFL) | os.O_ASYNC)

    @classmethod
    def pair(cls) -> tuple[MasterLink, int]:
        """Make our end, and the descriptor of the other. Raises `OSError`."""
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        return cls(ours), theirs.detach()

    @classmethod
    def inherited(cls, text: str) -> MasterLink | None:
        """Return the end whose number an older program left to us; None where it was another kind of program."""
        number = whole(text, LARGEST_DESCRIPTOR)
        if number is None or number <= 2:
            return None
        try:
            sock = socket.socket(fileno=number)
        except OSError:
            return None
        if sock.family != socket.AF_UNIX or sock.type != socket.SOCK_SEQPACKET:
            sock.detach()
            return None
        sock.set_inheritable(False)
        return cls(sock)

    def tell(self, message: Mapping[str, object], fd: int = -1) -> bool:
        """Say something, and give a copy of a descriptor with it; whether the other side is there to take it."""
        data = json.dumps({"version": VERSION, **message}).encode()
        try:
            socket.send_fds(self._sock, [data], [] if fd < 0 else [fd])
        except OSError:
            return False
        return True

    def hear(self) -> list[LinkMessage]:
        """Return what has been said since, in order. Words that are not understood are dropped, with their descriptor.
        """
        found: list[LinkMessage] = []
        while True:
            try:
                data, fds, _, _ = socket.recv_fds(self._sock, LONGEST, 1, socket.MSG_CMSG_CLOEXEC)
            except OSError:
                return found
            if not data:
                return found
            message = _understood(data)
            if message is None:
                for fd in fds:
                    os.close(fd)
                continue
            found.append(LinkMessage(message, fds[0] if fds else -1))

    def close(self) -> None:
        with suppress(OSError):
            self._sock.close()


def _understood(data: bytes) -> dict[str, object] | None:
    try:
        message = json.loads(data)
    except ValueError:
        return None
    if not isinstance(message, dict) or message.get("version") != VERSION:
        return None
    return message

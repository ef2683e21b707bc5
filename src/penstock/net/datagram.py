"""Datagrams to and from one address: what questions to name servers go by."""

from __future__ import annotations

import _socket
import socket
from typing import TYPE_CHECKING, cast

from penstock.net.descriptors import with_room
from penstock.net.dial import Address, family_of
from penstock.net.errors import DialFailed
from penstock.net.stream import Stream

if TYPE_CHECKING:
    from penstock.net.loop import Loop


def datagrams(
    address: Address,
    loop: Loop,
    *,
    bind: tuple[str, int] | None = None,
    rcvbuf: int | None = None,
    sndbuf: int | None = None,
) -> Stream:
    """Make a stream whose every `recv` is one datagram from `address`, and every `send_now` one to it.

    The kernel chooses the port, another for each, and drops what comes from elsewhere. Raises `DialFailed`.
    """
    try:
        kind = socket.SOCK_DGRAM | socket.SOCK_NONBLOCK
        sock = cast(socket.socket, with_room(lambda: _socket.socket(family_of(address), kind, 0)))
    except OSError as exc:
        raise DialFailed(exc.errno or 0, "socket") from None
    stream = Stream(sock, loop, address)
    try:
        if rcvbuf is not None:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, rcvbuf)
        if sndbuf is not None:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, sndbuf)
        if bind is not None and family_of(address) != socket.AF_UNIX:
            sock.bind(bind)
        sock.connect(address)
    except OSError as exc:
        stream.close()
        raise DialFailed(exc.errno or 0) from None
    return stream

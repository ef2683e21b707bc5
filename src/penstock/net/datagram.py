"""Datagrams to and from one address: what questions to name servers go by."""

from __future__ import annotations

import _socket
import socket
from typing import TYPE_CHECKING, cast

from penstock.net.dial import Address, family_of
from penstock.net.errors import DialFailed
from penstock.net.stream import Stream

if TYPE_CHECKING:
    from penstock.net.loop import Loop


def datagrams(address: Address, loop: Loop) -> Stream:
    """A stream whose every `recv` is one datagram from `address`, and every `send_now` one to it.

    The kernel chooses the port, another for each, and drops what comes from elsewhere. Raises `DialFailed`.
    """
    try:
        kind = socket.SOCK_DGRAM | socket.SOCK_NONBLOCK
        sock = cast(socket.socket, _socket.socket(family_of(address), kind, 0))
    except OSError as exc:
        raise DialFailed(exc.errno or 0, "socket") from None
    stream = Stream(sock, loop, address)
    error = sock.connect_ex(address)
    if error:
        stream.close()
        raise DialFailed(error)
    return stream

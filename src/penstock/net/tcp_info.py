"""What the kernel knows of a TCP connection (Linux: struct tcp_info in linux/tcp.h)."""

from __future__ import annotations

import socket
import struct
from fcntl import ioctl
from sys import byteorder
from typing import Final

OFFSETS: Final = {"rtt": 68, "rttvar": 72, "snd_cwnd": 80, "rcv_space": 96}
"""Where each stands, in bytes; all are of 32 bits. Times are microseconds."""


def tcp_info(sock: socket.socket, name: str) -> int | None:
    """Read one of `OFFSETS` by name; None where the socket is not TCP or has been closed."""
    offset = OFFSETS[name]
    try:
        info = sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, offset + 4)
    except OSError:
        return None
    if len(info) < offset + 4:
        return None
    value: int = struct.unpack_from("=I", info, offset)[0]
    return value


SIOCOUTQ: Final = 0x5411


def unacknowledged(sock: socket.socket) -> int:
    """Count the bytes that were written and that the peer has not acknowledged (of a unix socket: not read) yet; 0
    where that is not known."""
    room = bytearray(4)
    try:
        ioctl(sock, SIOCOUTQ, room)
    except (OSError, ValueError):
        return 0
    return int.from_bytes(room, byteorder)


BYTES_ACKED: Final = 120
"""Where the number of acknowledged bytes stands, of 64 bits (Linux 4.1)."""


def acknowledged(sock: socket.socket) -> int:
    """Count the bytes that the peer has acknowledged, from an unknown beginning. Of a unix socket, and wherever else
    TCP does not tell, what is still under way stands for it: the less there is, the more has arrived."""
    try:
        info = sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, BYTES_ACKED + 8)
    except OSError:
        info = b""
    if len(info) < BYTES_ACKED + 8:
        return -unacknowledged(sock)
    value: int = struct.unpack_from("=Q", info, BYTES_ACKED)[0]
    return value

"""What the kernel knows of a TCP connection (Linux: struct tcp_info in linux/tcp.h)."""

from __future__ import annotations

import socket
import struct
from typing import Final

OFFSETS: Final = {"rtt": 68, "rttvar": 72, "snd_cwnd": 80, "rcv_space": 96}
"""Where each stands, in bytes; all are of 32 bits. Times are microseconds."""


def tcp_info(sock: socket.socket, name: str) -> int | None:
    """One of `OFFSETS` by name; None where the socket is not TCP or has been closed."""
    offset = OFFSETS[name]
    try:
        info = sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, offset + 4)
    except OSError:
        return None
    if len(info) < offset + 4:
        return None
    value: int = struct.unpack_from("=I", info, offset)[0]
    return value

"""A bound socket for datagrams, which several processes may share: what comes, from whom, and answers to them."""

from __future__ import annotations

import socket
import struct
from collections.abc import Callable

from penstock.net.dial import Address, family_of
from penstock.net.listener import EXCLUSIVE, BindFailed
from penstock.net.loop import IN, Loop

AT_ONCE = 32
"""Datagrams that are taken before others have their turn."""
LONGEST = 65535
_SPACE = socket.CMSG_SPACE(20)
_IP_PKTINFO = 8
_HERE = struct.Struct("=I4s4s")  # in_pktinfo (ip(7)): interface, our address, the address in the header
_HERE6 = struct.Struct("=16sI")  # in6_pktinfo (ipv6(7))

From = tuple[str, int] | tuple[str, int, int, int]


def bind_datagrams(
    address: tuple[str, int],
    *,
    reuseport: bool = False,
    ipv6only: bool = True,
    rcvbuf: int | None = None,
    sndbuf: int | None = None,
) -> socket.socket:
    """Make a non-blocking socket that is bound. Raises `BindFailed`."""
    family = family_of(address)
    call = "socket"
    try:
        sock = socket.socket(family, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK, 0)
    except OSError as exc:
        raise BindFailed(call, address, exc.errno or 0) from None
    try:
        call = "setsockopt"
        if reuseport:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        if family == socket.AF_INET6:
            sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, int(ipv6only))
        if rcvbuf is not None:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, rcvbuf)
        if sndbuf is not None:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, sndbuf)
        call = "bind"
        sock.bind(address)
    except OSError as exc:
        sock.close()
        raise BindFailed(call, address, exc.errno or 0) from None
    return sock


class DatagramPort:
    """Receives from a socket that it does not own.

    `on_datagram(data, name, here)` is called for each datagram: whose it is, and the address of ours that it was sent
    to ("" where there is but one)."""

    __slots__ = ("_loop", "_on_datagram", "_wild", "shared", "sock")

    def __init__(
        self, loop: Loop, sock: socket.socket, on_datagram: Callable[[bytes, From, str], None], *, shared: bool
    ) -> None:
        self.sock = sock
        self.shared = shared
        self._loop = loop
        self._on_datagram = on_datagram
        self._wild = sock.getsockname()[0] in ("0.0.0.0", "::")
        if self._wild and sock.family == socket.AF_INET6:
            sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_RECVPKTINFO, 1)
        elif self._wild:
            sock.setsockopt(socket.IPPROTO_IP, _IP_PKTINFO, 1)
        loop.hot.watch(sock.fileno(), IN | EXCLUSIVE if shared else IN, self._on_event)

    def send(self, data: bytes, name: From, here: str) -> bool:
        """Send a datagram from the address it is an answer of; tell whether the system took it."""
        try:
            if not here:
                self.sock.sendto(data, name)
            elif self.sock.family == socket.AF_INET6:
                told = _HERE6.pack(socket.inet_pton(socket.AF_INET6, here), 0)
                self.sock.sendmsg([data], [(socket.IPPROTO_IPV6, socket.IPV6_PKTINFO, told)], 0, name)
            else:
                told = _HERE.pack(0, socket.inet_aton(here), bytes(4))
                self.sock.sendmsg([data], [(socket.IPPROTO_IP, _IP_PKTINFO, told)], 0, name)
        except OSError:
            return False  # a full buffer, or a client that can not be reached: it is as if it had been lost on its way
        return True

    def close(self) -> None:
        """Stop: nothing more is received. Closing twice does nothing."""
        if self.sock.fileno() >= 0:
            self._loop.hot.forget(self.sock.fileno())

    def _on_event(self, _mask: int) -> None:
        for _ in range(AT_ONCE):
            try:
                data, told, _, name = self.sock.recvmsg(LONGEST, _SPACE if self._wild else 0)
            except OSError:
                return  # nothing more, or an error about a datagram of ours, which was nobody's
            self._on_datagram(data, name, self._here(told))

    def _here(self, told: list[tuple[int, int, bytes]]) -> str:
        for level, _, value in told:
            if level == socket.IPPROTO_IPV6:
                return socket.inet_ntop(socket.AF_INET6, _HERE6.unpack(value[: _HERE6.size])[0])
            if level == socket.IPPROTO_IP:
                return socket.inet_ntoa(_HERE.unpack(value[: _HERE.size])[2])
        return ""


def is_bound_datagram(sock: socket.socket) -> bool:
    """Return whether a socket takes datagrams at a port."""
    name: Address = sock.getsockname()
    return sock.type == socket.SOCK_DGRAM and not isinstance(name, (str, bytes)) and name[1] > 0

"""Where datagrams come to in a worker, by address: opened, kept over a reload, closed."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, TypeAlias

if TYPE_CHECKING:
    import socket

    from penstock.plan.location import Listen
    from penstock.server.service import Service
    from penstock.server.stream.datagrams import Datagrams

Address: TypeAlias = "tuple[Any, ...] | str"


class DatagramPorts:
    """All of one worker."""

    __slots__ = ("_open", "_service")

    def __init__(self, service: Service) -> None:
        self._service = service
        self._open: dict[Address, Datagrams] = {}

    def open(self, listen: Listen, sock: socket.socket, *, shared: bool) -> None:
        """Take what comes there; where that is done already, new clients go by `listen` from now on."""
        known = self._open.get(listen.address)
        if known is not None:
            known.listen = listen
            return
        from penstock.server.stream.datagrams import Datagrams

        self._open[listen.address] = Datagrams(self._service, sock, listen, shared=shared)

    def keep(self, wanted: Mapping[Address, socket.socket]) -> None:
        """Close all that are not at these sockets."""
        for address, port in list(self._open.items()):
            if wanted.get(address) is not port.sock:
                port.close()
                del self._open[address]

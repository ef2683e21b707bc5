"""Listening sockets: bound by the master, kept over reloads, shared out to the workers."""

from __future__ import annotations

import errno
import os
import socket
import time
from collections.abc import Iterable
from typing import Any, TypeAlias

from penstock.config.os_errors import os_failure
from penstock.net.datagram_port import bind_datagrams
from penstock.net.listener import BindFailed, TcpKeepAlive, bind
from penstock.observe.errorlog import EMERG, ERROR, NOTICE, WARN, report
from penstock.plan.location import Listen
from penstock.process.startup.launch import NotStarted

Address: TypeAlias = tuple[Any, ...] | str

TRIES = 5
PAUSE = 0.5
"""Seconds between tries: whoever held the port may be on the way out."""


class Sockets:
    """The sockets of one configuration, by address: one each, or one for every worker with `reuseport`."""

    def __init__(self) -> None:
        self.by_address: dict[Address, list[socket.socket]] = {}
        self.listens: list[Listen] = []

    def for_worker(self, index: int) -> dict[Listen, socket.socket]:
        """Return what the worker of that index accepts on."""
        return {
            listen: sockets[index % len(sockets)]
            for listen in self.listens
            if (sockets := self.by_address[listen.address])
        }

    def descriptors(self) -> list[int]:
        """Return the numbers of all of them."""
        return [sock.fileno() for sockets in self.by_address.values() for sock in sockets]

    def close(self) -> None:
        """Close this process's descriptors; others keep theirs."""
        for sockets in self.by_address.values():
            for sock in sockets:
                sock.close()
        self.by_address.clear()
        self.listens.clear()

    def unlink(self) -> None:
        """Remove the files of unix sockets."""
        for address in self.by_address:
            if isinstance(address, str):
                _unlink(address)

    def close_unless(self, kept: Sockets) -> None:
        """Close this process's descriptors of what another configuration does not use."""
        for address, sockets in self.by_address.items():
            for sock in sockets:
                if sock not in kept.by_address.get(address, ()):
                    sock.close()

    def drop_unless(self, kept: Sockets) -> None:
        """Close what another configuration does not use, for good."""
        self.close_unless(kept)
        for address, sockets in self.by_address.items():
            if sockets and not kept.by_address.get(address) and isinstance(address, str):
                report(None, WARN, f"deleting socket {address}")
                _unlink(address)


def bind_all(listens: Iterable[Listen], workers: int, old: Sockets | None = None) -> Sockets:
    """Bind and listen on every address; what `old` has open already is used again.

    A busy port is tried again a few times. Raises `NotStarted`, with everything closed that was not there before.
    """
    made = Sockets()
    made.listens = needed(listens)
    for left in range(TRIES - 1, -1, -1):
        busy = False
        for listen in made.listens:
            busy |= not _complete(made, listen, workers, old)
        if not busy:
            return made
        report(None, NOTICE, "try again to bind() after 500ms")
        if left:
            time.sleep(PAUSE)
    _name_holders(made)
    report(None, EMERG, "still could not bind()")
    _abandon(made, old)
    raise NotStarted


def _name_holders(made: Sockets) -> None:
    """Say who has the addresses that could not be had."""
    from penstock.process.startup.port_owner import holder

    for address, sockets in made.by_address.items():
        of_udp = not isinstance(address, str) and len(address) > 2
        who = "" if sockets or of_udp else holder(address)
        if who:
            name = f"unix:{address}" if isinstance(address, str) else f"port {address[1]}"
            report(None, ERROR, f"{name} is taken by {who}: end that, or listen elsewhere")


def _advise(error: BindFailed) -> None:
    """Say what to do about it, where that is known."""
    address = error.address
    if isinstance(address, str):
        folder = address.rpartition("/")[0] or "/"
        words = {
            errno.EACCES: f"let this user write to {folder}",
            errno.EROFS: f"{folder} can not be written to: listen in another folder",
            errno.ENOENT: f"make the folder {folder}",
        }.get(error.errno, "")
    elif error.errno == errno.EACCES and address[1] < 1024:
        words = (
            "ports below 1024 are for root, or for who has CAP_NET_BIND_SERVICE "
            "(systemd: AmbientCapabilities, or penstock.socket); or listen on 8080"
        )
    elif error.errno == errno.EADDRNOTAVAIL:
        words = "this machine has no such address: see `ip address`, or listen on the port alone"
    elif error.errno == errno.EAFNOSUPPORT:
        words = "IPv6 is switched off here: leave this listen out"
    else:
        words = ""
    if words:
        report(None, ERROR, words)


def probe_all(listens: Iterable[Listen]) -> None:
    """See whether the addresses could be bound, as `-t` does: a busy one may be our own. Raises `NotStarted`."""
    made = Sockets()
    try:
        for listen in needed(listens):
            try:
                made.by_address[listen.address] = [_bind(listen)]
            except BindFailed as error:
                if error.errno != errno.EADDRINUSE:
                    report(None, EMERG, str(error))
                    _advise(error)
                    raise NotStarted from None
    finally:
        made.unlink()
        made.close()


def needed(listens: Iterable[Listen]) -> list[Listen]:
    """Choose the addresses that want a socket of their own: not those that a socket on all addresses of the port
    covers."""
    listens = list(listens)
    wild = {
        (":" in listen.address[0], *listen.address[1:])
        for listen in listens
        if not isinstance(listen.address, str) and listen.address[0] in ("0.0.0.0", "::")
    }
    return [listen for listen in listens if not _covered(listen, wild)]


def _covered(listen: Listen, wild: set[tuple[bool, int]]) -> bool:
    address = listen.address
    if isinstance(address, str) or address[0] in ("0.0.0.0", "::") or listen.options.given or listen.options.udp:
        return False
    return (":" in address[0], *address[1:]) in wild


def _complete(made: Sockets, listen: Listen, workers: int, old: Sockets | None) -> bool:
    """Get the sockets of one address; False if it is busy."""
    address = listen.address
    have = made.by_address.setdefault(address, [])
    wanted = workers if listen.options.reuseport else 1
    if not have and old is not None:
        have += old.by_address.get(address, ())[:wanted]
        for sock in have:
            if wanted > 1:
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
            if listen.options.udp:
                continue
            if sock.family != socket.AF_UNIX:
                sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_DEFER_ACCEPT, int(listen.options.deferred))
            sock.listen(listen.options.backlog)
    while len(have) < wanted:
        try:
            have.append(_bind(listen))
        except BindFailed as error:
            report(None, EMERG, str(error))
            if error.errno == errno.EADDRINUSE:
                return False
            _advise(error)
            _abandon(made, old)
            raise NotStarted from None
    return True


def _bind(listen: Listen) -> socket.socket:
    options = listen.options
    if options.udp:
        return bind_datagrams(
            (listen.address[0], int(listen.address[1])),
            reuseport=options.reuseport,
            ipv6only=options.ipv6only,
            rcvbuf=options.rcvbuf,
            sndbuf=options.sndbuf,
        )
    keepalive = None
    if options.keepalive is True:
        keepalive = TcpKeepAlive()
    elif options.keepalive:
        idle, interval, count = options.keepalive
        keepalive = TcpKeepAlive(idle or None, interval or None, count or None)
    return bind(
        listen.address,
        backlog=options.backlog,
        reuseport=options.reuseport,
        ipv6only=options.ipv6only,
        rcvbuf=options.rcvbuf,
        sndbuf=options.sndbuf,
        keepalive=keepalive,
        fastopen=options.fastopen,
        deferred=options.deferred,
    )


def _abandon(made: Sockets, old: Sockets | None) -> None:
    """Close what is new in `made`."""
    for address, sockets in made.by_address.items():
        before = old.by_address.get(address, []) if old is not None else []
        for sock in sockets:
            if sock not in before:
                sock.close()
        if sockets and not before and isinstance(address, str):
            _unlink(address)


def _unlink(path: str) -> None:
    try:
        os.unlink(path.encode("latin-1"))  # noqa: PTH108  bytes
    except OSError as error:
        report(None, EMERG, os_failure(f"unlink() {path}", error))

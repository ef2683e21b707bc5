"""Listening sockets: bound by the master, kept over reloads, shared out to the workers."""

from __future__ import annotations

import errno
import os
import socket
import time
from collections.abc import Iterable
from typing import Any, TypeAlias

from penstock.net.listener import BindFailed, KeepAlive, bind
from penstock.observe.errorlog import EMERG, ERROR, NOTICE, WARN, report
from penstock.plan.location import Listen
from penstock.process.launch import NotStarted

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
        """What the worker of that index accepts on."""
        return {
            listen: sockets[index % len(sockets)]
            for listen in self.listens
            if (sockets := self.by_address[listen.address])
        }

    def descriptors(self) -> list[int]:
        """The numbers of all of them."""
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

    def drop_unless(self, kept: Sockets) -> None:
        """Close what a newer configuration does not use."""
        for address, sockets in self.by_address.items():
            staying = kept.by_address.get(address, ())
            for sock in sockets:
                if sock not in staying:
                    sock.close()
            if not staying and isinstance(address, str):
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
    from penstock.process.holder import holder

    for address, sockets in made.by_address.items():
        who = "" if sockets else holder(address)
        if who:
            name = f"unix:{address}" if isinstance(address, str) else f"port {address[1]}"
            report(None, ERROR, f"{name} is taken by {who}: end that, or listen elsewhere")


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
                    raise NotStarted from None
    finally:
        made.unlink()
        made.close()


def needed(listens: Iterable[Listen]) -> list[Listen]:
    """The addresses that want a socket of their own: not those that a socket on all addresses of the port covers."""
    listens = list(listens)
    wild = {
        (":" in listen.address[0], listen.address[1])
        for listen in listens
        if not isinstance(listen.address, str) and listen.address[0] in ("0.0.0.0", "::")
    }
    return [listen for listen in listens if not _covered(listen, wild)]


def _covered(listen: Listen, wild: set[tuple[bool, int]]) -> bool:
    address = listen.address
    if isinstance(address, str) or address[0] in ("0.0.0.0", "::") or listen.options.given:
        return False
    return (":" in address[0], address[1]) in wild


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
            sock.listen(listen.options.backlog)
    while len(have) < wanted:
        try:
            have.append(_bind(listen))
        except BindFailed as error:
            report(None, EMERG, str(error))
            if error.errno == errno.EADDRINUSE:
                return False
            _abandon(made, old)
            raise NotStarted from None
    return True


def _bind(listen: Listen) -> socket.socket:
    options = listen.options
    keepalive = None
    if options.keepalive is True:
        keepalive = KeepAlive()
    elif options.keepalive:
        idle, interval, count = options.keepalive
        keepalive = KeepAlive(idle or None, interval or None, count or None)
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
        report(None, EMERG, f"unlink() {path} failed ({error.errno}: {os.strerror(error.errno or 0)})")

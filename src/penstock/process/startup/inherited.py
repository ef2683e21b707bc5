"""Listening sockets that were open before this program began.

Two may hand them over: an older program that is being replaced by this one, as nginx does it (`NGINX=6;7;`, the numbers
of its listening descriptors), and a service manager (`LISTEN_FDS`, see `activation.py`). A `listen` whose address is
that of such a socket uses it; the others are closed.
"""

from __future__ import annotations

import os
import socket
from collections.abc import Iterable
from errno import EBADF
from typing import Any

from penstock.config.addresses import address_text
from penstock.config.os_errors import os_reason
from penstock.net.datagram_port import is_bound_datagram
from penstock.observe.errorlog import ALERT, CRIT, EMERG, NOTICE, WARN, report
from penstock.plan.location import UDP, Listen
from penstock.process.startup.activation import advice, passed_descriptors
from penstock.process.startup.environment_numbers import LARGEST_DESCRIPTOR, whole
from penstock.process.startup.listening import Address, Sockets

VARIABLE = "NGINX"
LONGEST = 200
"""Characters of it that the log shows."""


class Inherited:
    """What was there at the start. `predecessor` is the process id of the program that this one is to replace, 0 if
    there is none."""

    __slots__ = ("predecessor", "sockets", "taken")

    def __init__(self) -> None:
        self.predecessor = 0
        self.sockets = Sockets()
        self.taken: frozenset[Address] = frozenset()

    @property
    def predecessor_lives(self) -> bool:
        """Return whether who started this program to take its place is still there: it may yet stay in its place."""
        return bool(self.predecessor) and os.getppid() == self.predecessor

    def match(self, listens: Iterable[Listen]) -> Sockets:
        """Match the sockets to the addresses that the configuration writes."""
        spelled = {canonical(listen.address): listen.address for listen in listens}
        found = Sockets()
        for address, sockets in self.sockets.by_address.items():
            found.by_address.setdefault(spelled.get(canonical(address), address), []).extend(sockets)
        self.sockets = found
        return found

    def close_unused(self, used: Sockets) -> None:
        """Close what no `listen` uses. Files of unix sockets stay: an older program may listen there again."""
        for address, sockets in self.sockets.by_address.items():
            wanted = used.by_address.get(address, ())
            for sock in sockets:
                if sock in wanted:
                    continue
                report(None, WARN, f"inherited socket {address_text(address)} is closed, {advice(sock, address)}")
                sock.close()
        self.taken = frozenset(address for address in self.sockets.by_address if address in used.by_address)
        self.sockets = Sockets()


def inherit() -> Inherited:
    """Take over what the environment names; its variables are gone then, so that nothing started later sees them."""
    found = Inherited()
    text = os.environ.pop(VARIABLE, "")
    if text:
        report(None, NOTICE, f'using inherited sockets from "{text[:LONGEST]}"')
        numbers = list(_numbers(text))
        if numbers:
            found.predecessor = os.getppid()
        _add(found.sockets, numbers)
    _add(found.sockets, passed_descriptors())
    return found


def _numbers(text: str) -> Iterable[int]:
    """nginx ends each number with `;` or `:`."""
    parts = text.replace(":", ";").split(";")
    last = parts.pop()
    if last:
        report(None, EMERG, f'invalid socket number "{last[:LONGEST]}" in {VARIABLE} environment variable, ignored')
    for part in parts:
        number = whole(part, LARGEST_DESCRIPTOR)
        if number is None:
            words = f'invalid socket number "{part[:LONGEST]}" in {VARIABLE} environment variable, ignoring the rest'
            report(None, EMERG, words)
            return
        yield number


def _add(sockets: Sockets, numbers: Iterable[int]) -> None:
    known = set(sockets.descriptors())
    for fd in numbers:
        if fd in known:
            continue  # one socket, named twice
        known.add(fd)
        try:
            sock = _listening(fd)
        except OSError as error:
            words = os_reason(error)
            report(None, CRIT, f"inherited socket #{fd} can not be used ({words})")
            continue
        if sock is None:
            report(None, ALERT, f"inherited socket #{fd} does not listen for connections, and is left alone")
            continue
        sockets.by_address.setdefault(_address(sock), []).append(sock)


def _listening(fd: int) -> socket.socket | None:
    """The socket with that number, None where it is one but does not listen. Raises `OSError`."""
    if fd <= 2:
        raise OSError(EBADF, os.strerror(EBADF))
    sock = socket.socket(fileno=fd)
    if not is_bound_datagram(sock) and not (
        sock.type == socket.SOCK_STREAM and sock.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN)
    ):
        sock.detach()
        return None
    sock.set_inheritable(False)
    sock.setblocking(False)
    return sock


def _address(sock: socket.socket) -> Address:
    name: Any = sock.getsockname()
    if isinstance(name, tuple):
        return (name[0], name[1], UDP) if sock.type == socket.SOCK_DGRAM else (name[0], name[1])
    return name.decode("latin-1") if isinstance(name, bytes) else os.fsencode(name).decode("latin-1")


def canonical(address: Address) -> Address:
    """Return an address in the one form that is equal for all its spellings."""
    if isinstance(address, str):
        return address
    host, *rest = address
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        return socket.inet_ntop(family, socket.inet_pton(family, host)), *rest
    except OSError:
        return host, *rest

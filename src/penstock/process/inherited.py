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

from penstock.observe.errorlog import ALERT, CRIT, EMERG, NOTICE, WARN, report
from penstock.plan.location import Listen
from penstock.process.activation import advice, passed_descriptors
from penstock.process.listening import Address, Sockets

VARIABLE = "NGINX"


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
        """Whether who started this program to take its place is still there: it may yet stay in its place."""
        return bool(self.predecessor) and os.getppid() == self.predecessor

    def match(self, listens: Iterable[Listen]) -> Sockets:
        """The sockets under the addresses that the configuration writes."""
        spelled = {canonical(listen.address): listen.address for listen in listens}
        found = Sockets()
        for address, sockets in self.sockets.by_address.items():
            found.by_address.setdefault(spelled.get(canonical(address), address), []).extend(sockets)
        self.sockets = found
        return found

    def settle(self, used: Sockets) -> None:
        """Close what no `listen` uses. Files of unix sockets stay: an older program may listen there again."""
        for address, sockets in self.sockets.by_address.items():
            wanted = used.by_address.get(address, ())
            for sock in sockets:
                if sock in wanted:
                    continue
                report(None, WARN, f"inherited socket {shown(address)} is closed, {advice(sock, address)}")
                sock.close()
        self.taken = frozenset(address for address in self.sockets.by_address if address in used.by_address)
        self.sockets = Sockets()


def inherit() -> Inherited:
    """Take over what the environment names; its variables are gone then, so that nothing started later sees them."""
    found = Inherited()
    text = os.environ.pop(VARIABLE, "")
    if text:
        report(None, NOTICE, f'using inherited sockets from "{text}"')
        found.predecessor = os.getppid()
        _add(found.sockets, _numbers(text))
    _add(found.sockets, passed_descriptors())
    return found


def _numbers(text: str) -> Iterable[int]:
    """nginx ends each number with `;` or `:`."""
    parts = text.replace(":", ";").split(";")
    if parts.pop():
        report(None, EMERG, f'invalid socket number "{text}" in {VARIABLE} environment variable, ignoring the rest')
    for part in parts:
        if not (part.isascii() and part.isdigit()):
            words = f'invalid socket number "{part}" in {VARIABLE} environment variable, ignoring the rest'
            report(None, EMERG, words)
            return
        yield int(part)


def _add(sockets: Sockets, numbers: Iterable[int]) -> None:
    for fd in numbers:
        try:
            sock = _listening(fd)
        except OSError as error:
            words = f"({error.errno}: {os.strerror(error.errno or 0)})"
            report(None, CRIT, f"inherited socket #{fd} can not be used {words}")
            continue
        if sock is None:
            report(None, ALERT, f"inherited socket #{fd} does not listen for connections, and is left alone")
            continue
        sockets.by_address.setdefault(_address(sock.getsockname()), []).append(sock)


def _listening(fd: int) -> socket.socket | None:
    """The socket with that number, None where it is one but does not listen. Raises `OSError`."""
    if fd <= 2:
        raise OSError(EBADF, os.strerror(EBADF))
    sock = socket.socket(fileno=fd)
    if sock.type != socket.SOCK_STREAM or not sock.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN):
        sock.detach()
        return None
    sock.set_inheritable(False)
    sock.setblocking(False)
    return sock


def _address(name: Any) -> Address:
    if isinstance(name, tuple):
        return name[0], name[1]
    return name.decode("latin-1") if isinstance(name, bytes) else os.fsencode(name).decode("latin-1")


def canonical(address: Address) -> Address:
    """Equal for spellings of one address."""
    if isinstance(address, str):
        return address
    host, port = address[:2]
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        return socket.inet_ntop(family, socket.inet_pton(family, host)), port
    except OSError:
        return host, port


def shown(address: Address) -> str:
    """As a `listen` would be written."""
    if isinstance(address, str):
        return f"unix:{address}"
    return f"[{address[0]}]:{address[1]}" if ":" in address[0] else f"{address[0]}:{address[1]}"

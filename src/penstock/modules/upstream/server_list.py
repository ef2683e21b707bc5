"""Reads a list of servers that comes from elsewhere: `server` lines, or JSON.

    server 10.0.0.1:8000 weight=2;          ["10.0.0.1:8000", {"server": "10.0.0.2:8000", "weight": 2}]
    server 10.0.0.2:8000 drain;             {"servers": [{"server": "10.0.0.3:8000", "terminating": true}]}

The parameters are those of `server`. `terminating`, as orchestrators say it, is `drain`.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from dataclasses import asdict
from typing import Any

from penstock.config.addresses import Address, peer_address
from penstock.config.errors import ConfigError, Problems
from penstock.config.parser import parse_text
from penstock.modules.upstream.server import parameter
from penstock.modules.upstream.steering import SteeringRefused, read_options
from penstock.upstream.names.listed import ListedServer
from penstock.upstream.peers.peers import ServerOptions

MOST = 1000
"""Servers of one list."""

LONGEST = 1 << 20
"""Bytes of one list."""

LookUp = Callable[[str], list[str]]


class BadList(Exception):
    """Raised for a text that is no list of servers; it says what is wrong."""


def read_list(text: str, where: str, look_up: LookUp) -> tuple[ListedServer, ...]:
    """Read a list, in its order; names become the addresses that `look_up` gives, which may raise `OSError`.

    `where` is what the text calls itself. Raises `BadList`; of a list with a mistake nothing is taken.
    """
    if len(text) > LONGEST:
        raise BadList(f"a list of more than {LONGEST >> 20} MiB")
    given = _of_json(text) if text.lstrip()[:1] in ("[", "{") else _of_lines(text, where)
    found: list[ListedServer] = []
    for server, options in given:
        found += [ListedServer(address, options) for address in _addresses(server, look_up)]
        if len(found) > MOST:
            raise BadList(f"more than {MOST} servers")
    return tuple(found)


def _of_lines(text: str, where: str) -> Iterable[tuple[str, ServerOptions]]:
    problems = Problems()
    found = []
    try:
        for line in parse_text(text, where, problems):
            if line.name.text != "server" or line.block is not None or not line.args:
                raise ConfigError(f'"{line.name.text}" is not allowed in a list of servers', line.span)
            options = ServerOptions()
            for each in line.args[1:]:
                options = parameter(options, each)
            found.append((line.args[0].text, options))
    except ConfigError as error:
        raise BadList(f"{error} in {where}") from None
    if problems.failed:
        raise BadList(str(next(iter(problems))))
    return found


def _of_json(text: str) -> Iterable[tuple[str, ServerOptions]]:
    try:
        given = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise BadList(f"it is no JSON: {error}") from None
    if isinstance(given, dict):
        given = given.get("servers")
    if not isinstance(given, list):
        raise BadList('it is neither a list nor an object with "servers"')
    return [_of_value(each) for each in given]


def _of_value(value: Any) -> tuple[str, ServerOptions]:
    if isinstance(value, str):
        value = {"server": value}
    if not isinstance(value, dict) or not isinstance(value.get("server"), str):
        raise BadList('a server is an address, or an object with "server"')
    given = {name: each for name, each in value.items() if name not in ("server", "terminating")}
    try:
        options = read_options(given)
    except SteeringRefused as error:
        raise BadList(f"{value['server'][:100]!r}: {error}") from None
    if value.get("terminating") is True:
        options["drain"] = True
    return value["server"], ServerOptions(**options)


def _addresses(server: str, look_up: LookUp) -> list[Address]:
    try:
        address = peer_address(server)
    except (ValueError, UnicodeError) as error:
        raise BadList(f"{error} in {server[:100]!r}") from None
    if address.family != "name":
        return [address]
    try:
        found = look_up(address.host)
    except (OSError, UnicodeError):
        raise BadList(f"host {address.host!r} not found") from None
    return [Address("inet6" if ":" in text else "inet", text, address.port) for text in found]


def write_plain(servers: Iterable[ListedServer]) -> list[list[Any]]:
    """Return a list as plain values: each address in figures, and the options that are not the usual ones."""
    usual = asdict(ServerOptions())
    return [
        [str(address), {name: value for name, value in asdict(options).items() if usual[name] != value}]
        for address, options in servers
    ]


def read_plain(plain: Iterable[list[Any]]) -> tuple[ListedServer, ...]:
    """Return the list that `write_plain` has written."""
    return tuple(ListedServer(peer_address(server), ServerOptions(**options)) for server, options in plain)

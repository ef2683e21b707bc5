"""A request as it will go out: what a module of the family hands to the exchange."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, TypeAlias

from penstock.net.stream import Stream

if TYPE_CHECKING:
    from penstock.http.request import Request
    from penstock.upstream.exchange.exchange import Exchange
    from penstock.upstream.peers.balancers import PeerSelection
    from penstock.upstream.peers.group import Group

Secure: TypeAlias = "Callable[[Stream, Request], Awaitable[Stream]]"
"""Begins TLS on a fresh connection. Raises `ProxyError`, with the connection closed."""


@dataclass(slots=True)
class Prepared:
    """A request as a backend will get it: `head` as bytes, `asked` the method, `label` scheme and URI for the log.

    `torn`: its Connection promises an upgrade that its head does not name. Backends make of that what they like, and
    some have done with HTTP on this connection: it is kept only where the configuration says that connections are.
    `switches`: it asks for a WebSocket, and may have a connection that was made for that.
    `selection` is given where choosing has begun already. `each` is called for each server that is tried, once it is
    chosen and before it is connected to. It may set another plan, and raises `ProxyError` where the server is not to
    be asked.
    """

    group: Group
    head: bytes
    asked: str
    label: tuple[str, str]
    secure: Secure | None = None
    torn: bool = field(default=False, kw_only=True)
    switches: bool = field(default=False, kw_only=True)
    selection: PeerSelection | None = field(default=None, kw_only=True)
    each: Callable[[Exchange], None] | None = field(default=None, kw_only=True)


@dataclass(frozen=True, slots=True)
class Local:
    """The address to connect from. `transparent`: it may be somebody else's."""

    address: tuple[str, int]
    transparent: bool

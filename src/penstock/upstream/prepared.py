"""A request as it will go out: what a module of the family hands to the exchange."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias

from penstock.net.stream import Stream

if TYPE_CHECKING:
    from penstock.http.request import Request
    from penstock.upstream.group import Group

Secure: TypeAlias = "Callable[[Stream, Request], Awaitable[Stream]]"
"""Begins TLS on a fresh connection. Raises `ProxyError`, with the connection closed."""


@dataclass(slots=True)
class Prepared:
    """A request as a backend will get it: `head` as bytes, `asked` the method, `label` scheme and URI for the log."""

    group: Group
    head: bytes
    asked: str
    label: tuple[str, str]
    secure: Secure | None = None


@dataclass(frozen=True, slots=True)
class Local:
    """The address to connect from. `transparent`: it may be somebody else's."""

    address: tuple[str, int]
    transparent: bool

"""Which group a request goes to: fixed when the configuration is read, or found by what the variables say."""

from __future__ import annotations

from collections.abc import Sequence

from penstock.config.addresses import Address
from penstock.config.source import Span
from penstock.config.variables import Template
from penstock.http.request import Request
from penstock.modules.core.resolver import addresses_of
from penstock.modules.upstream.upstream import Upstreams, literal_group
from penstock.observe.errorlog import ERROR, report
from penstock.upstream.errors import FaultSide, ProxyError
from penstock.upstream.exchange.target import HTTP, Target, parse_target
from penstock.upstream.peers.group import Group
from penstock.upstream.peers.peers import ServerOptions

PLAIN = ("",)
"""Addresses are written without a scheme."""
MOST = 1024
FORGIVEN = ServerOptions(max_fails=0)
"""Of addresses that a resolver gave: the next request tries them all again, as in nginx."""


class Destination:
    """A target with the group that stands for it, and how requests name it."""

    __slots__ = ("group", "host_header", "secure", "target")

    def __init__(self, target: Target, group: Group) -> None:
        self.target = target
        self.group = group
        self.host_header = target.host_header
        self.secure = target.secure

    def with_group(self, group: Group) -> Destination:
        """Return the same with another group in the place of its own."""
        return Destination(self.target, group)


class Targets:
    """The destinations of one `proxy_pass`. `fixed` is its only one where it has no variables."""

    __slots__ = ("_addresses", "_literal", "_parsed", "_schemes", "_template", "_upstreams", "fixed")

    def __init__(
        self,
        target: Target | None,
        template: Template,
        upstreams: Upstreams,
        span: Span | None,
        *,
        schemes: tuple[str, ...] = HTTP,
    ) -> None:
        self._schemes = schemes
        self._template = template
        self._upstreams = upstreams
        self._parsed: dict[str, Target] = {}
        self._literal: dict[tuple[str, int, bool], Group] = {}
        self._addresses: dict[tuple[str, int], tuple[Sequence[object], Group]] = {}
        self.fixed = None if target is None else Destination(target, upstreams.for_target(target, span))

    def known(self, request: Request) -> Destination | None:
        """Return the destination as the variables name it; its group may be missing. For `$proxy_host` and
        `$proxy_port`."""
        if self.fixed is not None:
            return self.fixed
        try:
            target = self._target(request)
        except ProxyError:
            return None
        return Destination(target, Group(target.name, []))

    def group(self, name: str) -> Group | None:
        """Return the `upstream` block of that name."""
        return self._upstreams.find(name)

    async def find(self, request: Request) -> Destination:
        """Find the destination of a request whose target has variables. Raises `ProxyError` (500, or 502 for a bad
        name)."""
        target = self._target(request)
        group = None if target.unix else self._upstreams.find(target.name)
        if group is not None and not target.port:
            return Destination(target, group)
        if group is None and not target.unix:
            # What another line names in full has been looked up already, as in nginx.
            group = self._upstreams.implicit.get((target.name, target.port or target.default_port))
            if group is not None:
                return Destination(target, group)
        return Destination(target, await self._group(request, target))

    def are_sound(self, request: Request, level: int) -> bool:
        """Return whether the variables make an address, with a port or a group's name; if not, that is in the log.

        Of a unix socket they must make the whole path: no client shall reach one by calling its host "unix".
        """
        text = self._template.evaluate(request)
        try:
            found = parse_target(text, PLAIN)
        except ValueError as error:
            report(request, level, str(error))
            return False
        if found.unix and not found.name.startswith("/"):
            report(request, level, f'invalid host in upstream "{text}"')
            return False
        if not found.unix and not found.port and self.group(found.name) is None:
            report(request, level, f'no port in upstream "{text}"')
            return False
        return True

    def _target(self, request: Request) -> Target:
        url = self._template.evaluate(request)
        found = self._parsed.get(url)
        if found is None:
            try:
                found = parse_target(url, self._schemes)
            except ValueError as error:
                text = str(error)
                if text == "invalid URL prefix":
                    text = f'invalid URL prefix in "{url}"'
                raise _bad(request, text, 500) from None
            if len(self._parsed) >= MOST:
                self._parsed.clear()
            self._parsed[url] = found
        return found

    async def _group(self, request: Request, target: Target) -> Group:
        if not (target.unix or target.port or target.default_port):
            raise _bad(request, f'no port in upstream "{target.name}"', 500)
        try:
            address = target.address
        except ValueError as error:
            raise _bad(request, f'{error} in upstream "{target.host_header}"', 500) from None
        if address.family != "name":
            key = (target.name, address.port, target.unix)
            group = self._literal.get(key)
            if group is None:
                if len(self._literal) >= MOST:
                    self._literal.clear()
                group = self._literal[key] = literal_group(target, [address])
            return group
        found = await addresses_of(request, address.host)
        addresses = [Address("inet6" if ":" in text else "inet", text, address.port) for text in found]
        named = (address.host, address.port)
        known = self._addresses.get(named)
        if known is None or known[0] != addresses:
            if len(self._addresses) >= MOST:
                self._addresses.clear()
            known = self._addresses[named] = (addresses, literal_group(target, addresses, options=FORGIVEN))
        return known[1]


def _bad(request: Request, text: str, status: int) -> ProxyError:
    report(request, ERROR, text)
    return ProxyError(FaultSide.INTERNAL, status, "", "")

"""Whom a trusted proxy speaks for: `set_real_ip_from`, `real_ip_header` (nginx: ngx_http_realip_module)."""

from __future__ import annotations

from functools import lru_cache

from penstock.config.addresses import Network, network, peer_address
from penstock.config.kinds import custom, flag, text
from penstock.config.registry import HTTP_LEVELS, STREAM_LEVELS
from penstock.config.scope import Call, Scope
from penstock.config.settings import Settings, directive, directives, phase
from penstock.config.variables import variable
from penstock.http.request import Request
from penstock.modules.core.forwarded import last_named
from penstock.plan import phases

PAGE = "ngx_http_realip_module.html"


def _sources(call: Call) -> tuple[Network, ...]:
    word = call.args[0]
    try:
        if word.text != "all":
            found = network(word.text)
            if found.trimmed:
                call.compilation.problems.warn(f"low address bits of {word.text} are meaningless", word.span)
            return (found,)
    except ValueError:
        pass  # it is a name
    from penstock.net.names import lookup

    try:
        return tuple(network(address) for address in lookup(word.text))
    except OSError:
        raise call.fail(f'host not found in set_real_ip_from "{word.text}"', word) from None


@lru_cache(maxsize=4096)
def address_and_port(text: str) -> tuple[str, int] | None:
    """Read an address in its plain spelling and its port, 0 where none is given; None for what is no address."""
    for written in (text, f"[{text}]"):
        try:
            found = peer_address(written, 0)
        except ValueError:
            continue
        if found.family in ("inet", "inet6"):
            return found.host, found.port
    return None


class RealIp(Settings):
    """The address a trusted peer names replaces its own, for the time of a request."""

    trusted: tuple[tuple[Network, ...], ...] = directives(
        "set_real_ip_from",
        where=HTTP_LEVELS | STREAM_LEVELS,
        takes=custom(_sources, syntax="address | CIDR | name | unix:"),
        nginx=PAGE,
        doc="Peers that are believed. A name is looked up when the configuration is read.",
    )
    header: str = directive("real_ip_header", where=HTTP_LEVELS, takes=text, default="X-Real-IP", nginx=PAGE)
    recursive: bool = directive(
        "real_ip_recursive",
        where=HTTP_LEVELS,
        takes=flag,
        default=False,
        nginx=PAGE,
        doc="Go back through the list until an address that is not trusted.",
    )

    def finish(self, scope: Scope) -> None:
        """Take the address from the PROXY protocol in streams: there is no header."""
        if scope.context & STREAM_LEVELS:
            self.header = "proxy_protocol"

    @phase(phases.POST_READ, when=lambda self: self.trusted)
    @phase(phases.PREACCESS, when=lambda self: self.trusted)
    def replace(self, request: Request) -> None:
        """Take the client's address from the header, once for a request: at the server's level or at a location's."""
        connection = request.connection
        if connection.peer is not None:
            return
        protocol = connection.proxy_protocol
        if self.header == "proxy_protocol":
            values = [] if protocol is None else [protocol.source_address]
        else:
            values = self._values(request)
        found = self._named(connection.client_address, values)
        if found is None:
            return
        address, port = found
        if protocol is not None and self.header == "proxy_protocol":
            port = protocol.source_port
        connection.peer = connection.client_address, connection.client_port
        connection.client_address, connection.client_port = address, port

    def _values(self, request: Request) -> list[str]:
        """The header's values, the last first. Only of X-Forwarded-For is there more than one."""
        name = self.header.lower()
        values = [value for key, value in request.head.headers if key.lower() == name]
        return values[::-1] if name == "x-forwarded-for" else values[:1]

    def _named(self, address: str, values: list[str]) -> tuple[str, int] | None:
        """Whom `address` says it speaks for; None where it is not trusted, or says nothing that can be used."""
        found = None
        for value in values:
            while self._trusts(address):
                last, value = last_named(value)
                named = address_and_port(last)
                if named is None:
                    return found
                found, address = named, named[0]
                if not self.recursive:
                    return found
                if not value:
                    break
            else:
                return found
        return found

    def _trusts(self, address: str) -> bool:
        return any(each.contains(address) for group in self.trusted for each in group)


@variable("realip_remote_addr")
def realip_remote_addr(request: Request) -> str:
    """Who is connected, whoever is spoken for."""
    connection = request.connection
    address: str = connection.client_address if connection.peer is None else connection.peer[0]
    return address


@variable("realip_remote_port")
def realip_remote_port(request: Request) -> str:
    connection = request.connection
    port: int = connection.client_port if connection.peer is None else connection.peer[1]
    return str(port) if port else ""

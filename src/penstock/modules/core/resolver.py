"""Whom to ask for host names: `resolver`, `resolver_timeout` (nginx: ngx_http_core_module).

Names in the variables of a `proxy_pass`, and `server name resolve`, are looked up through it while requests wait.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from penstock.config.addresses import bracket_hint, peer_address
from penstock.config.kinds import custom, seconds
from penstock.config.registry import HTTP_LEVELS, STREAM_LEVELS
from penstock.config.scope import Call
from penstock.config.settings import Settings, directive
from penstock.config.tree import Word
from penstock.config.values import whole_seconds
from penstock.http.request import Request
from penstock.net.dial import Address
from penstock.net.names import lookup
from penstock.observe.errorlog import ERROR, report
from penstock.upstream.errors import FaultSide, ProxyError
from penstock.upstream.names.unresolved import Unresolved

if TYPE_CHECKING:
    from penstock.upstream.names.resolver import Resolver

PAGE = "ngx_http_core_module.html"
SYNTAX = "address ... [valid=time] [ipv4=on|off] [ipv6=on|off] [status_zone=zone]"
PORT = 53


def parse_resolver(call: Call) -> Resolver:
    """Read the arguments of `resolver`."""
    from penstock.upstream.names.dns import AAAA, A
    from penstock.upstream.names.resolver import Resolver

    servers: list[Address] = []
    valid: float | None = None
    kinds = {"ipv4": A, "ipv6": AAAA}
    asked = dict(kinds)
    for word in call.args:
        name, given, value = word.text.partition("=")
        if not given:
            servers += _servers(call, word)
        elif name in kinds and value in ("on", "off"):
            asked.pop(name, None)
            if value == "on":
                asked[name] = kinds[name]
        elif name == "valid":
            try:
                valid = whole_seconds(value)
            except ValueError:
                raise call.fail(f"invalid parameter: {word.text}", word, hint="a time, such as valid=30s") from None
        elif name != "status_zone":
            raise call.fail(f"invalid parameter: {word.text}", word, hint=f"syntax: resolver {SYNTAX};")
    if not asked:
        raise call.fail('"ipv4" and "ipv6" cannot both be "off"', call.args[-1])
    if not servers:
        raise call.fail("no name servers defined", call.args[0], hint="Docker's own is 127.0.0.11")
    return Resolver(servers, valid=valid, kinds=sorted(asked.values()), log=_log)


def _servers(call: Call, word: Word) -> list[Address]:
    try:
        address = peer_address(word.text, PORT)
    except ValueError as error:
        hint = bracket_hint(word.text)
        raise call.fail(f'{error} in resolver "{word.text}"', word, hint=hint) from None
    if address.family == "unix":
        raise call.fail(f'invalid host in resolver "{word.text}"', word)
    if address.family != "name":
        return [(address.host, address.port)]
    try:
        return [(host, address.port) for host in lookup(address.host)]
    except (OSError, UnicodeError):
        raise call.fail(
            f'host not found in resolver "{word.text}"', word, hint="give the name server by its address"
        ) from None


def _log(text: str) -> None:
    report(None, ERROR, text)


class Resolving(Settings):
    """The name servers of a level, and how long a request waits for them."""

    resolver: Resolver | None = directive(
        "resolver",
        where=HTTP_LEVELS | STREAM_LEVELS,
        takes=custom(parse_resolver, most=None, syntax=SYNTAX),
        nginx=PAGE,
    )
    timeout: float = directive(
        "resolver_timeout",
        where=HTTP_LEVELS | STREAM_LEVELS,
        takes=seconds,
        default=30.0,
        nginx=PAGE,
        shown="30s",
    )


async def addresses_of(request: Request, host: str) -> list[str]:
    """Look up the addresses of a name that a request leads to. Raises `ProxyError`."""
    resolving = request.location[Resolving]
    if resolving.resolver is None:
        report(request, ERROR, f"no resolver defined to resolve {host}")
        raise ProxyError(FaultSide.INTERNAL, 502, "", "")
    try:
        found = await resolving.resolver.addresses(host, resolving.timeout)
    except Unresolved as error:
        report(request, ERROR, str(error))
        raise ProxyError(FaultSide.INTERNAL, 502, "", "") from None
    return list(found.addresses)

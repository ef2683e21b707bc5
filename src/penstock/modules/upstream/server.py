"""The servers of a group: `server` in `upstream` (nginx: ngx_http_upstream_module)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

from penstock.config.addresses import Address, bracket_hint, peer_address
from penstock.config.errors import ConfigError
from penstock.config.registry import STREAM_UPSTREAM, UPSTREAM, command
from penstock.config.scope import Scope
from penstock.config.tree import Directive, Word
from penstock.config.values import number, seconds, whole_seconds
from penstock.modules.upstream.upstream import DRAFT, PAGE, socket_address
from penstock.net.names import lookup
from penstock.upstream.names.refresh import Member
from penstock.upstream.peers.peers import Peer, ServerOptions

LONGEST_ROUTE = 32


@command("server", where=UPSTREAM | STREAM_UPSTREAM, most=None, syntax="address [parameters]", nginx=PAGE)
def server(scope: Scope, directive: Directive) -> None:
    """A server of the group: `host[:port]` or `unix:/path`."""
    draft = scope.data[DRAFT]
    if draft.state_file:
        hint = 'the servers are in its file: add it there, or take "state" out'
        raise ConfigError('"server" is not allowed beside "state"', directive.span, hint=hint)
    draft.servers += 1
    word = directive.args[0]
    options = ServerOptions()
    resolve = False
    service = ""
    for each in directive.args[1:]:
        if each.text == "resolve":
            resolve = True
            continue
        if each.text.startswith("service="):
            service = each.text.removeprefix("service=")
            if not service:
                raise ConfigError("service is empty", each.span)
            continue
        options = parameter(options, each)
        if options.slow_start and draft.slow is None:
            draft.slow = each.span
        if each.text == "backup":
            draft.backups.append(each.span)
    if service and not resolve:
        raise ConfigError(f'service upstream "{word.text}" requires "resolve" parameter', word.span)
    address = _address(word, 0 if scope.context is STREAM_UPSTREAM else 80)
    if service and address.family != "name":
        raise ConfigError(f'service upstream "{word.text}" requires domain name', word.span)
    if service and ":" in word.text:
        raise ConfigError(f'service upstream "{word.text}" may not have port', word.span)
    if not (address.port or service or address.family == "unix"):
        raise ConfigError(f'no port in upstream "{word.text}"', word.span, hint=f"write: server {word.text}:port;")
    if address.family != "name":
        draft.peers.append(Peer(socket_address(address), str(address), word.text, options))
        return
    member = Member(word.text, address.host, address.port, options, service)
    draft.members.append(member)
    if resolve:
        draft.resolved.append((member, word.span))
        return
    addresses = _look_up(word, address)
    peers = [Peer(socket_address(each), str(each), word.text, options) for each in addresses]
    member.begin_with(peers, addresses)
    draft.peers += peers


def _address(word: Word, default_port: int) -> Address:
    try:
        return peer_address(word.text, default_port)
    except ValueError as error:
        raise ConfigError(f'{error} in upstream "{word.text}"', word.span, hint=_hint(word.text)) from None


def _look_up(word: Word, address: Address) -> list[Address]:
    try:
        found = lookup(address.host)
    except (OSError, UnicodeError):
        raise ConfigError(
            f'host not found in upstream "{word.text}"',
            word.span,
            hint='it has no address here and now; with "resolver", "zone" and "resolve" it need not have one',
        ) from None
    return [Address("inet6" if ":" in text else "inet", text, address.port) for text in found]


def _hint(text: str) -> str | None:
    if "://" in text:
        return "a server is an address; the scheme belongs to proxy_pass"
    if "/" in text:
        return "a server has no path; it belongs to proxy_pass"
    return bracket_hint(text)


def parameter(options: ServerOptions, word: Word) -> ServerOptions:
    """Return the options with one parameter more. Raises `ConfigError`."""
    text = word.text
    name, given, value = text.partition("=")
    flags: dict[str, dict[str, Any]] = {"backup": {"backup": True}, "down": {"down": True}, "drain": {"drain": True}}
    if text in flags:
        return replace(options, **flags[text])
    if not given:
        raise ConfigError(f'invalid parameter "{text}"', word.span)
    convert = _PARAMETERS.get(name)
    if convert is not None:
        try:
            return replace(options, **{name: convert(value)})
        except ValueError:
            raise ConfigError(f'invalid parameter "{text}"', word.span) from None
    if name == "route":
        if not value or len(value) > LONGEST_ROUTE:
            raise ConfigError("route is empty" if not value else "route is longer than 32", word.span)
        return replace(options, route=value)
    raise ConfigError(f'invalid parameter "{text}"', word.span)


def _weight(text: str) -> int:
    found = number(text)
    if not found:
        raise ValueError(text)
    return found


_PARAMETERS: dict[str, Callable[[str], Any]] = {
    "weight": _weight,
    "max_conns": number,
    "max_fails": number,
    "fail_timeout": whole_seconds,
    "slow_start": seconds,
}

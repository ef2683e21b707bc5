"""Variables by the client's address: `geo` (nginx: ngx_http_geo_module)."""

from __future__ import annotations

from penstock.config.errors import ConfigError
from penstock.config.registry import HTTP, STREAM, block
from penstock.config.scope import Compilation, Scope
from penstock.config.tree import Directive, Word
from penstock.config.values import Network, network
from penstock.http.fields import all_values
from penstock.http.request import Request
from penstock.modules.core.forwarded import forwarded, is_address
from penstock.modules.rewrite.computed import declare, variable_name
from penstock.modules.rewrite.geo_table import NOWHERE, GeoRanges, Networks, Overlap

PAGE = "ngx_http_geo_module.html"
_OF_HTTP = ("proxy", "proxy_recursive")


class Geo:
    """One `geo` block: its table, and which proxies are believed."""

    __slots__ = ("entries", "networks", "proxies", "ranges", "recursive", "remember")

    def __init__(self) -> None:
        self.networks = Networks()
        self.ranges: GeoRanges | None = None
        self.proxies: list[Network] = []
        self.recursive = False
        self.remember = True
        self.entries = 0


@block("geo", where=HTTP | STREAM, least=1, most=2, syntax="[$address] $variable { ... }", nginx=PAGE)
def geo(scope: Scope, directive: Directive) -> None:
    """A variable whose value depends on the client's address, or on that in another variable."""
    compilation = scope.compilation
    *source, target = directive.args
    variable_name(target)
    address = None
    if source:
        variable_name(source[0])
        address = compilation.variables.template(source[0].text, source[0].span)
    made = Geo()
    for line in directive.block or ():
        with compilation.collecting():
            if scope.context is STREAM and line.name.text in _OF_HTTP:
                raise ConfigError(f'"{line.name.text}" has no meaning here: a stream has no X-Forwarded-For', line.span)
            _line(compilation, made, line)
    table = made.networks if made.ranges is None else made.ranges

    def compute(request: Request) -> str:
        if address is None:
            client: str = request.connection.client_address
        else:
            client = address.evaluate(request)
            if not is_address(client):
                client = ""
        if client and made.proxies and "x-forwarded-for" in request.head.fields:
            values = all_values(request.head.headers, "x-forwarded-for")
            client, _ = forwarded(client, values, made.proxies, recursive=made.recursive)
        return table.find(client or NOWHERE)

    reads = address.names if address is not None else ()
    declare(compilation, target, compute, reads, remember=made.remember)


def _line(compilation: Compilation, made: Geo, line: Directive) -> None:
    key = line.name.text
    if not line.args and line.block is None:
        if key == "ranges":
            if made.entries:
                raise ConfigError('the "ranges" directive must be the first directive inside "geo" block', line.span)
            made.ranges = GeoRanges()
            return
        if key == "proxy_recursive":
            made.recursive = True
            return
        if key == "volatile":
            made.remember = False
            return
    if len(line.args) != 1 or line.block is not None:
        raise ConfigError("invalid number of the geo parameters", line.span, hint="a pair: network value;")
    value = line.args[0]
    if key == "proxy":
        made.proxies.append(_network(compilation, value))
        return
    made.entries += 1
    if made.ranges is not None:
        _range(compilation, made.ranges, line.name, value)
    else:
        _entry(compilation, made.networks, line.name, value)


def _network(compilation: Compilation, word: Word) -> Network:
    try:
        found = network(word.text)
        if found.family in ("all", "unix"):
            raise ValueError("takes an address or a network such as 10.0.0.0/8")
    except ValueError as error:
        raise ConfigError(f'invalid network "{word.text}"', word.span, hint=str(error)) from None
    if found.trimmed:
        compilation.problems.warn(f"low address bits of {word.text} are meaningless", word.span)
    return found


def _entry(compilation: Compilation, table: Networks, key: Word, value: Word) -> None:
    if key.text == "default":
        _put(compilation, table, (False, 32, 0), key, value)
        _put(compilation, table, (True, 128, 0), key, value)
        return
    if key.text == "delete":
        found = _network(compilation, value)
        if not table.remove(found.family == "inet6", found.shift, found.prefix):
            compilation.problems.warn(f'no network "{value.text}" to delete', value.span)
        return
    found = _network(compilation, key)
    _put(compilation, table, (found.family == "inet6", found.shift, found.prefix), key, value)


def _put(compilation: Compilation, table: Networks, place: tuple[bool, int, int], key: Word, value: Word) -> None:
    old = table.put(*place, value.text)
    if old is not None:
        compilation.problems.warn(
            f'duplicate network "{key.text}", value: "{value.text}", old value: "{old}"', key.span
        )


def _range(compilation: Compilation, table: GeoRanges, key: Word, value: Word) -> None:
    problems = compilation.problems
    if key.text == "default":
        if table.default:
            problems.warn(f'duplicate default geo range value: "{value.text}", old value: "{table.default}"', key.span)
        table.default = value.text
        return
    if key.text == "delete":
        if not table.remove(*_bounds(value)):
            problems.warn(f'no address range "{value.text}" to delete', value.span)
        return
    try:
        old = table.put(*_bounds(key), value.text)
    except Overlap as other:
        raise ConfigError(f'range "{key.text}" overlaps "{other}"', key.span) from None
    for before in old:
        problems.warn(f'duplicate range "{key.text}", value: "{value.text}", old value: "{before}"', key.span)


def _bounds(word: Word) -> tuple[int, int]:
    first, dash, last = word.text.partition("-")
    try:
        start, end = network(first), network(last)
        if not dash or {start.family, end.family, start.shift, end.shift} != {"inet", 0}:
            raise ValueError("takes two addresses: 10.0.0.0-10.0.0.9")
        if start.prefix > end.prefix:
            raise ValueError("the first address is the greater one")
        if end.prefix == 0xFFFFFFFF:
            raise ValueError("nginx takes 255.255.255.255 for no address")
    except ValueError as error:
        raise ConfigError(f'invalid range "{word.text}"', word.span, hint=str(error)) from None
    return start.prefix, end.prefix

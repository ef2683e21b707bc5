"""Variables by share of clients: `split_clients` (nginx: ngx_http_split_clients_module)."""

from __future__ import annotations

import re

from penstock.config.errors import ConfigError
from penstock.config.registry import HTTP, STREAM, block
from penstock.config.scope import Call, Scope
from penstock.config.tree import Directive
from penstock.http.request import Request
from penstock.modules.rewrite.computed import declare, variable_name

PAGE = "ngx_http_split_clients_module.html"
_PERCENT = re.compile(r"([0-9]{1,9})(?:\.([0-9]{0,2}))?%", re.ASCII)
_WHOLE = 10_000
"""Hundredths of a percent."""


def murmur2(data: bytes) -> int:
    """Hash with MurmurHash2 by Austin Appleby, 32 bits, seed 0, as nginx has it."""
    mask = 0xFFFFFFFF
    factor = 0x5BD1E995
    length = len(data)
    value = length & mask
    whole = length & ~3
    for at in range(0, whole, 4):
        piece = int.from_bytes(data[at : at + 4], "little") * factor & mask
        piece = (piece ^ piece >> 24) * factor & mask
        value = value * factor & mask ^ piece
    if length != whole:
        value = (value ^ int.from_bytes(data[whole:], "little")) * factor & mask
    value = (value ^ value >> 13) * factor & mask
    return value ^ value >> 15


@block("split_clients", where=HTTP | STREAM, least=2, most=2, syntax="string $variable { ... }", nginx=PAGE)
def split_clients(scope: Scope, directive: Directive) -> None:
    """A variable that has each value for a share of the texts: `0.5% .one; * "";`."""
    source = Call(scope, directive).template(directive.args[0])
    target = directive.args[1]
    variable_name(target)
    parts: list[tuple[int | None, str]] = []
    with scope.compilation.collecting():
        parts = _parts(directive)

    def compute(request: Request) -> str:
        value = murmur2(source.evaluate(request).encode("latin-1"))
        return next((text for below, text in parts if below is None or value < below), "")

    declare(scope.compilation, target, compute, source.names, remember=True)


def _parts(directive: Directive) -> list[tuple[int | None, str]]:
    """Pairs of the bound below which hashes have a value (None: the rest) and that value."""
    parts: list[tuple[int | None, str]] = []
    total = bound = 0
    for line in directive.block or ():
        if len(line.args) != 1 or line.block is not None:
            raise ConfigError("invalid number of the split_clients parameters", line.span, hint="a pair: share value;")
        share = _share(line)
        total = total + share if share else _WHOLE
        if total > _WHOLE:
            raise ConfigError("percent total is greater than 100%", line.span)
        if total == _WHOLE:
            parts.append((None, line.args[0].text))
        else:
            bound += share * 0xFFFFFFFF // _WHOLE
            parts.append((bound, line.args[0].text))
    return parts


def _share(line: Directive) -> int:
    """In hundredths of a percent; 0 for `*`."""
    text = line.name.text
    if text == "*":
        return 0
    match = _PERCENT.fullmatch(text)
    share = int(match[1]) * 100 + int((match[2] or "").ljust(2, "0")) if match else 0
    if not share:
        raise ConfigError(
            f'invalid percent value "{text}"', line.name.span, hint="a share such as 0.5%, or * for the rest"
        )
    return share

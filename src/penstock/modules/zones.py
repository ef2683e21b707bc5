"""Zones: memory under a name that a module's workers share, kept over reloads (`limit_req_zone`, `limit_conn_zone`)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from penstock.config.errors import ConfigError
from penstock.config.scope import Compilation, Scope
from penstock.config.tree import Directive, Word
from penstock.config.values import size as to_size
from penstock.config.variables import Template
from penstock.plan.zone import Zone

ZONES = "zones"
"""The key of the plan's `shared` under which its zones are, by name."""

SMALLEST = 8 * 4096


@dataclass(slots=True)
class Shared:
    """A zone of one configuration: what it belongs to, the key whose values it holds, and its memory."""

    module: str
    name: str
    key: Template
    rate: int = 0
    """Requests a second, in thousandths, for `limit_req`."""
    zone: Zone | None = None

    @property
    def memory(self) -> Zone:
        """The table; there once the configuration has been read."""
        assert self.zone is not None
        return self.zone


class Wanted:
    """A zone by its name, which may be defined below its use."""

    __slots__ = ("found", "module", "name", "word")

    def __init__(self, scope: Scope, module: str, name: str, word: Word) -> None:
        self.module = module
        self.name = name
        self.word = word
        self.found: Shared | None = None
        scope.compilation.defer(lambda: self._find(scope.compilation))

    def _find(self, compilation: Compilation) -> None:
        self.found = zones(compilation).get(self.name)
        if self.found is None:
            raise ConfigError(
                f'zero size shared memory zone "{self.name}"',
                self.word.span,
                hint=f"define it: {self.module}_zone $binary_remote_addr zone={self.name}:10m ...;",
            )
        if self.found.module != self.module:
            raise ConfigError(
                f'the shared memory zone "{self.name}" is already declared for a different use', self.word.span
            )

    @property
    def zone(self) -> Shared:
        """What the name stands for."""
        assert self.found is not None
        return self.found


def zones(compilation: Compilation) -> dict[str, Shared]:
    """The zones of the configuration that is being read."""
    found: dict[str, Shared] = compilation.shared.setdefault(ZONES, {})
    return found


def name_and_size(word: Word) -> tuple[str, int]:
    """The parts of `zone=name:size`."""
    name, colon, text = word.text.removeprefix("zone=").partition(":")
    try:
        if not colon:
            raise ValueError(word.text)
        size = to_size(text)
    except ValueError:
        raise ConfigError(f'invalid zone size "{word.text}"', word.span, hint="write: zone=name:10m") from None
    if size < SMALLEST:
        raise ConfigError(f'zone "{name}" is too small', word.span, hint="it takes at least 32k")
    return name, size


def define(scope: Scope, directive: Directive, module: str, key: Template, *, name: str, size: int) -> Shared:
    """Add a zone. Its memory is that of the configuration in force where name, size and use are the same."""
    known = zones(scope.compilation)
    other = known.get(name)
    if other is not None:
        raise ConfigError(
            f'{directive.name.text} "{name}" is already bound to key "{other.key.text}"', directive.span
        )
    made = known[name] = Shared(module, name, key)

    def take_memory() -> None:
        before: dict[str, Any] = scope.compilation.previous.get(ZONES, {})
        old = before.get(name)
        if old is None or old.module != module or old.memory.size != size:
            made.zone = Zone(name, size)
            return
        if old.key.text != key.text:
            raise ConfigError(
                f'{module} "{name}" uses the "{key.text}" key while previously it used the "{old.key.text}" key',
                directive.span,
                hint="give the zone another name",
            )
        made.zone = old.zone

    scope.compilation.defer(take_memory)
    return made

"""Zones: memory under a name that a module's workers share, kept over reloads (`limit_req_zone`, `limit_conn_zone`)."""

from __future__ import annotations

from dataclasses import dataclass

from penstock.config.errors import ConfigError
from penstock.config.registry import STREAM
from penstock.config.scope import Call, Compilation, Scope
from penstock.config.tree import Directive, Word
from penstock.config.values import size as to_size
from penstock.config.variables import Template
from penstock.modules.access.places import ZONES
from penstock.modules.fleet.digests import Digests
from penstock.modules.fleet.membership import Fleet, fleet_of
from penstock.shared.zone import Zone

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
    fleet: Fleet | None = None
    """Who else counts: there once the configuration has been read, where the zone says `sync`."""
    digests: Digests | None = None
    """What stands for a key among all machines, where the zone says `sync`."""

    @property
    def memory(self) -> Zone:
        """Return the table; there once the configuration has been read."""
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
        """Return the zone that the name stands for."""
        assert self.found is not None
        return self.found


def zones(compilation: Compilation) -> dict[str, Shared]:
    """Return the zones of the configuration that is being read."""
    return compilation.shared.setdefault(ZONES, {})


def name_and_size(word: Word) -> tuple[str, int]:
    """Split `zone=name:size`."""
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


def zone_words(scope: Scope, directive: Directive) -> tuple[Template, str, int, Word | None]:
    """Read `key zone=name:size [sync]`: the key, the name, the size, and the word `sync`. Raises `ConfigError`."""
    key = Call(scope, directive).template(directive.args[0])
    name, size, sync = "", 0, None
    for word in directive.args[1:]:
        if word.text.startswith("zone=") and not name:
            name, size = name_and_size(word)
        elif word.text == "sync" and sync is None:
            sync = word
        else:
            raise ConfigError(f'invalid parameter "{word.text}"', word.span)
    if not name:
        raise ConfigError(f'"{directive.name.text}" must have "zone" parameter', directive.span)
    return key, name, size, sync


def define(
    scope: Scope,
    directive: Directive,
    module: str,
    key: Template,
    *,
    name: str,
    size: int,
    sync: Word | None = None,
) -> Shared:
    """Add a zone, with the word `sync` if that was given. Its memory is that of the configuration in force where name,
    size and use are the same."""
    known = zones(scope.compilation)
    other = known.get(name)
    if other is not None:
        raise ConfigError(
            f'{directive.name.text} "{name}" is already bound to key "{other.key.text}"', directive.span
        )
    made = known[name] = Shared(module, name, key)
    if sync is not None:
        # At once, as handlers are chosen before what is deferred.
        made.digests = Digests(f"{module} {'stream' if scope.context & STREAM else 'http'} {name}")

    def join() -> None:
        if sync is not None:
            made.fleet = fleet_of(scope, sync)

    def take_memory() -> None:
        before = scope.compilation.previous.get(ZONES) or {}
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
    scope.compilation.defer(join)
    return made

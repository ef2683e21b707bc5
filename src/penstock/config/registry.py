"""What directives there are: every module declares its own, nothing is accepted that is not declared here."""

from __future__ import annotations

import enum
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, TypeAlias

if TYPE_CHECKING:
    from penstock.config.scope import Scope
    from penstock.config.tree import Directive


class Context(enum.IntFlag):
    """Where a directive may stand. Contexts combine with `|`."""

    MAIN = enum.auto()
    EVENTS = enum.auto()
    HTTP = enum.auto()
    SERVER = enum.auto()
    LOCATION = enum.auto()
    IF_SERVER = enum.auto()
    IF_LOCATION = enum.auto()
    LIMIT_EXCEPT = enum.auto()
    UPSTREAM = enum.auto()


MAIN, EVENTS, HTTP, SERVER = Context.MAIN, Context.EVENTS, Context.HTTP, Context.SERVER
LOCATION, LIMIT_EXCEPT, UPSTREAM = Context.LOCATION, Context.LIMIT_EXCEPT, Context.UPSTREAM
IF_SERVER, IF_LOCATION = Context.IF_SERVER, Context.IF_LOCATION
HTTP_LEVELS = HTTP | SERVER | LOCATION


class Verdict(enum.Enum):
    """What Penstock does with a directive; the generated reference says which and why."""

    IMPLEMENTED = "implemented"
    INERT = "inert"
    REFUSED = "refused"


@dataclass(frozen=True, slots=True)
class Spec:
    """One directive in one set of contexts.

    `least` and `most` bound the number of arguments (`most` None: any number). `handle` is called with the
    scope and the directive once context, block and arity have been checked; it may raise `ConfigError`.
    """

    name: str
    where: Context
    handle: Callable[[Scope, Directive], None]
    least: int = 1
    most: int | None = 1
    block: bool = False
    verdict: Verdict = Verdict.IMPLEMENTED
    reason: str = ""
    syntax: str = ""
    default: str | None = None
    nginx: str = ""
    module: str = ""
    doc: str = ""

    def takes(self, count: int) -> bool:
        return self.least <= count and (self.most is None or count <= self.most)


class Registry:
    """Every known directive. A name may have several specs, in different contexts."""

    def __init__(self) -> None:
        self._specs: dict[str, list[Spec]] = {}

    def add(self, spec: Spec) -> None:
        known = self._specs.setdefault(spec.name, [])
        for other in known:
            if other.where & spec.where:
                raise AssertionError(f"{spec.name} is declared twice in {other.where & spec.where!r}")
        known.append(spec)

    def find(self, name: str, context: Context) -> Spec | None:
        for spec in self._specs.get(name, ()):
            if spec.where & context:
                return spec
        return None

    def specs(self, name: str) -> list[Spec]:
        return self._specs.get(name, [])

    def names(self) -> list[str]:
        return sorted(self._specs)

    def __contains__(self, name: str) -> bool:
        return name in self._specs

    def __iter__(self) -> Iterator[Spec]:
        for name in self.names():
            yield from self._specs[name]


REGISTRY = Registry()


Handle: TypeAlias = "Callable[[Scope, Directive], None]"


def block(
    name: str, *, where: Context, least: int = 0, most: int | None = 0, syntax: str = "", nginx: str = ""
) -> Callable[[Handle], Handle]:
    """Declare a block directive; the decorated function compiles it."""
    return lambda handle: _declared(Spec(name, where, handle, least, most, True, syntax=syntax, nginx=nginx))


def command(
    name: str, *, where: Context, least: int = 1, most: int | None = 1, syntax: str = "", nginx: str = ""
) -> Callable[[Handle], Handle]:
    """Declare a simple directive whose effect is more than a setting, such as `set` or `rewrite`."""
    return lambda handle: _declared(Spec(name, where, handle, least, most, syntax=syntax, nginx=nginx))


def _declared(spec: Spec) -> Handle:
    handle = spec.handle
    REGISTRY.add(replace(spec, module=handle.__module__.rpartition(".")[2], doc=handle.__doc__ or ""))
    return handle


def inert(
    *names: str,
    where: Context,
    reason: str,
    least: int = 1,
    most: int | None = None,
    nginx: str = "",
    module: str,
) -> None:
    """Accept directives without effect. `reason` says to a person why nothing is lost."""
    for name in names:
        REGISTRY.add(
            Spec(
                name,
                where,
                _accept,
                least,
                most,
                verdict=Verdict.INERT,
                reason=reason,
                nginx=nginx,
                module=module,
            )
        )


def refused(*names: str, where: Context, advice: str, module: str, nginx: str = "") -> None:
    """Refuse directives by name. `advice` says what to do instead."""
    for name in names:
        REGISTRY.add(
            Spec(
                name,
                where,
                _accept,
                0,
                None,
                verdict=Verdict.REFUSED,
                reason=advice,
                nginx=nginx,
                module=module,
            )
        )


def _accept(scope: Scope, directive: Directive) -> None:
    """Nothing to do: the verdict says why."""

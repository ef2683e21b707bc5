"""What directives there are: every module declares its own, nothing is accepted that is not declared here."""

from __future__ import annotations

import enum
import sys
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from fnmatch import fnmatchcase
from functools import partial
from typing import TYPE_CHECKING, TypeAlias

from penstock.config.errors import ConfigError, duplicate
from penstock.config.key import Key
from penstock.config.on_demand import ON_DEMAND

if TYPE_CHECKING:
    from penstock.config.kinds import Kind
    from penstock.config.scope import Scope
    from penstock.config.source import Span
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
    STREAM = enum.auto()
    STREAM_SERVER = enum.auto()
    STREAM_UPSTREAM = enum.auto()

    @property
    def shown(self) -> str:
        """Return the name of a single context as a person reads it."""
        name = (self.name or "").lower()
        outer, bar, inner = name.partition("_")
        if not bar or self is Context.LIMIT_EXCEPT:
            return name
        return f"if in {inner}" if outer == "if" else f"{inner} in {outer}"


MAIN, EVENTS, HTTP, SERVER = Context.MAIN, Context.EVENTS, Context.HTTP, Context.SERVER
LOCATION, LIMIT_EXCEPT, UPSTREAM = Context.LOCATION, Context.LIMIT_EXCEPT, Context.UPSTREAM
IF_SERVER, IF_LOCATION = Context.IF_SERVER, Context.IF_LOCATION
STREAM, STREAM_SERVER, STREAM_UPSTREAM = Context.STREAM, Context.STREAM_SERVER, Context.STREAM_UPSTREAM
HTTP_LEVELS = HTTP | SERVER | LOCATION
STREAM_LEVELS = STREAM | STREAM_SERVER


def _never(directive: Directive) -> bool:
    return False


class Verdict(enum.Enum):
    """The verdict on a directive: what Penstock does with it; the generated reference says which and why."""

    IMPLEMENTED = "implemented"
    INERT = "inert"
    REFUSED = "refused"


@dataclass(frozen=True, slots=True)
class Spec:
    """A directive in one set of contexts.

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
    idle: Callable[[Directive], bool] = _never
    """Where the directive is refused: whether this one asks for nothing, and is accepted all the same."""

    def takes(self, count: int) -> bool:
        """Return whether so many arguments are allowed."""
        return self.least <= count and (self.most is None or count <= self.most)


@dataclass(frozen=True, slots=True)
class Stranger:
    """Directives of a module by others, named by patterns (`nchan_*`): refused wherever they stand, with advice.

    With one of the words of `off` alone they ask for nothing. `what` says to a person what they are.
    """

    patterns: tuple[str, ...]
    what: str
    advice: str
    off: frozenset[str] = frozenset()

    def idle(self, directive: Directive) -> bool:
        """Return whether this line asks for nothing, so that it may stand."""
        return asks_for_nothing(directive, self.off)


class Registry:
    """The table of every directive. A name may have several specs, in different contexts.

    Modules that are on demand declare theirs when one of them is first asked for; who asks does not see that.
    """

    def __init__(self) -> None:
        self._specs: dict[str, list[Spec]] = {}
        self._strangers: list[Stranger] = []
        self._arguments_of: Callable[[str], Kind | None] = _unknown

    def add(self, spec: Spec) -> None:
        """Add a declaration. Raises `AssertionError` where the name has one in the same context."""
        known = self._specs.setdefault(spec.name, [])
        for other in known:
            if other.where & spec.where:
                raise AssertionError(f"{spec.name} is declared twice in {other.where & spec.where!r}")
        known.append(self._with_arguments(spec))

    def find(self, name: str, context: Context) -> Spec | None:
        """Find the declaration of a name that holds in a context; None where it may not stand."""
        while True:
            for spec in self._specs.get(name, ()):
                if spec.where & context:
                    return spec
            if not _more(name):
                return None

    def give_arguments(self, arguments_of: Callable[[str], Kind | None]) -> None:
        """Say what directives without effect take, by name, which then is looked at."""
        self._arguments_of = arguments_of
        for specs in self._specs.values():
            specs[:] = [self._with_arguments(spec) for spec in specs]

    def _with_arguments(self, spec: Spec) -> Spec:
        handle = spec.handle
        if not isinstance(handle, _Accept) or spec.verdict is not Verdict.INERT or handle.takes is not None:
            return spec
        takes = self._arguments_of(spec.name)
        if takes is None:
            return spec
        handle = replace(handle, takes=takes)
        return replace(spec, handle=handle, least=takes.least, most=takes.most, syntax=spec.syntax or takes.syntax)

    def add_stranger(self, stranger: Stranger) -> None:
        """Have names refused by patterns that are declared nowhere."""
        self._strangers.append(stranger)

    @property
    def strangers(self) -> list[Stranger]:
        """Return all that are known by patterns."""
        ON_DEMAND.bring_all()
        return self._strangers

    def stranger(self, name: str) -> Stranger | None:
        """Return what an unknown name is known as: the first pattern that fits decides."""
        for each in self.strangers:
            if any(fnmatchcase(name, pattern) for pattern in each.patterns):
                return each
        return None

    def specs(self, name: str) -> list[Spec]:
        """List all declarations of a name, each for contexts of its own."""
        while _more(name):
            pass
        return self._specs.get(name, [])

    def names(self) -> list[str]:
        """List all names, sorted."""
        ON_DEMAND.bring_all()
        return sorted(self._specs)

    def __contains__(self, name: str) -> bool:
        try:
            while name not in self._specs:
                if not _more(name):
                    return False
        except ConfigError:
            return False  # who needs it is told
        return True

    def __iter__(self) -> Iterator[Spec]:
        for name in self.names():
            yield from self._specs[name]


def _more(name: str) -> bool:
    """Import what may declare a directive; False where there is nothing more."""
    return ON_DEMAND.bring(name) or ON_DEMAND.bring_rare()


def _unknown(name: str) -> None:
    """Nobody has said yet what directives without effect take."""


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


def module_of(dotted: str) -> str:
    """Name the nginx module of a file: its `MODULE`, where the file alone does not say it."""
    name: str = getattr(sys.modules[dotted], "MODULE", dotted.rpartition(".")[2])
    return name


def _declared(spec: Spec) -> Handle:
    handle = spec.handle
    REGISTRY.add(replace(spec, module=module_of(handle.__module__), doc=handle.__doc__ or ""))
    return handle


def inert(
    *names: str,
    where: Context,
    reason: str,
    least: int = 1,
    most: int | None = None,
    nginx: str = "",
    module: str,
    block: bool = False,
    again: Iterable[str] = (),
    told: str = "",
    off: Iterable[str] = ("off",),
) -> None:
    """Accept directives without effect, those with a `block` whatever stands in it. `reason` says to a person why
    nothing is lost.

    `again` names those of them that may stand more than once at a level. Where something is lost, `told` says what:
    the first directive of the file that wants it, with other words than those of `off`, gets a warning.
    """
    repeated = frozenset(again)
    assert repeated <= frozenset(names), repeated
    for name in names:
        REGISTRY.add(
            Spec(
                name,
                where,
                _Accept(name not in repeated, told, frozenset(off)),
                least,
                most,
                block,
                Verdict.INERT,
                reason=reason,
                nginx=nginx,
                module=module,
            )
        )


def refused(
    *names: str,
    where: Context,
    advice: str,
    module: str,
    nginx: str = "",
    off: Iterable[str] = (),
    again: Iterable[str] = (),
) -> None:
    """Refuse directives by name. `advice` says what to do instead.

    With one of the words of `off` alone such a directive asks for nothing, and is accepted; `again` names those that
    may say so more than once at a level.
    """
    repeated = frozenset(again)
    for name in names:
        REGISTRY.add(
            Spec(
                name,
                where,
                _Accept(name not in repeated, "", frozenset(off)),
                0,
                None,
                verdict=Verdict.REFUSED,
                reason=advice,
                nginx=nginx,
                module=module,
                idle=partial(asks_for_nothing, off=frozenset(off)),
            )
        )


_ACCEPTED: Key[dict[str, Span]] = Key("accepted")
_TOLD: Key[set[str]] = Key("told")


@dataclass(frozen=True, slots=True)
class _Accept:
    """Do nothing: the verdict says why. What stands twice where it may not is refused, as it is in nginx."""

    once: bool
    told: str
    off: frozenset[str]
    takes: Kind | None = None

    def __call__(self, scope: Scope, directive: Directive) -> None:
        name, span = directive.name.text, directive.span
        if self.once:
            given = scope.data.setdefault(_ACCEPTED, {})
            if name in given:
                raise duplicate(name, span, given[name])
            given[name] = span
        if self.takes is not None:
            self.takes.parse(scope.call(directive))
        if self.told and not asks_for_nothing(directive, self.off):
            told = scope.compilation.shared.setdefault(_TOLD, set())
            if self.told not in told:
                told.add(self.told)
                scope.compilation.problems.warn(f'"{name}" has no effect: {self.told}', span)


def strangers(*patterns: str, what: str, advice: str, off: Iterable[str] = ()) -> None:
    """Refuse whatever fits these patterns and is declared nowhere. `advice` says what to do instead."""
    REGISTRY.add_stranger(Stranger(patterns, what, advice, frozenset(off)))


def asks_for_nothing(directive: Directive, off: frozenset[str]) -> bool:
    """Return whether a directive has one of these words alone, which switch it off."""
    return len(directive.args) == 1 and directive.args[0].text.lower() in off and directive.block is None

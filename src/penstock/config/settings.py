"""Declaring settings: name, arguments, contexts, default and inheritance beside the code that uses them.

A module's settings are a class:

    class Access(Settings):
        \"\"\"First rule that matches decides.\"\"\"
        rules: tuple[Rule, ...] = directives("allow", "deny", where=..., takes=custom(_rule), inherit=WHOLE)

        @phase(ACCESS, when=lambda access: access.rules)
        def decide(self, request: Request) -> Answer | None: ...

An instance is one location's merged values. Where a level gives nothing of its own it shares its parent's
instance, so a thousand locations cost one.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING, Any, ClassVar, Self, TypeAlias, TypeVar

from penstock.config.errors import duplicate
from penstock.config.kinds import Kind
from penstock.config.registry import REGISTRY, Context, Spec, Verdict, module_of
from penstock.config.scope import Call, Scope
from penstock.config.tree import Directive

if TYPE_CHECKING:
    from penstock.config.source import Span


T = TypeVar("T")


class Inherit(Enum):
    """VALUE: the nearest level that gives one. WHOLE: the same for a list, nothing is added to an outer list.
    NOT: a level's own value only. INNER: passed only into the `if` and `limit_except` blocks of the same location."""

    VALUE = "value"
    WHOLE = "whole"
    NOT = "not"
    INNER = "inner"


# Any: the types of values are known to the class that declares the directive, and to nobody here.
Again: TypeAlias = "Callable[[Any, Any], Any]"
"""What a directive means that stands again at its level: from the value so far and the one of this line."""


class Duplicate(Exception):
    """Raised by an `Again`: with this value so far, the directive can not stand a second time."""


def last(old: object, new: T) -> T:
    """Return the last value: the last line counts."""
    return new


def added(old: tuple[T, ...], new: tuple[T, ...]) -> tuple[T, ...]:
    """Return what the lines list adds up, in their order."""
    return (*old, *new)


def united(old: frozenset[str], new: frozenset[str]) -> frozenset[str]:
    """Return what the lines name adds up."""
    return old | new


VALUE, WHOLE, NOT, INNER = Inherit.VALUE, Inherit.WHOLE, Inherit.NOT, Inherit.INNER


@dataclass(slots=True)
class Field:
    """An attribute of a settings class and the directive (or directives) that set it."""

    names: tuple[str, ...]
    where: Context
    takes: Kind
    default: object
    inherit: Inherit
    many: bool
    nginx: str
    shown_default: str | None
    doc: str
    inert: str = ""
    again: Again | None = None
    attribute: str = ""

    def passes(self, inside: bool) -> bool:
        """Return whether a level below inherits it; `inside` when that level is an `if` or `limit_except` block."""
        return self.inherit in (VALUE, WHOLE) or (inside and self.inherit is INNER)


# Any: what is returned stands for a value of the type that the attribute is declared with.
def directive(
    name: str,
    *,
    where: Context,
    takes: Kind,
    default: object = None,
    inherit: Inherit = VALUE,
    nginx: str = "",
    shown: str | None = None,
    doc: str = "",
    inert: str = "",
    again: Again | None = None,
) -> Any:
    """Declare a directive with one value at a level. `shown` is the default as the reference shows it, `inert`
    the reason where it is read but not obeyed. A second line is refused, unless `again` says what both come to.

    In a family (`class Proxy(Passing, prefix="proxy")`) a `*` in the name stands for the prefix.
    """
    return Field((name,), where, takes, default, inherit, False, nginx, shown, doc, inert, again)


def directives(
    *names: str,
    where: Context,
    takes: Kind,
    default: object = (),
    inherit: Inherit = WHOLE,
    nginx: str = "",
    shown: str | None = None,
    doc: str = "",
    inert: str = "",
) -> Any:
    """Declare a directive that may be repeated; the attribute is a tuple of the values in their order."""
    return Field(names, where, takes, default, inherit, True, nginx, shown, doc, inert)


class Frozen(AttributeError):
    """Raised for an attempt to change settings that are finished."""


class Settings:
    """The base of every module's settings. Attributes are set by `merge` and in `finish`, and never change after.

    Locations, plans and requests share instances: what changes while it serves belongs to a worker, not to these.
    """

    fields: ClassVar[dict[str, Field]] = {}
    handlers: ClassVar[list[tuple[int, str, Callable[[Any], object]]]] = []
    levels: ClassVar[Context]
    """Where any of its directives may stand."""
    origins: dict[str, list[Span]]
    finished: bool
    lacks: ClassVar[frozenset[str]] = frozenset()
    """Attributes of a family whose directives this member of it does not have; they keep their defaults."""

    def __init_subclass__(cls, prefix: str = "", abstract: bool = False, where: Context | None = None) -> None:
        """Declare what the class holds. `where`: those of its family (`*` in their names) stand there, and not where
        the family says."""
        fields: dict[str, Field] = {}
        handlers: list[tuple[int, str, Callable[[Any], object]]] = []
        for base in reversed(cls.__mro__):
            if base is not cls:
                fields.update(vars(base).get("fields", {}))
            for attribute, value in tuple(vars(base).items()):
                if isinstance(value, Field):
                    value.attribute = attribute
                    fields[attribute] = value
                    # Every instance has its own; CPython is slow to read what its class has too.
                    delattr(cls, attribute)
                for number, when in getattr(value, "phases", ()):
                    handlers.append((number, attribute, when))
        cls.fields = fields
        cls.handlers = handlers
        cls.levels = Context(0)
        if abstract:
            return
        for field in fields.values():
            if field.attribute in cls.lacks:
                continue
            for name in field.names:
                place = where if where and "*" in name else field.where
                cls.levels |= place
                _register(cls, field, name.replace("*", prefix), place)
        if cls not in KINDS:
            KINDS.append(cls)

    @classmethod
    def merge(cls, scope: Scope) -> Self:
        """Return the values in force at `scope`."""
        own = scope.own.get(cls)
        parent = scope.parent.settings(cls) if scope.parent is not None else None
        inside = scope.inside
        if parent is not None and not own and not parent.keeps_to_itself(inside):
            return parent
        made = cls()
        made.origins = {}
        own_origins = scope.origins.get(cls, {})
        values = made.__dict__
        for attribute, field in cls.fields.items():
            if own and attribute in own:
                value = own[attribute]
                values[attribute] = tuple(value) if field.many else value
                made.origins[attribute] = own_origins[attribute]
            elif parent is not None and field.passes(inside):
                values[attribute] = parent.__dict__[attribute]
                if attribute in parent.origins:
                    made.origins[attribute] = parent.origins[attribute]
            else:
                values[attribute] = field.default
        with scope.compilation.collecting():
            made.finish(scope)
        return made

    def seal(self) -> None:
        """Let nothing be set any more."""
        self.__dict__["finished"] = True

    # Only setting passes here: CPython reads attributes as quickly as without it.
    def __setattr__(self, attribute: str, value: object) -> None:
        if "finished" in self.__dict__:
            raise Frozen(f"{type(self).__name__}.{attribute} can not be set: the settings of a level are finished")
        super().__setattr__(attribute, value)

    def keeps_to_itself(self, inside: bool) -> bool:
        """Return whether a level below must not share this instance: something here is not inherited."""
        return any(not self.fields[attribute].passes(inside) for attribute in self.origins)

    def finish(self, scope: Scope) -> None:
        """Derive what depends on several values. May raise `ConfigError`."""

    def origin(self, attribute: str) -> Span | None:
        """Return where the value in force was written; None for a default."""
        spans = self.origins.get(attribute)
        return spans[0] if spans else None


KINDS: list[type[Settings]] = []


# Any: `when` takes the class that the method is in, and the method stays what it is.
def phase(
    number: int, *, when: Callable[[Any], object] = bool, later: bool = False
) -> Callable[[Any], Any]:
    """Mark a method of a `Settings` class as a handler of a phase, in the locations where `when(settings)` holds.
    `later`: it is a judge that may answer by a `Later`."""

    def mark(method: Any) -> Any:
        method.phases = [*getattr(method, "phases", ()), (number, when)]
        method.later = later
        return method

    return mark


def _register(cls: type[Settings], field: Field, name: str, where: Context) -> None:
    def handle(scope: Scope, directive: Directive) -> None:
        attribute = field.attribute
        own = scope.own.setdefault(cls, {})
        spans = scope.origins.setdefault(cls, {}).setdefault(attribute, [])
        standing = not field.many and attribute in own
        if standing and field.again is None:
            raise duplicate(name, directive.span, spans[0])
        value = field.takes.parse(Call(scope, directive))
        if field.many:
            own.setdefault(attribute, []).append(value)
        elif standing and field.again is not None:
            try:
                own[attribute] = field.again(own[attribute], value)
            except Duplicate:
                raise duplicate(name, directive.span, spans[0]) from None
        else:
            own[attribute] = value
        spans.append(directive.span)

    shown = field.shown_default
    REGISTRY.add(
        Spec(
            name,
            where,
            handle,
            field.takes.least,
            field.takes.most,
            verdict=Verdict.INERT if field.inert else Verdict.IMPLEMENTED,
            reason=field.inert,
            syntax=field.takes.syntax,
            default=shown if shown is not None else _shown(field.default),
            nginx=field.nginx or getattr(cls, "page", ""),
            module=module_of(cls.__module__),
            doc=field.doc or cls.__doc__ or "",
        )
    )


def _shown(default: object) -> str | None:
    if default is None or default == () or isinstance(default, (frozenset, dict)):
        return None
    if isinstance(default, bool):
        return "on" if default else "off"
    return str(default)

"""One block of the configuration while it is compiled, and the walk that hands each directive to its declaration."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any, TypeVar

from penstock.config.errors import ConfigError, Problems, suggest
from penstock.config.key import KeyedValues
from penstock.config.registry import REGISTRY, Context, Spec, Verdict
from penstock.config.variables import Template, VariableTable
from penstock.config.vocabulary import HTTP_WORDS, Vocabulary

if TYPE_CHECKING:
    from penstock.config.settings import Settings
    from penstock.config.source import Span
    from penstock.config.tree import Directive, Word

S = TypeVar("S", bound="Settings")


class Compilation:
    """The state that all scopes of one configuration share.

    `prefix` is where logs and the pid file are relative to, `folder` (the main file's) where includes and
    certificates are. `shared` holds what modules gather across the file, by their keys; `previous` what they gathered
    for the configuration that this one is to succeed.
    """

    def __init__(
        self,
        problems: Problems,
        *,
        prefix: str,
        folder: str,
        previous: KeyedValues | None = None,
        words: Vocabulary = HTTP_WORDS,
    ) -> None:
        self.problems = problems
        self.prefix = prefix
        self.folder = folder
        self.variables = VariableTable(words)
        self.shared = KeyedValues()
        self.previous = KeyedValues() if previous is None else previous
        self._later: list[Callable[[], None]] = []
        self._beside: list[Compilation] = []

    def beside(self, words: Vocabulary, previous: KeyedValues | None) -> Compilation:
        """Return the state of a part of the file in which names mean other things: it has variables, groups, zones and
        log formats of its own. It is finished with this one."""
        made = Compilation(
            self.problems, prefix=self.prefix, folder=self.folder, previous=previous, words=words
        )
        self._beside.append(made)
        return made

    def defer(self, action: Callable[[], None]) -> None:
        """Run `action` when the whole file has been read; a `ConfigError` it raises is collected."""
        self._later.append(action)

    def finish(self) -> None:
        """Run what was deferred (and what that defers), then bind every template to the variables."""
        every = (self, *self._beside)
        while any(each._later for each in every):
            for each in every:
                actions, each._later = each._later, []
                for action in actions:
                    with self.collecting():
                        action()
        self._beside = []
        for each in every:
            each.previous = KeyedValues()  # or each plan would keep the one before it, back to the first
            each.variables.bind(self.problems)

    def collecting(self) -> Collecting:
        """Return a `with` block in which a `ConfigError` becomes one of the problems."""
        return Collecting(self.problems)

    def logs_path(self, path: str) -> str:
        """Return a path relative to the prefix, as nginx resolves logs, pid files and `root`."""
        return below(self.prefix, path)

    def conf_path(self, path: str) -> str:
        """Return a path relative to the configuration's folder, as nginx resolves includes and certificates."""
        return below(self.folder, path)


def below(folder: str, path: str) -> str:
    """Join paths as nginx does: a final slash of the path stays."""
    if path.startswith("/"):
        return path
    return f"{folder.rstrip('/')}/{path}"


class Collecting:
    """A `with` block that collects one `ConfigError` raised in it."""

    __slots__ = ("problems",)

    def __init__(self, problems: Problems) -> None:
        self.problems = problems

    def __enter__(self) -> None:
        return None

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> bool:
        if not isinstance(error, ConfigError):
            return False
        self.problems.add(error)
        return True


UPSTREAMS = Context.UPSTREAM | Context.STREAM_UPSTREAM
INSIDE = Context.IF_LOCATION | Context.IF_SERVER | Context.LIMIT_EXCEPT


class Scope:
    """A level: `main`, `http`, a `server`, a `location`, an `if`, an `upstream`.

    `own` holds the values given at this very level, `data` whatever a module wants to remember of it.
    """

    def __init__(
        self,
        compilation: Compilation,
        context: Context,
        parent: Scope | None = None,
        directive: Directive | None = None,
    ) -> None:
        self.compilation = compilation
        self.context = context
        self.inside = bool(context & INSIDE)
        """Whether it is a block within a location, such as `if`, and not a level of its own."""
        self.parent = parent
        self.directive = directive
        self.children: list[Scope] = []
        self.own: dict[type[Settings], dict[str, Any]] = {}
        self.origins: dict[type[Settings], dict[str, list[Span]]] = {}
        self.data = KeyedValues()
        self._merged: dict[type[Settings], Settings] = {}
        if parent is not None:
            parent.children.append(self)

    def child(self, context: Context, directive: Directive) -> Scope:
        return Scope(self.compilation, context, self, directive)

    def settings(self, kind: type[S]) -> S:
        """Return the merged settings of one module at this level; call it only after the file has been read."""
        found = self._merged.get(kind)
        if found is None:
            found = self._merged[kind] = kind.merge(self)
            found.seal()
        return found  # type: ignore[return-value]

    def enclosing(self, context: Context) -> Scope:
        """Return the nearest level, this one or above, of that context."""
        scope: Scope | None = self
        while scope is not None:
            if scope.context & context:
                return scope
            scope = scope.parent
        raise LookupError(f"no {context!r} above {self.context!r}")

    def walk(self, directives: Iterable[Directive]) -> None:
        """Hand each directive to its declaration; mistakes are collected, and the walk goes on."""
        problems = self.compilation.problems
        for directive in directives:
            try:
                spec = self._spec(directive)
                if spec is not None:
                    spec.handle(self, directive)
            except ConfigError as error:
                problems.add(error)

    def call(self, directive: Directive) -> Call:
        """Describe a directive of this level as a call, for the kind of its arguments to read."""
        return Call(self, directive)

    def _spec(self, directive: Directive) -> Spec | None:
        """The declaration of a directive; None where it asks for nothing. Raises `ConfigError`."""
        name = directive.name.text
        spec = REGISTRY.find(name, self.context)
        if spec is None:
            self._refuse(directive)
            return None
        if spec.verdict is Verdict.REFUSED and not spec.idle(directive):
            raise ConfigError(f'"{name}" directive is not supported', directive.span, hint=spec.reason)
        if spec.block and directive.block is None:
            raise ConfigError(f'directive "{name}" has no opening "{{"', directive.span)
        if not spec.block and directive.block is not None and spec.verdict is not Verdict.REFUSED:
            raise ConfigError(f'directive "{name}" is not terminated by ";"', directive.span)
        if not spec.takes(len(directive.args)):
            raise ConfigError(
                f'invalid number of arguments in "{name}" directive',
                directive.span,
                label=_arity(spec),
                hint=f"syntax: {name} {spec.syntax};" if spec.syntax else None,
            )
        return spec

    def _refuse(self, directive: Directive) -> None:
        """Raise `ConfigError` for a directive that is not declared for this level. Where those of a module by others
        may stand is not known here: one that only says "off" passes."""
        name = directive.name.text
        here = REGISTRY.specs(name)
        if not here:
            stranger = REGISTRY.stranger(name)
            if stranger is None:
                raise self._unknown(directive)
            if not stranger.idle(directive):
                raise ConfigError(
                    f'"{name}" directive is not supported: {stranger.what}', directive.name.span, hint=stranger.advice
                )
        elif all(spec.verdict is Verdict.REFUSED for spec in here) and not here[0].idle(directive):
            raise ConfigError(f'"{name}" directive is not supported', directive.name.span, hint=here[0].reason)
        else:
            raise self._unknown(directive)

    def _unknown(self, directive: Directive) -> ConfigError:
        name = directive.name.text
        here = REGISTRY.specs(name)
        if here:
            places = ", ".join(_places(here))
            return ConfigError(
                f'"{name}" directive is not allowed here', directive.name.span, hint=f"it may stand in: {places}"
            )
        if self.context & UPSTREAMS and (name[:1].isdigit() or ":" in name or "." in name):
            return ConfigError(
                f'unknown directive "{name}"',
                directive.name.span,
                label="an address without its directive",
                hint=f"write: server {name};",
            )
        close = suggest(name, REGISTRY.names())
        return ConfigError(
            f'unknown directive "{name}"',
            directive.name.span,
            hint=f"did you mean: {close}" if close else None,
        )


def _places(specs: list[Spec]) -> list[str]:
    where = Context(0)
    for spec in specs:
        where |= spec.where
    return [flag.shown for flag in Context if where & flag]


def _arity(spec: Spec) -> str:
    if spec.most == 0:
        return "takes no arguments"
    if spec.most is None:
        return f"takes at least {spec.least}"
    if spec.least == spec.most:
        return f"takes {spec.least}" if spec.least > 1 else "takes exactly one argument"
    return f"takes {spec.least} to {spec.most}"


class Call:
    """A directive that is being read: its words, and what a declaration needs to turn them into a value."""

    __slots__ = ("directive", "scope")

    def __init__(self, scope: Scope, directive: Directive) -> None:
        self.scope = scope
        self.directive = directive

    @property
    def name(self) -> str:
        return self.directive.name.text

    @property
    def args(self) -> tuple[Word, ...]:
        return self.directive.args

    @property
    def compilation(self) -> Compilation:
        return self.scope.compilation

    def template(self, word: Word) -> Template:
        """Compile the word as text with variables."""
        return self.compilation.variables.template(word.text, word.span)

    def fail(self, message: str, word: Word | None = None, *, hint: str | None = None) -> ConfigError:
        """Make the error to raise: at `word`, or at the whole directive."""
        return ConfigError(message, word.span if word else self.directive.span, hint=hint)

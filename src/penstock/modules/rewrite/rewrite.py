"""`rewrite`, `return`, `set`, `if`, `break` (nginx: ngx_http_rewrite_module).

The directives of a level become one program, run in the order of the file: see `operations.py`. Settings inside
an `if` are those of a location of their own, which takes over when the condition holds; nothing inherits a program.
"""

from __future__ import annotations

from collections.abc import Callable
from contextvars import ContextVar
from dataclasses import replace
from typing import TypeAlias

from penstock.config.errors import ConfigError
from penstock.config.key import Key
from penstock.config.kinds import flag
from penstock.config.regex.regex import MatchFailed
from penstock.config.registry import HTTP_LEVELS, IF_LOCATION, IF_SERVER, LOCATION, SERVER, block, command
from penstock.config.scope import Call, Scope
from penstock.config.settings import Settings, phase
from penstock.config.settings import directive as setting
from penstock.config.source import Span
from penstock.config.tree import Directive
from penstock.config.values import decimal
from penstock.config.variables import FAMILIES, Getter, Setter, VariableTable
from penstock.http.request import Outcome, Request, special
from penstock.modules.core.locations import regex
from penstock.modules.rewrite.captured_text import CapturedText
from penstock.modules.rewrite.if_blocks import condition
from penstock.modules.rewrite.operations import (
    STOP,
    Op,
    Run,
    answer,
    assign,
    branch,
    change,
    execute,
    redirect,
    stop,
)
from penstock.observe.errorlog import ALERT, WARN, report
from penstock.plan import phases
from penstock.plan.location import INNER_LOCATIONS, OWN_LOCATION, Location

PROGRAM: Key[list[Op]] = Key("rewrite")
"""What the directives of a level do, in their order."""

PAGE = "ngx_http_rewrite_module.html"
WHERE = SERVER | LOCATION | IF_SERVER | IF_LOCATION
_ELSEWHERE = ("http://", "https://", "$scheme")
_REDIRECTS = {"redirect": 302, "permanent": 301}


class Rewrite(Settings):
    """The program of a level, and what is said about it in the error log."""

    rewrite_log: bool = setting(
        "rewrite_log", where=HTTP_LEVELS | IF_SERVER | IF_LOCATION, takes=flag, default=False, nginx=PAGE
    )
    uninitialized_variable_warn: bool = setting(
        "uninitialized_variable_warn",
        where=HTTP_LEVELS | IF_SERVER | IF_LOCATION,
        takes=flag,
        default=True,
        nginx=PAGE,
    )
    program: tuple[Op, ...] = ()

    def finish(self, scope: Scope) -> None:
        """Take the program of this level; what an `if` holds belongs to the level around it."""
        # What an `if` holds belongs to the program of the level around it.
        program = scope.data.get(PROGRAM)
        self.program = tuple(program) if program is not None and scope.context & (SERVER | LOCATION) else ()
        if self.program:
            self.origins["program"] = scope.origins[Rewrite]["program"]

    def keeps_to_itself(self, inside: bool) -> bool:
        """Return whether there is a program here, which no level below inherits."""
        return bool(self.program) or super().keeps_to_itself(inside)

    @phase(phases.SERVER_REWRITE, when=lambda self: self.program)
    @phase(phases.REWRITE, when=lambda self: self.program)
    def run(self, request: Request) -> Outcome:
        """Run the program."""
        try:
            ended = execute(self.program, Run(request, self.rewrite_log))
        except MatchFailed as error:
            report(request, ALERT, str(error))
            return special(500)
        return None if ended is STOP else ended


Watch: TypeAlias = Callable[[Op, Directive], Op]
WATCH: ContextVar[Watch | None] = ContextVar("watch", default=None)
"""Takes the place of each operation while a configuration is read by who wants to see them at work."""


def _add(scope: Scope, op: Op, directive: Directive) -> None:
    scope.own.setdefault(Rewrite, {})["program"] = True  # a level with a program shares no settings with another
    scope.origins.setdefault(Rewrite, {}).setdefault("program", []).append(directive.span)
    watch = WATCH.get()
    scope.data.setdefault(PROGRAM, []).append(op if watch is None else watch(op, directive))


@command(
    "rewrite",
    where=WHERE,
    least=2,
    most=3,
    syntax="regex replacement [last | break | redirect | permanent]",
    nginx=PAGE,
)
def rewrite(scope: Scope, directive: Directive) -> None:
    """Another path where the regular expression matches. A `?` at the end drops the request's arguments."""
    call = Call(scope, directive)
    pattern, target = directive.args[0], directive.args[1]
    if not target.text:
        raise call.fail("empty replacement", target)
    matcher = regex(scope, pattern, caseless=False)
    text = target.text
    keep_args = not text.endswith("?")
    if not keep_args:
        text = text[:-1]
    then = directive.args[2].text if len(directive.args) == 3 else ""
    status = 302 if text.startswith(_ELSEWHERE) else None
    if then in _REDIRECTS:
        status = _REDIRECTS[then]
    elif then not in ("", "last", "break"):
        raise call.fail(
            f'invalid parameter "{then}"',
            directive.args[2],
            hint="it may be: last, break, redirect, permanent",
        )
    table = scope.compilation.variables
    if status is not None:
        whole = CapturedText(table, text, target.span)
        _add(scope, redirect(matcher, whole, status, keep_args=keep_args, has_query="?" in text), directive)
        return
    path, mark, query = text.partition("?")
    args = CapturedText(table, query, target.span) if mark else None
    _add(
        scope, change(matcher, CapturedText(table, path, target.span), args, keep_args=keep_args, then=then), directive
    )


@command("return", where=WHERE, most=2, syntax="code [text] | code URL | URL", nginx=PAGE)
def return_(scope: Scope, directive: Directive) -> None:
    """End the request with a status, a text, or a redirect; 444 closes the connection without an answer."""
    call = Call(scope, directive)
    first = directive.args[0]
    code = decimal(first.text)
    if code is not None and code <= 999:
        status = code
        text = call.template(directive.args[1]) if len(directive.args) == 2 else None
    elif len(directive.args) == 1 and first.text.startswith(_ELSEWHERE):
        status = 302
        text = call.template(first)
    else:
        raise call.fail(
            f'invalid return code "{first.text}"',
            first,
            hint="a status, or http://..., https://..., $scheme...",
        )
    _add(scope, answer(status, text), directive)


@command("break", where=WHERE, least=0, most=0, nginx=PAGE)
def break_(scope: Scope, directive: Directive) -> None:
    """No more directives of this module, and no new search for a location."""
    _add(scope, stop, directive)


@command("set", where=WHERE, least=2, most=2, syntax="$variable value", nginx=PAGE)
def set_(scope: Scope, directive: Directive) -> None:
    """Give a variable a value."""
    name, value = directive.args
    if not name.text.startswith("$") or name.text == "$":
        raise ConfigError(
            f'invalid variable name "{name.text}"',
            name.span,
            hint=f"write: set ${name.text.lstrip('$') or 'name'} value;",
        )
    table = scope.compilation.variables
    put = _settable(table, name.text[1:], name.span)
    _add(scope, assign(put, CapturedText(table, value.text, value.span)), directive)


def _settable(table: VariableTable, name: str, span: Span) -> Setter:
    """The setter of a variable. Where it has been set by nobody yet it is empty, and read with a warning."""
    known = set(table.made)
    variable = table.stored(name, span)
    assert variable.set is not None
    if variable.name in table.made and variable.name not in known:
        table.made[variable.name] = replace(variable, get=_set_or_else(variable.name))
    return variable.set


def _set_or_else(name: str) -> Getter:
    for prefix, make in FAMILIES.items():
        if name.startswith(prefix) and len(name) > len(prefix):
            return _set_or(name, make(name).get)
    return _set_or(name, _uninitialized(name))


def _set_or(name: str, otherwise: Getter) -> Getter:
    def get(request: Request) -> str | None:
        variables = request.variables
        return variables[name] if name in variables else otherwise(request)

    return get


def _uninitialized(name: str) -> Getter:
    def get(request: Request) -> str:
        if request.location[Rewrite].uninitialized_variable_warn:
            report(request, WARN, f'using uninitialized "{name}" variable')
        request.variables[name] = ""
        return ""

    return get


@block("if", where=SERVER | LOCATION, least=1, most=None, syntax="(condition) { ... }", nginx=PAGE)
def if_(scope: Scope, directive: Directive) -> None:
    """What holds where a condition is true."""
    test = condition(Call(scope, directive))
    if scope.context is SERVER:
        inner = scope.child(IF_SERVER, directive)
        location = None
    else:
        inner = scope.child(IF_LOCATION, directive)
        location = Location("if", scope.data[OWN_LOCATION].name, directive.span)
        location.scope = inner
        scope.data.setdefault(INNER_LOCATIONS, []).append(location)
        inner.data[OWN_LOCATION] = location
    inner.walk(directive.block or ())
    program = inner.data.get(PROGRAM)
    _add(scope, branch(test, () if program is None else tuple(program), location), directive)

"""Conditions of `if` (nginx: ngx_http_rewrite_module)."""

from __future__ import annotations

import errno
import stat
from collections.abc import Callable

from penstock.config.os_errors import os_failure
from penstock.config.regex.pcre import Regex
from penstock.config.scope import Call
from penstock.config.tree import Word
from penstock.config.variables import Getter, Variable
from penstock.http.request import Request
from penstock.modules.core.files.symlinks import call_of, status_of
from penstock.modules.core.http_core import HttpCore
from penstock.modules.core.locations import regex
from penstock.modules.rewrite.captured_text import CapturedText
from penstock.modules.rewrite.operations import Condition, Run
from penstock.observe.errorlog import CRIT, report

SYNTAX = "write: ($var), ($var = text), ($var != text), ($var ~ regex), or (-f path)"
_ABSENT = frozenset({errno.ENOENT, errno.ENOTDIR, errno.ENAMETOOLONG})


class _Reference:
    """A variable by name, which may be declared further down."""

    __slots__ = ("get",)

    def __init__(self, call: Call, word: Word) -> None:
        self.get: Getter = _unbound
        call.compilation.variables.want(word.text[1:], word.span, self._bind)

    def _bind(self, variable: Variable) -> None:
        self.get = variable.get

    def value(self, request: Request) -> str:
        return self.get(request) or ""


def _unbound(request: object) -> str | None:
    raise AssertionError("a condition is used before the configuration is complete")


def condition(call: Call) -> Condition:
    """Compile the words between the parentheses to a test."""
    words = _between_parentheses(call)
    first = words[0]
    if first.text.startswith("$") and len(first.text) > 1:
        return _of_variable(call, words)
    if len(first.text) == 2 and first.text[0] == "-":
        return _of_file(call, words)
    if len(first.text) == 3 and first.text[:2] == "!-":
        return _not(_of_file(call, words))
    raise call.fail(f'invalid condition "{first.text}"', first, hint=SYNTAX)


def _between_parentheses(call: Call) -> list[Word]:
    words = list(call.args)
    first, last = words[0], words[-1]
    if not first.text.startswith("("):
        raise call.fail(f'invalid condition "{first.text}"', first, hint=SYNTAX)
    if not last.text.endswith(")"):
        raise call.fail(f'invalid condition "{last.text}"', last, hint=SYNTAX)
    words[0] = first._replace(text=first.text[1:])
    words[-1] = words[-1]._replace(text=words[-1].text[:-1])
    if not words[0].text:
        del words[0]
    if words and not words[-1].text and not words[-1].quoted:
        del words[-1]
    if not words:
        raise call.fail('invalid condition ")"', last, hint=SYNTAX)
    return words


def _of_variable(call: Call, words: list[Word]) -> Condition:
    first = words[0]
    if len(words) not in (1, 3):
        raise call.fail(f'invalid condition "{first.text}"', first, hint=SYNTAX)
    variable = _Reference(call, first)
    if len(words) == 1:
        return lambda run: variable.get(run.request) not in (None, "", "0")
    operator, operand = words[1], words[2]
    match operator.text:
        case "=":
            return _equals(variable, _text(call, operand))
        case "!=":
            return _not(_equals(variable, _text(call, operand)))
        case "~" | "~*":
            return _matches(variable, regex(call.scope, operand, caseless=operator.text == "~*"))
        case "!~" | "!~*":
            return _not(_matches(variable, regex(call.scope, operand, caseless=operator.text == "!~*")))
    raise call.fail(f'unexpected "{operator.text}" in condition', operator, hint="it may be: = != ~ ~* !~ !~*")


def _text(call: Call, word: Word) -> CapturedText:
    return CapturedText(call.compilation.variables, word.text, word.span)


def _not(test: Condition) -> Condition:
    return lambda run: not test(run)


def _equals(variable: _Reference, text: CapturedText) -> Condition:
    literal = text.template.literal
    if literal is not None:
        return lambda run: variable.value(run.request) == literal
    return lambda run: variable.value(run.request) == run.text(text)


def _matches(variable: _Reference, pattern: Regex) -> Condition:
    return lambda run: run.match(pattern, variable.value(run.request))


def _of_file(call: Call, words: list[Word]) -> Condition:
    test = _TESTS.get(words[0].text[-1])
    if len(words) != 2 or test is None:
        raise call.fail(
            f'invalid condition "{words[0].text}"',
            words[0],
            hint="-f -d -e -x, each with ! before it, and a path",
        )
    return _is(test, _text(call, words[1]))


def _is(test: Callable[[int], bool], path: CapturedText) -> Condition:
    def holds(run: Run) -> bool:
        name = run.text(path)
        try:
            return test(status_of(run.request, name, run.request.location[HttpCore].links).st_mode)
        except OSError as error:
            if error.errno not in _ABSENT:
                report(run.request, CRIT, os_failure(call_of(error, "stat()"), error, name))
            return False
        except ValueError:  # a zero byte is in no file's name
            return False

    return holds


def _exists(mode: int) -> bool:
    return stat.S_ISREG(mode) or stat.S_ISDIR(mode)


def _executable(mode: int) -> bool:
    return bool(mode & stat.S_IXUSR)


_TESTS: dict[str, Callable[[int], bool]] = {
    "f": stat.S_ISREG,
    "d": stat.S_ISDIR,
    "e": _exists,
    "x": _executable,
}

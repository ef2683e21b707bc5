"""What the answer to a check has to be like: `match` (nginx: ngx_http_upstream_hc_module)."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace

from penstock.config.errors import ConfigError, duplicate
from penstock.config.key import Key
from penstock.config.registry import HTTP, block
from penstock.config.scope import Scope
from penstock.config.tree import Directive, Word
from penstock.modules.core.locations import compiled
from penstock.upstream.checks.expected import BodyTest, Expected, HeaderTest, StatusTest

PAGE = "ngx_http_upstream_hc_module.html"
MODULE = "upstream_hc"

MATCHES: Key[dict[str, tuple[Expected, Directive]]] = Key("matches")

_STATUSES = re.compile(r"([1-5][0-9][0-9])(?:-([1-5][0-9][0-9]))?", re.ASCII)
_FORM = {
    "status": "status [!] code | code-code ...;",
    "header": "header [!] field;  or: header field = | != | ~ | !~ value;",
    "body": "body ~ | !~ pattern;",
    "require": "require $variable ...;",
}


@block("match", where=HTTP, least=1, most=1, syntax="name { ... }", nginx=PAGE)
def match(scope: Scope, directive: Directive) -> None:
    """What `health_check match=name` wants of an answer: all of `status`, `header`, `body` and `require` in it."""
    name = directive.args[0].text
    known = scope.compilation.shared.setdefault(MATCHES, {})
    if name in known:
        raise ConfigError(f'duplicate match "{name}"', directive.span)
    expected = Expected()
    seen: dict[str, Directive] = {}
    for line in directive.block or ():
        word = line.name.text
        with scope.compilation.collecting():
            read = _LINES.get(word)
            if read is None:
                raise ConfigError(
                    f'unknown directive "{word}" in "match"', line.name.span, hint="it holds: " + ", ".join(_LINES)
                )
            if line.block is not None:
                raise ConfigError(f'directive "{word}" has no block', line.span)
            if not line.args:
                raise _wrong(line)
            if word in ("status", "body") and word in seen:
                raise duplicate(word, line.span, seen[word].span)
            seen[word] = line
            expected = read(scope, line, expected)
    known[name] = (expected, directive)


def _wrong(line: Directive, word: Word | None = None) -> ConfigError:
    name = line.name.text
    if word is None:
        return ConfigError(f'invalid number of arguments in "{name}" directive', line.span, hint=_FORM[name])
    return ConfigError(f'invalid parameter "{word.text}" in "{name}" directive', word.span, hint=_FORM[name])


def _status(scope: Scope, line: Directive, expected: Expected) -> Expected:
    words = line.args
    wanted = words[0].text != "!"
    if not wanted:
        words = words[1:]
        if not words:
            raise _wrong(line)
    ranges = []
    for word in words:
        found = _STATUSES.fullmatch(word.text)
        if found is None:
            raise _wrong(line, word)
        first = int(found[1])
        last = int(found[2] or first)
        if last < first:
            raise _wrong(line, word)
        ranges.append((first, last))
    return replace(expected, status=StatusTest(tuple(ranges), wanted))


def _header(scope: Scope, line: Directive, expected: Expected) -> Expected:
    words = line.args
    if len(words) == 1 and words[0].text != "!":
        test = HeaderTest(words[0].text)
    elif len(words) == 2 and words[0].text == "!":
        test = HeaderTest(words[1].text, wanted=False)
    elif len(words) == 3:
        name, sign, value = words
        if sign.text not in ("=", "!=", "~", "!~"):
            raise _wrong(line, sign)
        wanted = not sign.text.startswith("!")
        if sign.text.endswith("="):
            test = HeaderTest(name.text, wanted, value=value.text)
        else:
            test = HeaderTest(name.text, wanted, pattern=compiled(scope, value, caseless=False))
    else:
        raise _wrong(line)
    return replace(expected, headers=(*expected.headers, test))


def _body(scope: Scope, line: Directive, expected: Expected) -> Expected:
    if len(line.args) != 2:
        raise _wrong(line)
    sign, value = line.args
    if sign.text not in ("~", "!~"):
        raise _wrong(line, sign)
    return replace(expected, body=BodyTest(compiled(scope, value, caseless=False), wanted=sign.text == "~"))


def _require(scope: Scope, line: Directive, expected: Expected) -> Expected:
    made = []
    for word in line.args:
        if not word.text.startswith("$"):
            raise _wrong(line, word)
        made.append(scope.compilation.variables.template(word.text, word.span))
    return replace(expected, required=(*expected.required, *made))


_LINES: dict[str, Callable[[Scope, Directive, Expected], Expected]] = {
    "status": _status,
    "header": _header,
    "body": _body,
    "require": _require,
}

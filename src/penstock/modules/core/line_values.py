"""Values of directives that become part of one line of a head, whatever variables they are made of.

The look for control characters is compiled into the template, and only where a variable in it can have any: the usual
`$host`, `$http_...` and `$remote_addr` cost nothing.
"""

from __future__ import annotations

from collections.abc import Callable

from penstock.config.kinds import Kind
from penstock.config.scope import Call
from penstock.config.source import Span
from penstock.config.tree import Word
from penstock.config.variables import Template
from penstock.http.errors import excerpt
from penstock.http.line import location_safe, value_safe, written
from penstock.http.request import Request
from penstock.observe.errorlog import ERROR, report

ADVICE = "what a client has encoded is decoded in $uri and its captures, and is not in $request_uri: use that"


def one_line(call: Call, word: Word, what: str = "") -> Template:
    """Compile a word as a value for one line, with variables. `what` tells directives of one name apart in the log."""
    name = f"{call.name} {what}" if what else call.name
    return one_line_of(call, written(word.text), word.span, name)


VALUE: Kind = Kind(lambda call: one_line(call, call.args[0]), syntax="value")
"""One word that is such a value."""


def one_line_of(
    call: Call, text: str, span: Span | None, name: str, safe: Callable[[str], str] = value_safe
) -> Template:
    """Do what `one_line` does, for a text that is not the whole word."""

    def mend(request: Request, value: str) -> str:
        made = safe(value)
        if made != value and "%" in made:
            say_mended(request, value, f'a value for "{name}"', span)
        return made

    return call.compilation.variables.line(text, span, mend)


def say_mended(request: Request, value: str, what: str, span: Span | None) -> None:
    """Say whose value had to be changed, where that directive is, and what to write there."""
    where = f" ({span.file}:{span.line})" if span is not None else ""
    report(
        request,
        ERROR,
        f'control characters in {what}{where} have been percent-encoded: "{excerpt(value)}"; {ADVICE}',
    )


def location_of(request: Request, value: str, name: str, span: Span | None) -> str:
    """Make a URI safe for a Location header; an unsafe one is logged."""
    made = location_safe(value)
    if made != value:
        say_mended(request, value, f'the address of "{name}"', span)
    return made

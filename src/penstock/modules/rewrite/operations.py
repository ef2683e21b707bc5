"""What the directives of the rewrite module do when a request comes: each is one operation of a program.

A program is a tuple of operations. An operation answers None to go on with the next, `STOP` to end the program,
or what ends the phase. What an `if` holds is a program of its own (nginx: ngx_http_script.c).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final, TypeAlias

from penstock.config.regex.pcre import Regex
from penstock.config.source import Span
from penstock.config.variables import Setter, Template
from penstock.http.request import Answer, Request, special
from penstock.http.uri import unescape_redirect
from penstock.modules.core.document_root import Files
from penstock.modules.core.error_pages import ended_with
from penstock.modules.core.http_core import HttpCore
from penstock.modules.core.line_values import location_of
from penstock.modules.rewrite.captured_text import CapturedText
from penstock.observe.errorlog import ERROR, NOTICE, report
from penstock.plan.location import Location

STOP: Final = object()
REDIRECTS: Final = frozenset({301, 302, 303, 307, 308})


class Run:
    """One run of a program. `quote`: captures in values are escaped, until the first rewrite that matched."""

    __slots__ = ("log", "quote", "request")

    def __init__(self, request: Request, log: bool) -> None:
        self.request = request
        self.log = log
        self.quote = True

    def text(self, text: CapturedText) -> str:
        """Return a text of the program, with captures escaped as long as `quote` says so."""
        return text.quoted(self.request) if self.quote else text.plain(self.request)

    def match(self, regex: Regex, subject: str) -> bool:
        """Match, leaving the captures in the request: none where it does not match."""
        request = self.request
        match = regex.match(subject)
        if match is None:
            request.captures = None
            if self.log:
                report(request, NOTICE, f'"{regex.pattern}" does not match "{subject}"')
            return False
        if self.log:
            report(request, NOTICE, f'"{regex.pattern}" matches "{subject}"')
        request.captured(match, regex)
        return True


Op: TypeAlias = Callable[[Run], Any]  # an `Outcome`, STOP, or None to go on
Condition: TypeAlias = Callable[[Run], bool]


def execute(program: tuple[Op, ...], run: Run) -> Any:
    """Run it; what ended it, or None when it ran to its end."""
    for op in program:
        ended = op(run)
        if ended is not None:
            return ended
    return None


def change(regex: Regex, path: CapturedText, query: CapturedText | None, *, keep_args: bool, then: str) -> Op:
    """Rewrite the path to another one of this server; `then` is "last", "break" or "" to go on."""

    def op(run: Run) -> Any:
        request = run.request
        if not run.match(regex, request.uri):
            return None
        request.internal = True
        request.valid_unparsed = False
        uri = path.plain(request)
        args = request.args if keep_args else ""
        if query is not None:
            added = query.quoted(request)
            args = f"{added}&{args}" if args else added
        request.uri = uri
        request.args = args
        run.quote = False
        if run.log:
            report(request, NOTICE, f'rewritten data: "{uri}", args: "{args}"')
        if not uri:
            report(request, ERROR, "the rewritten URI has a zero length")
            return special(500)
        request.uri_changed = then != "break"
        if then == "break":
            request.valid_location = False
        return STOP if then else None

    return op


def redirect(regex: Regex, target: CapturedText, status: int, *, keep_args: bool, has_query: bool) -> Op:
    """Make the `rewrite` that sends the client elsewhere."""

    def op(run: Run) -> Any:
        request = run.request
        if not run.match(regex, request.uri):
            return None
        location = unescape_redirect(target.quoted(request))
        if keep_args and request.args:
            location += ("&" if has_query else "?") + request.args
        if run.log:
            report(request, NOTICE, f'rewritten redirect: "{location}"')
        return _sent_elsewhere(request, status, location, "rewrite", target.template.span)

    return op


def _sent_elsewhere(request: Request, status: int, location: str, name: str, span: Span | None) -> Answer:
    answer = special(status)
    answer.location = location_of(request, location, name, span)
    return answer


def answer(status: int, text: Template | None) -> Op:
    """Make a `return`: a redirect, an error with its page, or a text."""
    if status in REDIRECTS:
        span = None if text is None else text.span
        return lambda run: _sent_elsewhere(
            run.request, status, _evaluated(run.request, status, text), "return", span
        )
    if status >= 400 and (text is None or text.literal == ""):
        return lambda run: ended_with(status)

    def op(run: Run) -> Answer:
        request = run.request
        made = Answer(status, _evaluated(request, status, text).encode("latin-1"))
        location = request.location
        made.content_type = location[Files].type_of(request.uri, location[HttpCore].default_type)
        return made

    return op


def _evaluated(request: Request, status: int, text: Template | None) -> str:
    """The text, in which `$status` is already that of the answer."""
    if text is None:
        return ""
    if text.literal is not None:
        return text.literal
    request.status = request.error_status or status
    value = text.evaluate(request)
    request.status = 0
    return value


def stop(run: Run) -> Any:
    """Make a `break`: no more of this program, and no new search for a location."""
    request = run.request
    if request.uri_changed:
        request.uri_changed = False
        request.valid_location = False
    return STOP


def assign(put: Setter, value: CapturedText) -> Op:
    """Make a `set`."""

    def op(run: Run) -> None:
        put(run.request, run.text(value))

    return op


def branch(condition: Condition, program: tuple[Op, ...], location: Location | None) -> Op:
    """Make an `if`: its own program where the condition holds, and from then on its settings."""

    def op(run: Run) -> Any:
        if not condition(run):
            return None
        if location is not None:
            run.request.location = location
        return execute(program, run)

    return op

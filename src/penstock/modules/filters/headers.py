"""Headers of our own on every answer: `add_header`, `add_trailer`, `expires` (nginx: ngx_http_headers_module)."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from time import time

from penstock.config.errors import ConfigError
from penstock.config.kinds import choice, custom
from penstock.config.registry import HTTP_LEVELS, IF_LOCATION
from penstock.config.scope import Call, Scope
from penstock.config.settings import WHOLE, Settings, directive, directives, phase
from penstock.config.values import whole_seconds
from penstock.config.variables import Template
from penstock.http.dates import http_date
from penstock.http.request import Answer, Request
from penstock.modules.core.line_values import one_line
from penstock.plan import phases

PAGE = "ngx_http_headers_module.html"
WHERE = HTTP_LEVELS | IF_LOCATION
FRIENDLY = frozenset({200, 201, 204, 206, 301, 302, 303, 304, 307, 308})
"""Statuses that get headers without `always`."""
EPOCH_HEADER = "Thu, 01 Jan 1970 00:00:01 GMT"
NEVER_HEADER = "Thu, 31 Dec 2037 23:55:55 GMT"
LONGEST = "315360000"


@dataclass(frozen=True, slots=True)
class Added:
    """One header to add; `always` for every status."""

    name: str
    value: Template
    always: bool


def _added(call: Call) -> Added:
    if len(call.args) == 3 and call.args[2].text != "always":
        raise call.fail(f'invalid parameter "{call.args[2].text}"', call.args[2], hint="the third may only be: always")
    name, value = call.args[:2]
    return Added(name.text, one_line(call, value, name.text), len(call.args) == 3)


@dataclass(frozen=True, slots=True)
class Expires:
    """`kind`: off, epoch, max, access (from now), modified (from Last-Modified), daily; `offset` in seconds."""

    kind: str
    offset: float = 0.0


def parse_expires(text: str, modified: bool) -> Expires:
    """Read an `expires` value; raises `ValueError`."""
    if not modified and text in ("off", "epoch", "max"):
        return Expires(text)
    if text.startswith("@"):
        if modified:
            raise ValueError("a daily time can not be combined with modified")
        at = whole_seconds(text[1:])
        if at > 86400:
            raise ValueError("a daily time is less than 24 hours")
        return Expires("daily", at)
    sign = -1.0 if text.startswith("-") else 1.0
    amount = whole_seconds(text[1:] if text[:1] in "+-" else text)
    return Expires("modified" if modified else "access", sign * amount)


@dataclass(frozen=True, slots=True)
class ComputedExpires:
    """An `expires` value with variables."""

    template: Template
    modified: bool

    def rule(self, request: Request) -> Expires:
        """Return the rule for a request; off where the value is empty or makes no sense."""
        try:
            return parse_expires(self.template.evaluate(request) or "off", self.modified)
        except ValueError:
            return Expires("off")


def _expires(call: Call) -> Expires | ComputedExpires:
    modified = False
    word = call.args[0]
    if len(call.args) == 2:
        if word.text != "modified":
            raise call.fail("invalid value", word, hint="two arguments: modified time")
        modified = True
        word = call.args[1]
    if "$" in word.text:
        return ComputedExpires(call.template(word), modified)
    try:
        return parse_expires(word.text, modified)
    except ValueError as error:
        raise ConfigError("invalid value", word.span, hint=str(error)) from None


class Headers(Settings):
    """None is inherited once a level has one of its own, unless `add_header_inherit merge`."""

    added: tuple[Added, ...] = directives(
        "add_header",
        where=WHERE,
        takes=custom(_added, least=2, most=3, syntax="name value [always]"),
        inherit=WHOLE,
        nginx=PAGE,
    )
    trailers: tuple[Added, ...] = directives(
        "add_trailer",
        where=WHERE,
        takes=custom(_added, least=2, most=3, syntax="name value [always]"),
        inherit=WHOLE,
        nginx=PAGE,
    )
    header_inherit: str = directive(
        "add_header_inherit", where=WHERE, takes=choice("off", "on", "merge"), default="on", nginx=PAGE
    )
    trailer_inherit: str = directive(
        "add_trailer_inherit", where=WHERE, takes=choice("off", "on", "merge"), default="on", nginx=PAGE
    )
    expires: Expires | ComputedExpires | None = directive(
        "expires",
        where=WHERE,
        takes=custom(_expires, most=2, syntax="[modified] time | epoch | max | off"),
        nginx=PAGE,
        shown="off",
    )

    def finish(self, scope: Scope) -> None:
        """Join what a level adds with what it inherits, as `add_header_inherit` says."""
        own = scope.own.get(Headers, {})
        above = scope.parent.settings(Headers) if scope.parent is not None else None
        if above is not None:
            self.added = _inherited(self.added, own.get("added", ()), above.added, self.header_inherit)
            self.trailers = _inherited(self.trailers, own.get("trailers", ()), above.trailers, self.trailer_inherit)

    @phase(phases.HEADERS, when=lambda self: self.added or self.trailers or self.expires)
    def add(self, request: Request, answer: Answer) -> None:
        """Add them, once the answer's own headers are known."""
        friendly = answer.status in FRIENDLY
        if self.expires is not None and friendly:
            self._expire(request, answer)
        for each in self.added:
            if friendly or each.always:
                _put(answer, each.name, each.value.evaluate(request))
        if self.trailers and request.method != "HEAD" and answer.upgraded is None:
            self._trail(request, answer, friendly)

    def _expire(self, request: Request, answer: Answer) -> None:
        rule = self.expires.rule(request) if isinstance(self.expires, ComputedExpires) else self.expires
        if rule is None or rule.kind == "off":
            return
        answer.drop("expires")
        answer.drop("cache-control")
        if rule.kind == "epoch":
            answer.headers += [("Expires", EPOCH_HEADER), ("Cache-Control", "no-cache")]
            return
        if rule.kind == "max":
            answer.headers += [("Expires", NEVER_HEADER), ("Cache-Control", f"max-age={LONGEST}")]
            return
        now = time()
        if not rule.offset and rule.kind != "daily" and answer.modified_at is None:
            answer.headers += [("Expires", http_date(int(now))), ("Cache-Control", "max-age=0")]
            return
        if rule.kind == "daily":
            when = _next(rule.offset, now)
            age = when - now
        elif rule.kind == "modified" and answer.modified_at is not None:
            when = answer.modified_at + rule.offset
            age = when - now
        else:
            when = now + rule.offset
            age = rule.offset
        control = "no-cache" if rule.offset < 0 or age < 0 else f"max-age={int(age)}"
        answer.headers += [("Expires", http_date(int(when))), ("Cache-Control", control)]

    def _trail(self, request: Request, answer: Answer, friendly: bool) -> None:
        """Trailers come behind the last chunk, so the answer has to be chunked."""
        wanted = [each for each in self.trailers if friendly or each.always]
        if not wanted or request.head.version < 11:
            return
        answer.trailers = LateTrailers(answer.trailers, wanted, request)


class LateTrailers:
    """Trailers are evaluated when the body has gone, as some of them speak about it, or about those before them."""

    __slots__ = ("_done", "_request", "_wanted")

    def __init__(self, first: Iterable[tuple[str, str]] | None, wanted: list[Added], request: Request) -> None:
        self._done: list[tuple[str, str]] = list(first or ())
        self._wanted = wanted
        self._request = request

    def __iter__(self) -> Iterator[tuple[str, str]]:
        wanted, self._wanted = self._wanted, []
        for each in wanted:
            value = each.value.evaluate(self._request)
            if value:
                self._done.append((each.name, value))
        return iter(self._done)


def _inherited(
    merged: tuple[Added, ...], own: object, above: tuple[Added, ...], mode: str
) -> tuple[Added, ...]:
    if mode == "merge" and own and above:
        return above + merged
    if mode == "off" and not own:
        return ()
    return merged


def _put(answer: Answer, name: str, value: str) -> None:
    """Some names have a place of their own in an answer; an empty value takes what is there away."""
    special = SPECIAL.get(name.lower())
    if special is not None:
        special(answer, value)
    elif value:
        answer.headers.append((name, value))


def _last_modified(answer: Answer, value: str) -> None:
    from penstock.http.dates import parse_date

    answer.last_modified = value or None
    answer.modified_at = parse_date(value) if value else None


def _etag(answer: Answer, value: str) -> None:
    answer.etag = value or None
    answer.drop("etag")


SPECIAL: dict[str, Callable[[Answer, str], None]] = {"last-modified": _last_modified, "etag": _etag}


def _next(at: float, now: float) -> float:
    """The next moment of a daily time, in local time."""
    from time import localtime, mktime

    today = localtime(now)
    midnight = mktime((today.tm_year, today.tm_mon, today.tm_mday, 0, 0, 0, 0, 0, -1))
    when = midnight + at
    return when if when > now else when + 86400

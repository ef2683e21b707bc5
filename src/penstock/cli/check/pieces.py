"""A piece of a configuration (a file of conf.d, a `location` from a page) in what it is a piece of.

    upstream, map, server            http { ... }
    location, listen, server_name    http { server { ... } }
    proxy_pass                       http { server { location / { ... } } }
    server 10.0.0.1:3000;            http { upstream u { ... } }

What fits several levels stands where the rest needs it. The directives stay what they are, so that every mistake is
shown where it was written.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import replace

from penstock.config.errors import ConfigError, Problems
from penstock.config.parser import parse_text
from penstock.config.registry import HTTP, LOCATION, MAIN, REGISTRY, SERVER, UPSTREAM, Context, Verdict
from penstock.config.tree import Directive
from penstock.doctor.attempt import UNSET

_WHOLE = frozenset(("http", "events", "stream", "mail"))
_OF_WHOLE_FILES = frozenset(("user", "worker_processes", "pid", "load_module", "worker_rlimit_nofile"))
_ELSEWHERE: tuple[tuple[str, str], ...] = (
    (r'unknown "(\w+)" variable', 'map "" ${0} {{ default "{unset}"; }}'),
    (r'zero size shared memory zone "([\w.-]+)"', "{kind}_zone $binary_remote_addr zone={0}:1m{rate};"),
    (r'unknown log format "([\w.-]+)"', 'log_format {0} "";'),
    (r'no "ssl_certificate" is defined .*', "ssl_certificate /absent.crt; ssl_certificate_key /absent.key;"),
)
"""What a piece may lack since another file has it, and what stands in for that."""


def is_piece(tree: tuple[Directive, ...], *, named: bool = True) -> bool:
    """Return whether this is no whole configuration. `named`: somebody has named the file, so that it may be one."""
    names = {each.name.text for each in tree}
    if not tree or "events" in names or not named:
        return False
    return not (names & _WHOLE and names & _OF_WHOLE_FILES)


def whole(tree: tuple[Directive, ...], stand_ins: Iterable[str] = ()) -> tuple[Directive, ...]:
    """Build the configuration around a piece. `stand_ins` are lines of its http level."""
    names = {each.name.text for each in tree}
    frame = parse_text(f"events {{ }} http {{ {' '.join(stand_ins)} }}", "the rest", Problems())
    events, http = frame
    if names & _WHOLE:
        extra = http.block or ()
        given = [replace(each, block=(*extra, *(each.block or ()))) if _is(each, "http") else each for each in tree]
        return (*given, *(() if "events" in names else (events,)))
    if tree and all(_fits(each, UPSTREAM) for each in tree):
        return events, replace(http, block=(*(http.block or ()), _block("upstream u", tree)))
    lowest = _lowest(tree)
    main = [each for each in tree if _known(each) and not _fits(each, HTTP | SERVER | LOCATION) and _fits(each, MAIN)]
    rest = [each for each in tree if not any(each is one for one in main)]
    upper = [each for each in rest if lowest is not HTTP and _fits(each, HTTP) and not _fits(each, lowest)]
    inner = [each for each in rest if not any(each is one for one in upper)]
    made: tuple[Directive, ...] = tuple(inner)
    if lowest is LOCATION:
        middle = [each for each in inner if not _fits(each, LOCATION) and _fits(each, SERVER)]
        below = [each for each in inner if not any(each is one for one in middle)]
        made = (*middle, _block("location /", below))
    if lowest is not HTTP:
        made = (_block("server", made),)
    return *main, events, replace(http, block=(*(http.block or ()), *upper, *made))


def may_compile(tree: tuple[Directive, ...]) -> bool:
    """Return whether anything in a piece is a directive at all: the lines of a map are none."""
    return any(_known(each) for each in tree)


def elsewhere(problem: ConfigError) -> bool:
    """Return whether a piece lacks something that another file may have."""
    return any(re.fullmatch(pattern, problem.message) for pattern, _ in _ELSEWHERE)


def stand_in(problem: ConfigError) -> str:
    """Return the line that gives a piece what it lacks; "" where there is none."""
    for pattern, line in _ELSEWHERE:
        found = re.fullmatch(pattern, problem.message)
        if found is not None:
            said = "" if problem.span is None else problem.span.source.line(problem.span.line)
            kind = "limit_conn" if "limit_conn" in said else "limit_req"
            rate = "" if kind == "limit_conn" else " rate=1000r/s"
            return line.format(*found.groups(), unset=UNSET, kind=kind, rate=rate)
    return ""


def _lowest(tree: tuple[Directive, ...]) -> Context:
    """The level that the directives of a piece need."""
    for level in (LOCATION, SERVER):
        if any(_fits(each, level) and not _fits(each, (HTTP | SERVER) if level is LOCATION else HTTP) for each in tree):
            return level
    return HTTP


def _known(directive: Directive) -> bool:
    return directive.name.text in REGISTRY


def _fits(directive: Directive, where: Context) -> bool:
    """Whether a directive may stand at one of these levels."""
    for spec in REGISTRY.specs(directive.name.text):
        blocks = spec.block == (directive.block is not None) or spec.verdict is not Verdict.IMPLEMENTED
        if spec.where & where and blocks:
            return True
    return False


def _is(directive: Directive, name: str) -> bool:
    return directive.name.text == name and directive.block is not None


def _block(name: str, inner: Iterable[Directive]) -> Directive:
    [frame] = parse_text(f"{name} {{ }}", "the rest", Problems())
    return replace(frame, block=tuple(inner))

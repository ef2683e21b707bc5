"""What the answer to a check has to be like: `match` (nginx: ngx_http_upstream_hc_module). Sans-IO."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from penstock.config.regex.regex import MatchFailed
from penstock.upstream.checks.nobody import NobodyAsks

if TYPE_CHECKING:
    from penstock.config.regex.regex import Regex
    from penstock.config.variables import Template
    from penstock.http.request import Request
    from penstock.http.response import ResponseHead

BODY = 262144
"""Bytes of a body that are looked at, as in nginx."""


@dataclass(frozen=True, slots=True)
class StatusTest:
    """A status that is in one of the ranges, both ends included; or in none of them, if it is not `wanted` there."""

    ranges: tuple[tuple[int, int], ...]
    wanted: bool = True

    def wrong(self, status: int) -> str:
        """Return what is wrong, "" if nothing is."""
        within = any(first <= status <= last for first, last in self.ranges)
        return "" if within == self.wanted else f"the status is {status}"


@dataclass(frozen=True, slots=True)
class HeaderTest:
    """A header that has to be there, or with `wanted` false must not be; or that has to have this value, or fit this
    pattern."""

    name: str
    wanted: bool = True
    value: str | None = None
    pattern: Regex | None = None

    def wrong(self, head: ResponseHead) -> str:
        """Return what is wrong, "" if nothing is. Raises `MatchFailed`."""
        found = head.joined(self.name.lower())
        if self.value is not None:
            fits = found == self.value
        elif self.pattern is not None:
            fits = found is not None and self.pattern.match(found) is not None
        else:
            fits = found is not None
        if fits == self.wanted:
            return ""
        return f"the header {self.name} is there" if found is not None else f"there is no header {self.name}"


@dataclass(frozen=True, slots=True)
class BodyTest:
    """A body that has to fit a pattern, or must not."""

    pattern: Regex
    wanted: bool = True

    def wrong(self, body: str) -> str:
        """Return what is wrong, "" if nothing is. Raises `MatchFailed`."""
        fits = self.pattern.match(body) is not None
        return "" if fits == self.wanted else "the body does not fit"


@dataclass(frozen=True, slots=True)
class Expected:
    """All that an answer has to be like. `required` are variables that must be neither empty nor "0"."""

    status: StatusTest | None = None
    headers: tuple[HeaderTest, ...] = ()
    body: BodyTest | None = None
    required: tuple[Template, ...] = ()

    def wrong(self, head: ResponseHead, body: str, request: Request) -> str:
        """Return what is wrong with an answer in a few words, "" if nothing is."""
        try:
            return self._wrong(head, body, request)
        except MatchFailed:
            return "a pattern takes too long"

    def _wrong(self, head: ResponseHead, body: str, request: Request) -> str:
        if self.status is not None:
            wrong = self.status.wrong(head.status)
            if wrong:
                return wrong
        for header in self.headers:
            wrong = header.wrong(head)
            if wrong:
                return wrong
        if self.body is not None:
            wrong = self.body.wrong(body)
            if wrong:
                return wrong
        for each in self.required:
            if evaluated(each, request) in ("", "0"):
                return f"{each.text} is empty or 0"
        return ""


def evaluated(template: Template, request: Request) -> str:
    """Return what a template comes to for a check, which most variables are empty for."""
    try:
        return template.evaluate(request)
    except NobodyAsks:
        return ""


DEFAULT = Expected(StatusTest(((200, 399),)))
"""Without a `match`: any status of 2xx or 3xx."""

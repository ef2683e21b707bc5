"""The request line for a backend: a method that is one word, and a target that ends where the line says so."""

from __future__ import annotations

import re
from dataclasses import dataclass

from penstock.config.source import Span
from penstock.config.variables import Template
from penstock.http.errors import excerpt
from penstock.http.line import target_safe
from penstock.http.request import Request
from penstock.modules.core.line_values import ADVICE, say_mended
from penstock.observe.errorlog import ERROR, WARN, report
from penstock.upstream.errors import FaultSide, ProxyError

is_method = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+", re.ASCII).fullmatch
"""Whether a text is a method: one word (RFC 9110, 5.6.2)."""
_CONTROL = re.compile(r"[\x00-\x1f\x7f]").search
SAID = "spaces in target"


@dataclass(frozen=True, slots=True)
class Method:
    """A `proxy_method`."""

    template: Template
    span: Span

    def of(self, request: Request) -> str:
        """Return the method of a request. Raises `ProxyError` where the variables make none."""
        made = self.template.evaluate(request)
        if is_method(made):
            return made
        where = f"({self.span.file}:{self.span.line})"
        report(request, ERROR, f'"{excerpt(made)}" can not be a method: see "proxy_method" {where}')
        raise ProxyError(FaultSide.INTERNAL, 500, "", "")


def target_of(request: Request, uri: str, span: Span) -> str:
    """Return the target of a request as it may stand in its first line; one that may not is logged."""
    made = target_safe(uri)
    if made == uri:
        return uri
    if _CONTROL(uri):
        say_mended(request, uri, 'the URI that "proxy_pass" makes', span)
    elif SAID not in request.location.notes:
        request.location.notes.add(SAID)
        text = f'spaces in the URI that "proxy_pass" makes ({span.file}:{span.line}) are percent-encoded'
        report(request, WARN, f'{text}: "{excerpt(uri)}"; {ADVICE}')
    return made

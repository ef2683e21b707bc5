"""Other answers in place of errors: `error_page` (nginx: ngx_http_core_module, ngx_http_special_response)."""

from __future__ import annotations

from dataclasses import dataclass

from penstock.config.kinds import custom
from penstock.config.registry import HTTP_LEVELS, IF_LOCATION
from penstock.config.scope import Call, Scope
from penstock.config.settings import WHOLE, Settings, directives
from penstock.config.tree import Word
from penstock.config.values import decimal
from penstock.config.variables import Template
from penstock.http.request import Answer, Redirect, Request, special
from penstock.modules.core.line_values import location_of

PAGE = "ngx_http_core_module.html"
REDIRECTS = frozenset({301, 302, 303, 307, 308})
SILENT = frozenset({408, 444, 499})
"""nginx ends the connection for these without an answer."""
SHOWN_AS_400 = frozenset({494, 495, 496, 497})
"""nginx's own codes, which no client is to see."""


def ended_with(status: int) -> Answer:
    """Make the answer to a request that the configuration ends with a status: its page, or no answer at all."""
    answer = Answer(status)
    answer.silent = status in SILENT
    answer.special = not answer.silent
    return answer


@dataclass(frozen=True, slots=True)
class ErrorPageRule:
    """Where one status leads. `status` is what the client sees: None the error's own, 0 the page's."""

    target: Template
    status: int | None

    def apply(self, request: Request, error: int) -> Redirect | Answer:
        """Choose where to go on, or the redirect to send; `request.error_status` is then what the client will see."""
        request.error_status = error if self.status is None else self.status
        uri = self.target.evaluate(request)
        if uri.startswith("/"):
            if request.method != "HEAD":
                request.method = "GET"
            path, _, args = uri.partition("?")
            return Redirect(path, args)
        if uri.startswith("@"):
            return Redirect(name=uri)
        if self.status not in REDIRECTS:
            request.error_status = 302
        request.error_paged = True  # a page for a redirect to a page: nginx sends it as it is
        answer = special(request.error_status)
        answer.location = location_of(request, uri, "error_page", self.target.span)
        return answer


def _rules(call: Call) -> tuple[tuple[int, ErrorPageRule], ...]:
    *codes, target = call.args
    status: int | None = None
    replaced = False
    if codes[-1].text.startswith("="):
        word = codes.pop()
        status = decimal(word.text[1:] or "0")
        if not codes or status is None:
            raise call.fail(f'invalid value "{word.text}"', word, hint="codes, then = or =code, then the page")
        replaced = True
    template = call.template(target)
    found = []
    for word in codes:
        code = _code(call, word)
        shown = 400 if code in SHOWN_AS_400 and not replaced else status
        found.append((code, ErrorPageRule(template, shown)))
    return tuple(found)


def _code(call: Call, word: Word) -> int:
    code = decimal(word.text)
    if code is None or code == 499:
        raise call.fail(f'invalid value "{word.text}"', word, hint="a status such as 404")
    if not 300 <= code <= 599:
        raise call.fail(f'value "{word.text}" must be between 300 and 599', word)
    return code


class ErrorPages(Settings):
    """What takes the place of an error's plain page. None is inherited once a level has one of its own."""

    given: tuple[tuple[tuple[int, ErrorPageRule], ...], ...] = directives(
        "error_page",
        where=HTTP_LEVELS | IF_LOCATION,
        takes=custom(_rules, least=2, most=None, syntax="code ... [=[response]] uri"),
        inherit=WHOLE,
        nginx=PAGE,
    )
    table: dict[int, ErrorPageRule]

    def finish(self, scope: Scope) -> None:
        """Make the table by status; the first line for a status counts."""
        self.table = {}
        for rules in self.given:
            for code, rule in rules:
                self.table.setdefault(code, rule)

    def find(self, status: int) -> ErrorPageRule | None:
        """Find the rule for a status: the first that names it."""
        return self.table.get(status)

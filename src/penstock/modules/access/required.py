"""Access by variables: `auth_require` (nginx: ngx_http_auth_require_module)."""

from __future__ import annotations

from dataclasses import dataclass

from penstock.config.errors import ConfigError
from penstock.config.kinds import custom
from penstock.config.registry import HTTP_LEVELS, LIMIT_EXCEPT
from penstock.config.scope import Call, Scope
from penstock.config.settings import Settings, directives, phase
from penstock.config.values import decimal
from penstock.config.variables import Template
from penstock.http.request import Outcome, Request
from penstock.modules.access.access import GRANTED
from penstock.modules.core.error_pages import ended_with
from penstock.modules.core.http_core import HttpCore
from penstock.observe.errorlog import ERROR, report
from penstock.plan import phases

MODULE = "auth_require"
PAGE = "ngx_http_auth_require_module.html"
ERROR_IS = "error="


@dataclass(frozen=True, slots=True)
class Requirement:
    """Variables that must all hold, and the status where one does not. None of them: nothing is required."""

    values: tuple[Template, ...]
    status: int = 403


def _requirement(call: Call) -> Requirement:
    if call.args[0].text == "off" and len(call.args) == 1:
        return Requirement(())
    status, values = 403, []
    for number, word in enumerate(call.args):
        if word.text.startswith(ERROR_IS):
            code = decimal(word.text.removeprefix(ERROR_IS))
            if code is None or not 400 <= code <= 599 or number != len(call.args) - 1:
                raise call.fail(
                    f'invalid parameter "{word.text}"', word, hint="the last one may be error=401, or any 4xx or 5xx"
                )
            status = code
        elif not word.text.startswith("$"):
            raise call.fail(f'invalid variable name "{word.text}"', word, hint="a variable is written $name")
        else:
            values.append(call.template(word))
    if not values:
        raise call.fail(f'no variables in "{call.name}" directive', hint="write for example: auth_require $is_admin;")
    return Requirement(tuple(values), status)


class AuthRequire(Settings):
    """Access is granted only where all variables are neither empty nor `0`. Several lines may have errors of their own;
    `off` takes back what an outer level requires.
    """

    given: tuple[Requirement, ...] = directives(
        "auth_require",
        where=HTTP_LEVELS | LIMIT_EXCEPT,
        takes=custom(_requirement, most=None, syntax="$value ... [error=4xx | 5xx] | off"),
        nginx=PAGE,
        shown="off",
    )
    required: tuple[Requirement, ...] = ()

    def finish(self, scope: Scope) -> None:
        self.required = tuple(each for each in self.given if each.values)
        if self.required and len(self.required) != len(self.given):
            raise ConfigError('"auth_require off" stands beside others', self.origin("given"), hint="take it out")

    @phase(phases.ACCESS, when=lambda self: self.required)
    def decide(self, request: Request) -> Outcome:
        """Refuse whom a variable does not speak for; the first line that is not met says how."""
        for each in self.required:
            for value in each.values:
                if value.evaluate(request) in ("", "0"):
                    if request.location[HttpCore].satisfy == "all":
                        report(request, ERROR, f'access forbidden by rule: "{value.text}" is not set')
                    return ended_with(each.status)
        return GRANTED

"""Access by the client's address: `allow` and `deny` (nginx: ngx_http_access_module)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from penstock.config.kinds import Kind
from penstock.config.registry import HTTP_LEVELS, LIMIT_EXCEPT, STREAM_LEVELS
from penstock.config.scope import Call, Scope
from penstock.config.settings import WHOLE, Settings, directives, phase
from penstock.config.values import Network, network
from penstock.http.request import Answer, Outcome, Request, special
from penstock.modules.core.http_core import HttpCore
from penstock.observe.errorlog import ERROR, report
from penstock.plan import phases

PAGE = "ngx_http_access_module.html"
REMEMBERED = 4096

GRANTED: Final = Answer(200)
"""What a handler of the access phase returns to let in, which `satisfy any` is content with. Never sent."""


@dataclass(frozen=True, slots=True)
class AccessRule:
    """One `allow` or `deny`."""

    network: Network
    allows: bool


def _rule(call: Call) -> AccessRule:
    word = call.args[0]
    try:
        found = network(word.text)
    except ValueError as error:
        raise call.fail(f'invalid parameter "{word.text}"', word, hint=str(error)) from None
    if found.trimmed:
        call.compilation.problems.warn(f"low address bits of {word.text} are meaningless", word.span)
    return AccessRule(found, call.name == "allow")


class Access(Settings):
    """The first rule that matches decides; where none does, access is granted.

    A level that has a rule of its own inherits none.
    """

    rules: tuple[AccessRule, ...] = directives(
        "allow",
        "deny",
        where=HTTP_LEVELS | LIMIT_EXCEPT | STREAM_LEVELS,
        takes=Kind(_rule, syntax="address | CIDR | unix: | all"),
        inherit=WHOLE,
        nginx=PAGE,
    )

    def finish(self, scope: Scope) -> None:
        self.known: dict[str, bool | None] = {}

    def allows(self, address: str) -> bool | None:
        """Return whether a client may come in; None where no rule speaks of it. `address` is textual, or "unix:"."""
        known = self.known
        if address in known:
            return known[address]
        verdict = next((rule.allows for rule in self.rules if rule.network.contains(address)), None)
        if len(known) >= REMEMBERED:
            known.clear()
        known[address] = verdict
        return verdict

    @phase(phases.ACCESS, when=lambda self: self.rules)
    def decide(self, request: Request) -> Outcome:
        """Answer 403 to whom a rule denies."""
        verdict = self.allows(request.connection.client_address)
        if verdict is None:
            return None
        if verdict:
            return GRANTED
        if request.location[HttpCore].satisfy == "all":
            report(request, ERROR, "access forbidden by rule")
        return special(403)

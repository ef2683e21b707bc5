"""Limits of requests that are being served at once, tunnels included (nginx: ngx_http_limit_conn_module).
"""

from __future__ import annotations

from dataclasses import dataclass

from penstock.config.kinds import choice, custom, flag
from penstock.config.registry import HTTP, HTTP_LEVELS, STREAM, STREAM_LEVELS, command
from penstock.config.scope import Call, Scope
from penstock.config.settings import Settings, directive, directives, phase
from penstock.config.tree import Directive
from penstock.config.values import decimal
from penstock.config.variables import variable
from penstock.http.request import Outcome, Request, special
from penstock.modules.access.limit_req import status_code
from penstock.modules.access.places import LONGEST_KEY, MODULE, TakenPlace, take
from penstock.modules.access.zones import Wanted, define, zone_words
from penstock.observe.errorlog import ERROR, LEVELS, report
from penstock.plan import phases

PAGE = "ngx_http_limit_conn_module.html"
STATUS = "limit_conn_status"



@command("limit_conn_zone", where=HTTP | STREAM, least=2, most=3, syntax="key zone=name:size [sync]", nginx=PAGE)
def limit_conn_zone(scope: Scope, directive: Directive) -> None:
    """Memory for what is being served, by the values of a key. With `sync` all machines of the `fleet` count together.
    """
    key, name, size, sync = zone_words(scope, directive)
    define(scope, directive, MODULE, key, name=name, size=size, sync=sync)


@dataclass(frozen=True, slots=True)
class ConnectionLimit:
    """One `limit_conn`."""

    wanted: Wanted
    most: int


def _limit(call: Call) -> ConnectionLimit:
    word = call.args[1]
    most = decimal(word.text)
    if not most:
        raise call.fail(f'invalid number of connections "{word.text}"', word)
    if most > 65535:
        raise call.fail("connection limit must be less 65536", word)
    wanted = Wanted(call.scope, MODULE, call.args[0].text, call.args[0])
    others: list[ConnectionLimit] = call.scope.own.get(LimitConn, {}).get("limits", [])
    if any(other.wanted.name == wanted.name for other in others):
        raise call.fail('"limit_conn" directive is duplicate')
    return ConnectionLimit(wanted, most)


class LimitConn(Settings):
    """How many requests may be under way for one value of a key. A tunnel is under way until it ends."""

    limits: tuple[ConnectionLimit, ...] = directives(
        "limit_conn",
        where=HTTP_LEVELS | STREAM_LEVELS,
        takes=custom(_limit, least=2, most=2, syntax="zone number"),
        nginx=PAGE,
    )
    log_level: str = directive(
        "limit_conn_log_level",
        where=HTTP_LEVELS | STREAM_LEVELS,
        takes=choice("info", "notice", "warn", "error"),
        default="error",
        nginx=PAGE,
    )
    status: int = directive(
        STATUS, where=HTTP_LEVELS, takes=custom(status_code, syntax="code"), default=503, nginx=PAGE
    )
    dry_run: bool = directive(
        "limit_conn_dry_run", where=HTTP_LEVELS | STREAM_LEVELS, takes=flag, default=False, nginx=PAGE
    )

    @phase(phases.PREACCESS, when=lambda self: self.limits)
    def decide(self, request: Request) -> Outcome:
        """Take a place in every zone, or in none."""
        main = request.main
        if STATUS in main.cached:
            return None
        taken: list[TakenPlace] = []
        for limit in self.limits:
            shared = limit.wanted.zone
            key = shared.key.evaluate(request)
            if len(key) > LONGEST_KEY:
                report(
                    request,
                    ERROR,
                    f'the value of the "{shared.key.text}" key is more than {LONGEST_KEY} bytes: "{key}"',
                )
                continue
            if not key:
                continue
            main.cached[STATUS] = "PASSED"
            digest = shared.memory.digest(key)
            if take(shared.memory, digest, limit.most):
                taken.append(TakenPlace(shared.memory, shared.name, key, digest))
                continue
            for place in taken:
                place()
            dry = ", dry run," if self.dry_run else ""
            report(request, LEVELS.index(self.log_level), f'limiting connections{dry} by zone "{shared.name}"')
            main.cached[STATUS] = "REJECTED_DRY_RUN" if self.dry_run else "REJECTED"
            return None if self.dry_run else special(self.status)
        for place in taken:
            main.at_end(place)
        return None


@variable(STATUS)
def limit_conn_status(request: Request) -> str | None:
    """PASSED, REJECTED, or REJECTED_DRY_RUN."""
    return request.main.cached.get(STATUS)

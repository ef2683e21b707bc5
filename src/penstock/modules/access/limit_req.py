"""Limits of the rate of requests: a leaky bucket for each value of a key (nginx: ngx_http_limit_req_module)."""

from __future__ import annotations

import struct
from dataclasses import dataclass

from penstock.config.errors import ConfigError
from penstock.config.kinds import choice, custom, flag
from penstock.config.registry import HTTP, HTTP_LEVELS, command
from penstock.config.scope import Call, Scope
from penstock.config.settings import Settings, directive, directives, phase
from penstock.config.tree import Directive, Word
from penstock.config.values import decimal, number, rate
from penstock.config.variables import variable
from penstock.http.request import Outcome, Request, special
from penstock.modules.access.delay import Delay
from penstock.modules.access.zones import Shared, Wanted, define, name_and_size
from penstock.observe.errorlog import ERROR, INFO, LEVELS, report
from penstock.plan import phases
from penstock.plan.later import Later
from penstock.shared.zone import Zone

PAGE = "ngx_http_limit_req_module.html"
MODULE = "limit_req"
LONGEST_KEY = 65535

_BUCKET = struct.Struct("<Qq")
"""When it was last counted (milliseconds), and how much it holds (thousandths of a request)."""

_NEVER = 1 << 62
STATUS = "limit_req_status"


@command(
    "limit_req_zone", where=HTTP, least=3, most=4, syntax="key zone=name:size rate=number r/s | r/m [sync]", nginx=PAGE
)
def limit_req_zone(scope: Scope, directive: Directive) -> None:
    """Memory for buckets, and the rate at which they leak. With `sync` there is one bucket for a key and all machines
    of the `fleet`."""
    key = Call(scope, directive).template(directive.args[0])
    name, size, leak, sync = "", 0, 1000, None
    for word in directive.args[1:]:
        if word.text.startswith("zone="):
            name, size = name_and_size(word)
        elif word.text.startswith("rate="):
            leak = _rate(word)
        elif word.text == "sync" and sync is None:
            sync = word
        else:
            raise ConfigError(f'invalid parameter "{word.text}"', word.span)
    if not name:
        raise ConfigError('"limit_req_zone" must have "zone" parameter', directive.span)
    define(scope, directive, MODULE, key, name=name, size=size, sync=sync).rate = leak


def _rate(word: Word) -> int:
    try:
        return round(rate(word.text.removeprefix("rate=")) * 1000)
    except ValueError:
        hint = "such as rate=10r/s or rate=30r/m"
        raise ConfigError(f'invalid rate "{word.text}"', word.span, hint=hint) from None


@dataclass(frozen=True, slots=True)
class RequestLimit:
    """One `limit_req`; `burst` and `delay` are thousandths of a request."""

    wanted: Wanted
    burst: int
    delay: int


def _limit(call: Call) -> RequestLimit:
    wanted: Wanted | None = None
    burst = delay = 0
    for word in call.args:
        name, equals, value = word.text.partition("=")
        if name == "zone" and equals:
            wanted = Wanted(call.scope, MODULE, value, word)
        elif name in ("burst", "delay") and equals:
            requests = decimal(value)
            if not requests:
                raise call.fail(f'invalid {name} value "{word.text}"', word)
            burst, delay = (requests * 1000, delay) if name == "burst" else (burst, requests * 1000)
        elif word.text == "nodelay":
            delay = _NEVER
        else:
            raise call.fail(f'invalid parameter "{word.text}"', word)
    if wanted is None:
        raise call.fail('"limit_req" must have "zone" parameter')
    others: list[RequestLimit] = call.scope.own.get(LimitReq, {}).get("limits", [])
    if any(other.wanted.name == wanted.name for other in others):
        raise call.fail('"limit_req" directive is duplicate')
    return RequestLimit(wanted, burst, delay)


def status_code(call: Call) -> int:
    """Read a status from 400 to 599."""
    word = call.args[0]
    try:
        status = number(word.text)
    except ValueError:
        raise call.fail(f'invalid number "{word.text}"', word) from None
    if not 400 <= status <= 599:
        side = "greater than 400" if status < 400 else "less than 599"
        raise call.fail(f"value must be equal to or {side}", word)
    return status


class LimitReq(Settings):
    """What exceeds the rate waits, and what exceeds the burst is refused. All limits of a level hold together."""

    limits: tuple[RequestLimit, ...] = directives(
        "limit_req",
        where=HTTP_LEVELS,
        takes=custom(_limit, most=3, syntax="zone=name [burst=number] [nodelay | delay=number]"),
        nginx=PAGE,
    )
    log_level: str = directive(
        "limit_req_log_level",
        where=HTTP_LEVELS,
        takes=choice("info", "notice", "warn", "error"),
        default="error",
        nginx=PAGE,
        doc="The level of what is refused; what is delayed is logged one level below.",
    )
    status: int = directive(
        STATUS, where=HTTP_LEVELS, takes=custom(status_code, syntax="code"), default=503, nginx=PAGE
    )
    dry_run: bool = directive("limit_req_dry_run", where=HTTP_LEVELS, takes=flag, default=False, nginx=PAGE)

    @property
    def delays(self) -> bool:
        """Return whether a request may have to wait here, and is not just let through or refused."""
        return not self.dry_run and any(limit.delay < limit.burst for limit in self.limits)

    @phase(phases.PREACCESS, when=lambda self: self.limits and self.delays, later=True)
    def decide(self, request: Request) -> Outcome | Later[Outcome]:
        """Count the request; let it wait, or refuse it."""
        refused, wait = self._judge(request)
        return Delay(wait) if wait else refused

    @phase(phases.PREACCESS, when=lambda self: self.limits and not self.delays)
    def decide_at_once(self, request: Request) -> Outcome:
        """Count the request, or refuse it."""
        return self._judge(request)[0]

    def _judge(self, request: Request) -> tuple[Outcome, float]:
        """Count the request: the answer where it is refused, and the seconds that it has to wait."""
        main = request.main
        if STATUS in main.cached:
            return None, 0.0
        counting = self._keys(request)
        if not counting:
            return None, 0.0
        now = int(request.connection.service.timers.now * 1000)
        last = len(counting) - 1
        for place, (limit, digest) in enumerate(counting):
            zone = limit.wanted.zone
            excess = (_count if place == last else _excess)(zone, digest, now, limit.burst)
            if excess > limit.burst:
                return self._refuse(request, zone, excess), 0.0
        longest, most, by = 0, 0, None
        for place in range(last, -1, -1):
            limit, digest = counting[place]
            zone = limit.wanted.zone
            if place != last:
                excess = _count(zone, digest, now, _NEVER)
            wait = (excess - limit.delay) * 1000 // zone.rate
            if excess > limit.delay and wait > longest:
                longest, most, by = wait, excess, zone
        if by is None:
            main.cached[STATUS] = "PASSED"
            return None, 0.0
        level = min(LEVELS.index(self.log_level) + 1, INFO)
        report(request, level, f'delaying request{self._dry}, excess: {_thousandths(most)}, by zone "{by.name}"')
        main.cached[STATUS] = "DELAYED_DRY_RUN" if self.dry_run else "DELAYED"
        return None, 0.0 if self.dry_run else longest / 1000

    @property
    def _dry(self) -> str:
        return ", dry run" if self.dry_run else ""

    def _keys(self, request: Request) -> list[tuple[RequestLimit, bytes]]:
        """The limits that concern the request: those whose key has a value."""
        found = []
        for limit in self.limits:
            zone = limit.wanted.zone
            key = zone.key.evaluate(request)
            if len(key) > LONGEST_KEY:
                report(
                    request, ERROR, f'the value of the "{zone.key.text}" key is more than {LONGEST_KEY} bytes: "{key}"'
                )
            elif key:
                found.append((limit, zone.memory.digest(key)))
        return found

    def _refuse(self, request: Request, zone: Shared, excess: int) -> Outcome:
        report(
            request,
            LEVELS.index(self.log_level),
            f'limiting requests{self._dry}, excess: {_thousandths(excess)} by zone "{zone.name}"',
        )
        request.main.cached[STATUS] = "REJECTED_DRY_RUN" if self.dry_run else "REJECTED"
        return None if self.dry_run else special(self.status)


def _thousandths(count: int) -> str:
    return f"{count // 1000}.{count % 1000:03d}"


def _excess(zone: Shared, digest: bytes, now: int, burst: int) -> int:
    """What the bucket would hold with this request, which is not counted yet."""
    memory = zone.memory
    with memory:
        at = memory.find(digest)
        return _filled(zone, at, now) if at >= 0 else 0


def _filled(zone: Shared, at: int, now: int) -> int:
    return _filled_at(zone.memory, at, now, zone.rate)


def _filled_at(memory: Zone, at: int, now: int, rate: int) -> int:
    last, excess = memory.read(at, _BUCKET)
    return max(excess - rate * max(now - last, 0) // 1000 + 1000, 0)


def _count(zone: Shared, digest: bytes, now: int, burst: int) -> int:
    return count(zone.memory, digest, now, zone.rate, burst)


def count(memory: Zone, digest: bytes, now: int, rate: int, burst: int) -> int:
    """Put the request into its bucket, unless that would then hold more than `burst`; what it holds, or would hold.

    A full zone forgets the bucket that was left alone longest.
    """
    with memory:
        at = memory.find(digest)
        if at >= 0:
            excess = _filled_at(memory, at, now, rate)
            if excess <= burst:
                memory.write(at, _BUCKET.pack(now, excess))
            return excess
        fresh = _BUCKET.pack(now, 0)
        if memory.put(digest, fresh) < 0:
            _forget_oldest(memory, digest)
            memory.put(digest, fresh)
        return 0


def _forget_oldest(memory: Zone, digest: bytes) -> None:
    oldest, _ = min(memory.neighbours(digest), key=lambda each: _BUCKET.unpack(each[1])[0])
    memory.remove(oldest)


@variable(STATUS)
def limit_req_status(request: Request) -> str | None:
    """PASSED, DELAYED, REJECTED, or the latter two with _DRY_RUN."""
    return request.main.cached.get(STATUS)

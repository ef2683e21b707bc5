"""Limits of requests that are being served at once, tunnels included (nginx: ngx_http_limit_conn_module).

Each worker has a record of its own for a value of the key, so that what a worker held that was killed is not held for
ever: its record goes when somebody asks for its place.
"""

from __future__ import annotations

import os
import struct
import sys
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
from penstock.modules.access.zones import PLACES_TOO, ZONES, Wanted, define, zone_words
from penstock.modules.fleet.places import FleetPlaces, held_anyway
from penstock.observe.errorlog import ERROR, LEVELS, report
from penstock.plan import phases
from penstock.plan.plan import STREAM_PART, Plan
from penstock.shared.processes import is_alive
from penstock.shared.zone import Zone

PAGE = "ngx_http_limit_conn_module.html"
MODULE = "limit_conn"
LONGEST_KEY = 255
STATUS = "limit_conn_status"

_HELD = struct.Struct("<QQ")
"""The worker (its process), and how many it serves."""


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


class TakenPlace:
    """A place that a request has; it is given back by a call. `beyond` is its place among all machines, where it came
    with the tunnel from another process; where it was taken here, the request has that by itself."""

    __slots__ = ("_digest", "_memory", "beyond", "key", "zone")

    def __init__(
        self, memory: Zone, zone: str, key: str, digest: bytes, beyond: FleetPlaces | None = None
    ) -> None:
        self._memory = memory
        self._digest = digest
        self.beyond = beyond
        self.zone = zone
        self.key = key

    def __call__(self) -> None:
        give_back(self._memory, self._digest)
        if self.beyond is not None:
            self.beyond()


def place_again(plan: Plan, zone: str, key: str, *, of_streams: bool = False) -> TakenPlace | None:
    """Take a place for a tunnel that had one in another process, however many there are; None where the configuration
    has no such zone."""
    part = plan.shared.get(STREAM_PART) if of_streams else plan.shared
    shared = None if part is None else (part.get(ZONES) or {}).get(zone)
    if shared is None or shared.module not in (MODULE, PLACES_TOO):
        return None
    digest = shared.memory.digest(key)
    if not take(shared.memory, digest, sys.maxsize):
        return None
    return TakenPlace(shared.memory, zone, key, digest, held_anyway(shared.fleet, shared.digests, key))


def count_held(zone: Zone, digest: bytes) -> int:
    """Return how many places are taken on this machine."""
    with zone:
        return _held(zone, digest, 0)[0]


def take(zone: Zone, digest: bytes, most: int) -> bool:
    """Take one of `most` places; whether there was one."""
    me = os.getpid()
    with zone:
        held, own = _held(zone, digest, me)
        if held >= most:
            _bury(zone, digest)
            held, own = _held(zone, digest, me)
            if held >= most:
                return False
        if own >= 0:
            zone.write(own, _HELD.pack(me, zone.read(own, _HELD)[1] + 1))
            return True
        mine = _HELD.pack(me, 1)
        if zone.put(digest, mine) >= 0:
            return True
        _bury(zone, digest)
        return zone.put(digest, mine) >= 0


def give_back(zone: Zone, digest: bytes) -> None:
    """Leave a place that this worker took."""
    me = os.getpid()
    with zone:
        for at in zone.all(digest):
            worker, count = zone.read(at, _HELD)
            if worker != me:
                continue
            if count > 1:
                zone.write(at, _HELD.pack(me, count - 1))
            else:
                zone.remove(at)
            return


def _held(zone: Zone, digest: bytes, me: int) -> tuple[int, int]:
    """How many places are taken, and the record of a worker (-1: it has none)."""
    held, own = 0, -1
    for at in zone.all(digest):
        worker, count = zone.read(at, _HELD)
        held += count
        if worker == me:
            own = at
    return held, own


def _bury(zone: Zone, digest: bytes) -> None:
    """Forget, in the neighbourhood, what workers held that are no more."""
    for at, value in list(zone.neighbours(digest)):
        worker, _ = _HELD.unpack(value)
        if not is_alive(worker):
            zone.remove(at)


@variable(STATUS)
def limit_conn_status(request: Request) -> str | None:
    """PASSED, REJECTED, or REJECTED_DRY_RUN."""
    return request.main.cached.get(STATUS)

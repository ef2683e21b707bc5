"""Limits that all machines share: what `limit_conn` and `limit_req` with a `sync` zone ask beyond this machine.

Both have decided here already, with the whole limit: what this machine alone refuses never reaches Redis. Then Redis is
asked once for all zones of the request. Where it does not answer in time, `on_error` of `fleet` counts: by `local` this
machine has its share of each limit, by the number of machines there were last.
"""

from __future__ import annotations

from penstock.config.registry import HTTP_LEVELS, STREAM_LEVELS
from penstock.config.scope import Scope
from penstock.config.settings import Settings, phase
from penstock.http.request import Outcome, Request, special
from penstock.modules.access import limit_conn, limit_req
from penstock.modules.access.delay import delay
from penstock.modules.access.limit_conn import ConnectionLimit, LimitConn, count_held
from penstock.modules.access.limit_req import LimitReq, RequestLimit, count
from penstock.modules.access.zones import Shared, zones
from penstock.modules.fleet.ask import GRANTED, NO_PLACE, PARTLY, TOO_FAST, Question
from penstock.modules.fleet.fleet import CLOSED, OPEN
from penstock.modules.fleet.link import Link
from penstock.modules.fleet.places import FleetPlaces
from penstock.observe.errorlog import LEVELS, report
from penstock.plan import phases

MODULE = "fleet"
FLEET_ASKED = "fleet asked"
SHARE = "\0share"
"""What is added to a key for the bucket that counts while Redis is not heard of."""


class FleetLimits(Settings):
    """The limits of a level whose zones say `sync`."""

    places: tuple[ConnectionLimit, ...] = ()
    rates: tuple[RequestLimit, ...] = ()
    any_zone = False

    def keeps_to_itself(self, inside: bool) -> bool:
        """Return whether a level below needs its own: its limits may be others."""
        return self.any_zone

    def finish(self, scope: Scope) -> None:
        """Choose the limits whose zones are counted for the whole fleet (`sync`)."""
        known = zones(scope.compilation)
        synced = {name for name, zone in known.items() if zone.digests is not None}
        self.any_zone = bool(synced)
        if synced:
            self.conn = scope.settings(LimitConn)
            self.req = scope.settings(LimitReq)
            self.places = tuple(limit for limit in self.conn.limits if limit.wanted.name in synced)
            self.rates = tuple(limit for limit in self.req.limits if limit.wanted.name in synced)
            named = [each.wanted.name for each in self.conn.limits] + [each.wanted.name for each in self.req.limits]
            spans = (*self.conn.origins.get("limits", ()), *self.req.origins.get("limits", ()))
            self.origins["limits"] = [span for name, span in zip(named, spans, strict=True) if name in synced]

    @phase(phases.PREACCESS, when=lambda self: self.places or self.rates)
    async def ask(self, request: Request) -> Outcome:
        """Ask for what the request needs beyond this machine; wait, or refuse it."""
        main = request.main
        if FLEET_ASKED in main.cached:
            return None
        question = Question()
        places = [(limit, key) for limit in self.places if (key := _key(request, limit.wanted.zone, limit_conn))]
        rates = [(limit, key) for limit in self.rates if (key := _key(request, limit.wanted.zone, limit_req))]
        link: Link | None = None
        for limit, key in places:
            zone = limit.wanted.zone
            link = _link(zone)
            question.place(_digest(zone, key), limit.most)
        for each, key in rates:
            zone = each.wanted.zone
            link = _link(zone)
            question.rate(_digest(zone, key), zone.rate, each.burst)
        if link is None:
            return None
        main.cached[FLEET_ASKED] = "ASKED"
        reply = await question.ask(link)
        # What the link held for the request while it waited is the request's, whatever comes next.
        verdict = None if reply is None else reply[0]
        if verdict == GRANTED and question.places:
            main.at_end(FleetPlaces(link, question.places))
        if reply is not None and verdict == NO_PLACE:
            return self._no_place(request, places[_number(reply[1])][0].wanted.zone)
        if reply is not None and verdict == TOO_FAST:
            return self._too_fast(request, rates[_number(reply[1])][0].wanted.zone, _number(reply[2]))
        if reply is None or verdict not in (GRANTED, PARTLY):
            return self._alone(request, link, places, rates)
        if verdict == PARTLY and places:
            refused = self._places_alone(request, link, places)
            if refused is not None:
                return refused
        wait = max(
            (
                (_number(excess) - each.delay) / each.wanted.zone.rate
                for (each, _), excess in zip(rates, reply[1:], strict=False)
                if _number(excess) > each.delay
            ),
            default=0.0,
        )
        if wait > 0:
            main.cached[limit_req.STATUS] = "DELAYED_DRY_RUN" if self.req.dry_run else "DELAYED"
            if not self.req.dry_run:
                await delay(request, wait)
        return None

    def _alone(
        self,
        request: Request,
        link: Link,
        places: list[tuple[ConnectionLimit, str]],
        rates: list[tuple[RequestLimit, str]],
    ) -> Outcome:
        """Decide without Redis."""
        how = link.options.on_error
        if how == CLOSED and rates:
            return self._too_fast(request, rates[0][0].wanted.zone, 0)
        if how != OPEN:
            now = int(request.connection.service.timers.now * 1000)
            for limit, key in rates:
                zone = limit.wanted.zone
                memory, rate = zone.memory, max(1, zone.rate // link.nodes)
                excess = count(memory, memory.digest(key + SHARE), now, rate, limit.burst)
                if excess > limit.burst:
                    return self._too_fast(request, zone, excess)
        return self._places_alone(request, link, places)

    def _places_alone(self, request: Request, link: Link, places: list[tuple[ConnectionLimit, str]]) -> Outcome:
        """Take places without Redis's word: it is told of them as soon as it is heard of."""
        how = link.options.on_error
        for limit, key in places:
            zone = limit.wanted.zone
            if how == CLOSED:
                return self._no_place(request, zone)
            share = limit.most if how == OPEN else max(1, limit.most // link.nodes)
            # The place that this request took here is among them.
            if count_held(zone.memory, zone.memory.digest(key)) > share:
                return self._no_place(request, zone)
        digests = [_digest(limit.wanted.zone, key) for limit, key in places]
        for digest in digests:
            link.hold(digest)
        if digests:
            request.main.at_end(FleetPlaces(link, digests))
        return None

    def _no_place(self, request: Request, zone: Shared) -> Outcome:
        dry = ", dry run," if self.conn.dry_run else ""
        level = LEVELS.index(self.conn.log_level)
        report(request, level, f'limiting connections{dry} by zone "{zone.name}" of the fleet')
        request.main.cached[limit_conn.STATUS] = "REJECTED_DRY_RUN" if self.conn.dry_run else "REJECTED"
        return None if self.conn.dry_run else special(self.conn.status)

    def _too_fast(self, request: Request, zone: Shared, excess: int) -> Outcome:
        dry = ", dry run" if self.req.dry_run else ""
        words = f"excess: {excess // 1000}.{excess % 1000:03d}"
        level = LEVELS.index(self.req.log_level)
        report(request, level, f'limiting requests{dry}, {words} by zone "{zone.name}" of the fleet')
        request.main.cached[limit_req.STATUS] = "REJECTED_DRY_RUN" if self.req.dry_run else "REJECTED"
        return None if self.req.dry_run else special(self.req.status)


FleetLimits.levels = HTTP_LEVELS | STREAM_LEVELS


def _key(request: Request, zone: Shared, module: object) -> str:
    """The value of a zone's key; "" where that does not count, which the module itself has said."""
    key = zone.key.evaluate(request)
    longest = limit_conn.LONGEST_KEY if module is limit_conn else limit_req.LONGEST_KEY
    return key if len(key) <= longest else ""


def _digest(zone: Shared, key: str) -> bytes:
    assert zone.digests is not None
    return zone.digests.of(key)


def _link(zone: Shared) -> Link | None:
    return None if zone.fleet is None else zone.fleet.link


def _number(value: object) -> int:
    return value if isinstance(value, int) else 0

"""Limits that all machines share: what `limit_conn` and `limit_req` with a `sync` zone ask beyond this machine.

Both have decided here already, with the whole limit: what this machine alone refuses never reaches Redis. Then Redis is
asked once for all zones of the request. Where it does not answer in time, `on_error` of `fleet` counts: by `local` this
machine has its share of each limit, by the number of machines there were last.

Who needs more places for some requests, and knows which ones only behind the access checks (`websocket_quota`), has
the question put off until then (`PUT_OFF`), so that one question asks for all.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

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
NOW, LATER = "ASKED", "PUT OFF"
SHARE = "\0share"
"""What is added to a key for the bucket that counts while Redis is not heard of."""


class MorePlaces(Protocol):
    """Places that somebody else needs for a request, in the same question."""

    def add_to(self, question: Question) -> Link:
        """Add them to a question; return whom to ask."""

    def refuse(self, number: int) -> Outcome:
        """Refuse the request: this one of them is not to be had."""

    def alone(self, link: Link) -> Outcome:
        """Decide without Redis: refuse the request, or None."""


PUT_OFF: list[Callable[[Scope], Callable[[Request], bool] | None]] = []
"""Each is asked about a level, and returns what says of a request there that it will come with `MorePlaces`."""


class FleetLimits(Settings):
    """The limits of a level whose zones say `sync`."""

    places: tuple[ConnectionLimit, ...] = ()
    rates: tuple[RequestLimit, ...] = ()
    any_zone = False
    puts_off: Callable[[Request], bool] | None = None

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
            # What a dry run lacks takes nothing for the others, either: it has a question of its own.
            if not self.conn.dry_run and not self.req.dry_run:
                self.puts_off = next((found for each in PUT_OFF if (found := each(scope))), None)

    @phase(phases.PREACCESS, when=lambda self: self.places or self.rates)
    async def ask(self, request: Request) -> Outcome:
        """Ask for what the request needs beyond this machine; wait, or refuse it."""
        main = request.main
        if FLEET_ASKED in main.cached:
            return None
        put_off = self.puts_off is not None and self.puts_off(request)
        # But guesses at passwords are counted before they are judged.
        if put_off and not (self.rates and request.location.phases[phases.ACCESS]):
            main.cached[FLEET_ASKED] = LATER
            return None
        return await self._ask(request, self.places, self.rates, None)

    async def ask_for_more(self, request: Request, more: MorePlaces | None) -> Outcome:
        """Ask for these places, and for what was put off for them; wait, or refuse the request."""
        cached = request.main.cached
        if cached.get(FLEET_ASKED) == LATER:
            del cached[FLEET_ASKED]
            return await self._ask(request, self.places, self.rates, more)
        return None if more is None else await self._ask(request, (), (), more)

    async def _ask(
        self,
        request: Request,
        wanted: tuple[ConnectionLimit, ...],
        counted: tuple[RequestLimit, ...],
        more: MorePlaces | None,
    ) -> Outcome:
        main = request.main
        question = Question()
        places = [(limit, key) for limit in wanted if (key := _key(request, limit.wanted.zone, limit_conn))]
        rates = [(limit, key) for limit in counted if (key := _key(request, limit.wanted.zone, limit_req))]
        link: Link | None = None
        for limit, key in places:
            zone = limit.wanted.zone
            link = _link(zone)
            question.place(_digest(zone, key), limit.most)
        for each, key in rates:
            zone = each.wanted.zone
            link = _link(zone)
            question.rate(_digest(zone, key), zone.rate, each.burst)
        if more is not None:
            link = more.add_to(question)
        if link is None:
            return None
        if places or rates:
            main.cached[FLEET_ASKED] = NOW
        reply = await question.ask(link)
        # What the link held for the request while it waited is the request's, whatever comes next.
        verdict = None if reply is None else reply[0]
        if verdict == GRANTED and question.places:
            main.at_end(FleetPlaces(link, question.places))
        if reply is not None and verdict == NO_PLACE:
            number = _number(reply[1])
            if number < len(places):
                return self._no_place(request, places[number][0].wanted.zone)
            assert more is not None
            return more.refuse(number - len(places))
        if reply is not None and verdict == TOO_FAST:
            return self._too_fast(request, rates[_number(reply[1])][0].wanted.zone, _number(reply[2]))
        if reply is None or verdict not in (GRANTED, PARTLY):
            refused = self._rates_alone(request, link, rates)
            return refused if refused is not None else self._places_alone(request, link, places, question, more)
        if verdict == PARTLY and question.places:
            refused = self._places_alone(request, link, places, question, more)
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

    def _rates_alone(self, request: Request, link: Link, rates: list[tuple[RequestLimit, str]]) -> Outcome:
        """Judge rates without Redis: by this machine's share of them."""
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
        return None

    def _places_alone(
        self,
        request: Request,
        link: Link,
        places: list[tuple[ConnectionLimit, str]],
        question: Question,
        more: MorePlaces | None,
    ) -> Outcome:
        """Take places without Redis's word: it is told of them as soon as it is heard of."""
        for limit, key in places:
            zone = limit.wanted.zone
            if not may_have(link, limit.most, zone, key):
                return self._no_place(request, zone)
        refused = None if more is None else more.alone(link)
        if refused is not None:
            return refused
        for digest in question.places:
            link.hold(digest)
        if question.places:
            request.main.at_end(FleetPlaces(link, question.places))
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


def may_have(link: Link, most: int, zone: Shared, key: str) -> bool:
    """Return whether this machine may keep the place that it has just taken for a key, without Redis's word."""
    how = link.options.on_error
    if how == CLOSED:
        return False
    share = most if how == OPEN else max(1, most // link.nodes)
    return count_held(zone.memory, zone.memory.digest(key)) <= share


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

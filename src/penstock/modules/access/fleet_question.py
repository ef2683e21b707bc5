"""A request's question to Redis about all of its limits, and what becomes of the request by the answer.

Where none comes in time, `on_error` of `fleet` counts: by `local` this machine has its share of each limit, by the
number of machines there were last.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from penstock.http.request import Outcome, Request, special
from penstock.modules.access import limit_conn, limit_req
from penstock.modules.access.delay import Delay
from penstock.modules.access.limit_conn import ConnectionLimit, LimitConn
from penstock.modules.access.limit_req import LimitReq, RequestLimit, count
from penstock.modules.access.places import count_held
from penstock.modules.access.zones import Shared
from penstock.modules.fleet.ask import GRANTED, NO_PLACE, PARTLY, TOO_FAST, question
from penstock.modules.fleet.membership import CLOSED, OPEN
from penstock.modules.fleet.places import FleetPlaces
from penstock.observe.errorlog import LEVELS, report, report_mistake
from penstock.plan.later import Later

if TYPE_CHECKING:
    from collections.abc import Sequence

    from penstock.modules.fleet.call import RedisCall
    from penstock.modules.fleet.link import Link
    from penstock.net.redis.replies import Reply

SHARE = "\0share"
"""What is added to a key for the bucket that counts while Redis is not heard of."""


class MorePlaces(Protocol):
    """Places that somebody else needs for a request, in the same question. `link` is whom to ask for them."""

    link: Link | None
    places: Sequence[tuple[bytes, int]]
    """The digest of each, and how many there are."""

    def granted(self) -> None:
        """Note that nothing stands in the way any more."""

    def refuse(self, number: int) -> Outcome:
        """Refuse the request: this one of them is not to be had."""

    def alone(self, link: Link) -> Outcome:
        """Decide without Redis: refuse the request, or None."""


class Demand:
    """What a request needs, with the values of the keys: places, and rates to be counted in. `limits` says whether
    there is any of both; `digests` are those of all places, `question` is what Redis is asked."""

    __slots__ = ("digests", "limits", "places", "question", "rates")

    def __init__(
        self,
        places: tuple[tuple[ConnectionLimit, str], ...],
        rates: tuple[tuple[RequestLimit, str], ...],
        more: Sequence[tuple[bytes, int]] = (),
    ) -> None:
        self.places = places
        self.rates = rates
        self.limits = bool(places or rates)
        wanted = [(_digest(limit.wanted.zone, key), limit.most) for limit, key in places]
        wanted += more
        counted = [(_digest(each.wanted.zone, key), each.wanted.zone.rate, each.burst) for each, key in rates]
        self.digests = tuple([digest for digest, _ in wanted])
        self.question = question(wanted, counted)

    def beside(self, more: MorePlaces) -> Demand:
        """Return it with more places."""
        return Demand(self.places, self.rates, more.places)


class FleetQuestion(Later[Outcome]):
    """One question, until it is known what becomes of the request."""

    __slots__ = ("_call", "_conn", "_delay", "_demand", "_link", "_more", "_req", "_request")

    def __init__(
        self, conn: LimitConn, req: LimitReq, request: Request, demand: Demand, more: MorePlaces | None, link: Link
    ) -> None:
        self.told = None
        self._conn = conn
        self._req = req
        self._request = request
        self._demand = demand
        self._more = more
        self._link = link
        self._delay: Later[Outcome] | None = None
        self._call: RedisCall | None = None

    def ask(self) -> Outcome | Later[Outcome]:
        """Ask; what becomes of the request where that is known at once."""
        demand = self._demand
        call = self._call = self._link.enter(demand.question, demand.digests, self._hear)
        return self._outcome(None) if call is None else self

    def drop(self) -> None:
        """Let nobody wait. Places that are granted from now on are nobody's."""
        self.told = None
        call, self._call = self._call, None
        if call is not None:
            call.waiter = None
        if self._delay is not None:
            self._delay.drop()

    def _hear(self, reply: list[Reply] | None) -> None:
        """Redis has answered, or it is too late for that."""
        self._call = None
        try:
            outcome = self._outcome(reply)
        except Exception as error:  # a mistake of ours costs this request, and not the link
            report_mistake(self._request, error)
            outcome = special(500)
        if isinstance(outcome, Later):
            self._delay = outcome
            outcome.told = self.say
        else:
            self.say(outcome)

    def _outcome(self, reply: list[Reply] | None) -> Outcome | Later[Outcome]:
        """What becomes of the request by an answer."""
        demand, more, rates = self._demand, self._more, self._demand.rates
        verdict = None if reply is None else reply[0]
        # What the link held for the request while it waited is the request's, whatever comes next.
        if verdict == GRANTED and demand.digests:
            self._request.main.at_end(FleetPlaces(self._link, demand.digests))
        refused: Outcome = None
        if reply is None or verdict not in (GRANTED, PARTLY, NO_PLACE, TOO_FAST):
            refused = self._rates_alone() or self._places_alone()
        elif verdict == NO_PLACE:
            refused = self._lacks(_number(reply[1]))
        elif verdict == TOO_FAST:
            return self._too_fast(rates[_number(reply[1])][0].wanted.zone, _number(reply[2]))
        elif verdict == PARTLY and demand.digests:
            refused = self._places_alone()
        if refused is not None:
            return refused
        if more is not None:
            more.granted()
        return self._slow_down(reply) if rates and reply is not None and verdict in (GRANTED, PARTLY) else None

    def _slow_down(self, reply: list[Reply]) -> Outcome | Later[Outcome]:
        """Let the request wait where a rate wants that."""
        waits = [
            (_number(excess) - each.delay) / each.wanted.zone.rate
            for (each, _), excess in zip(self._demand.rates, reply[1:], strict=False)
        ]
        wait = max(waits, default=0.0)
        if wait <= 0:
            return None
        dry = self._req.dry_run
        self._request.main.cached[limit_req.STATUS] = "DELAYED_DRY_RUN" if dry else "DELAYED"
        return None if dry else Delay(wait)

    def _rates_alone(self) -> Outcome:
        """Judge rates without Redis: by this machine's share of them."""
        link, request, rates = self._link, self._request, self._demand.rates
        how = link.options.on_error
        if how == CLOSED and rates:
            return self._too_fast(rates[0][0].wanted.zone, 0)
        if how != OPEN:
            now = int(request.connection.service.timers.now * 1000)
            for limit, key in rates:
                zone = limit.wanted.zone
                memory, rate = zone.memory, max(1, zone.rate // link.nodes)
                excess = count(memory, memory.digest(key + SHARE), now, rate, limit.burst)
                if excess > limit.burst:
                    return self._too_fast(zone, excess)
        return None

    def _places_alone(self) -> Outcome:
        """Take places without Redis's word: it is told of them as soon as it is heard of."""
        link, demand, more = self._link, self._demand, self._more
        for limit, key in demand.places:
            zone = limit.wanted.zone
            if not may_have(link, limit.most, zone, key):
                return self._no_place(zone)
        refused = None if more is None else more.alone(link)
        if refused is not None:
            return refused
        for digest in demand.digests:
            link.hold(digest)
        if demand.digests:
            self._request.main.at_end(FleetPlaces(link, demand.digests))
        return None

    def _lacks(self, number: int) -> Outcome:
        places = self._demand.places
        if number < len(places):
            return self._no_place(places[number][0].wanted.zone)
        assert self._more is not None
        return self._more.refuse(number - len(places))

    def _no_place(self, zone: Shared) -> Outcome:
        conn, request = self._conn, self._request
        dry = ", dry run," if conn.dry_run else ""
        level = LEVELS.index(conn.log_level)
        report(request, level, f'limiting connections{dry} by zone "{zone.name}" of the fleet')
        request.main.cached[limit_conn.STATUS] = "REJECTED_DRY_RUN" if conn.dry_run else "REJECTED"
        return None if conn.dry_run else special(conn.status)

    def _too_fast(self, zone: Shared, excess: int) -> Outcome:
        req, request = self._req, self._request
        dry = ", dry run" if req.dry_run else ""
        words = f"excess: {excess // 1000}.{excess % 1000:03d}"
        level = LEVELS.index(req.log_level)
        report(request, level, f'limiting requests{dry}, {words} by zone "{zone.name}" of the fleet')
        request.main.cached[limit_req.STATUS] = "REJECTED_DRY_RUN" if req.dry_run else "REJECTED"
        return None if req.dry_run else special(req.status)


def may_have(link: Link, most: int, zone: Shared, key: str) -> bool:
    """Return whether this machine may keep the place that it has just taken for a key, without Redis's word."""
    how = link.options.on_error
    if how == CLOSED:
        return False
    share = most if how == OPEN else max(1, most // link.nodes)
    return count_held(zone.memory, zone.memory.digest(key)) <= share


def _digest(zone: Shared, key: str) -> bytes:
    assert zone.digests is not None
    return zone.digests.of(key)


def _number(value: object) -> int:
    return value if isinstance(value, int) else 0

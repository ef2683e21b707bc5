"""Limits that all machines share: what `limit_conn` and `limit_req` with a `sync` zone ask beyond this machine.

Both have decided here already, with the whole limit: what this machine alone refuses never reaches Redis. Then Redis is
asked once for all zones of the request (`fleet_question.py`).

Who needs more places for some requests, and knows which ones only behind the access checks (`websocket_quota`), has
the question put off until then (`PUT_OFF`), so that one question asks for all.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from penstock.config.registry import HTTP_LEVELS, STREAM_LEVELS
from penstock.config.scope import Scope
from penstock.config.settings import Settings, phase
from penstock.http.request import Outcome, Request
from penstock.modules.access import limit_req, places
from penstock.modules.access.fleet_question import Demand, FleetQuestion, MorePlaces
from penstock.modules.access.limit_conn import ConnectionLimit, LimitConn
from penstock.modules.access.limit_req import LimitReq, RequestLimit
from penstock.modules.access.zones import Shared, zones
from penstock.plan import phases
from penstock.plan.later import Later
from penstock.shared.memo import Memo

if TYPE_CHECKING:
    from penstock.modules.fleet.link import Link

MODULE = "fleet"
FLEET_ASKED = "fleet asked"
NOW, LATER = "ASKED", "PUT OFF"
NO_DEMAND = Demand((), ())

PUT_OFF: list[Callable[[Scope], Callable[[Request], bool] | None]] = []
"""Each is asked about a level, and returns what says of a request there that it will come with `MorePlaces`."""


class FleetLimits(Settings):
    """The limits of a level whose zones say `sync`."""

    places: tuple[ConnectionLimit, ...] = ()
    rates: tuple[RequestLimit, ...] = ()
    zones: tuple[tuple[Shared, int], ...] = ()
    """Those of the limits, in the same order, and how long a key may be."""
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
            lengths = [(each.wanted.name, places.LONGEST_KEY) for each in self.places]
            lengths += [(each.wanted.name, limit_req.LONGEST_KEY) for each in self.rates]
            self.zones = tuple((known[name], longest) for name, longest in lengths)
            self.demands: Memo[tuple[object, ...], Demand] = Memo()
            named = [each.wanted.name for each in self.conn.limits] + [each.wanted.name for each in self.req.limits]
            spans = (*self.conn.origins.get("limits", ()), *self.req.origins.get("limits", ()))
            self.origins["limits"] = [span for name, span in zip(named, spans, strict=True) if name in synced]
            # What a dry run lacks takes nothing for the others, either: it has a question of its own.
            if not self.conn.dry_run and not self.req.dry_run:
                self.puts_off = next((found for each in PUT_OFF if (found := each(scope))), None)

    @phase(phases.PREACCESS, when=lambda self: self.zones, later=True)
    def ask(self, request: Request) -> Outcome | Later[Outcome]:
        """Ask for what the request needs beyond this machine; let it wait, or refuse it."""
        main = request.main
        if FLEET_ASKED in main.cached:
            return None
        put_off = self.puts_off is not None and self.puts_off(request)
        # But guesses at passwords are counted before they are judged.
        if put_off and not (self.rates and request.location.phases[phases.ACCESS]):
            main.cached[FLEET_ASKED] = LATER
            return None
        return self._ask(request, self._demand(request), None)

    def ask_for_more(self, request: Request, more: MorePlaces | None) -> Outcome | Later[Outcome]:
        """Ask for these places, and for what was put off for them; let the request wait, or refuse it."""
        cached = request.main.cached
        if cached.get(FLEET_ASKED) == LATER:
            del cached[FLEET_ASKED]
            return self._ask(request, self._demand(request), more)
        return None if more is None else self._ask(request, NO_DEMAND, more)

    def _ask(self, request: Request, demand: Demand, more: MorePlaces | None) -> Outcome | Later[Outcome]:
        if demand.limits:
            request.main.cached[FLEET_ASKED] = NOW
        if more is not None:
            demand = demand.beside(more)
        link = more.link if more is not None and more.places else self._link()
        if link is None or not (demand.digests or demand.rates):
            if more is not None:
                more.granted()
            return None
        return FleetQuestion(self.conn, self.req, request, demand, more, link).ask()

    def _link(self) -> Link | None:
        fleet = self.zones[0][0].fleet if self.zones else None
        return None if fleet is None else fleet.link

    def _demand(self, request: Request) -> Demand:
        """What a request needs by these limits. A key that is empty or too long does not count: who counts here has
        said so."""
        values = [(zone.key.evaluate(request), longest) for zone, longest in self.zones]
        keys = tuple([key if len(key) <= longest else "" for key, longest in values])
        demand = self.demands.get(keys)
        if demand is None:
            demand = self._made(keys)
            if self.demands.again(keys):
                self.demands[keys] = demand
        return demand

    def _made(self, keys: tuple[str, ...]) -> Demand:
        first = len(self.places)
        places = tuple((limit, key) for limit, key in zip(self.places, keys, strict=False) if key)
        rates = tuple((limit, key) for limit, key in zip(self.rates, keys[first:], strict=True) if key)
        return Demand(places, rates)


FleetLimits.levels = HTTP_LEVELS | STREAM_LEVELS

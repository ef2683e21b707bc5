"""What the tunnels of a user, a tenant, an API key may use together: `websocket_quota_zone` and `websocket_quota`.

A handshake whose key has used up its quota is answered by a WebSocket that is closed at once, with the code: pages
never see a status. Open tunnels are counted by `server/websocket/quotas.py`, about once a second, never message by
message.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, NamedTuple

from penstock.config.errors import ConfigError
from penstock.config.kinds import custom
from penstock.config.registry import HTTP, HTTP_LEVELS, Context, command
from penstock.config.scope import Call, Scope
from penstock.config.settings import Settings, directives, phase
from penstock.config.tree import Directive
from penstock.config.values import decimal, offset
from penstock.config.variables import variable
from penstock.http.request import Answer, Outcome, Request
from penstock.modules.access.fleet_limits import PUT_OFF, FleetLimits
from penstock.modules.access.fleet_question import may_have
from penstock.modules.access.places import LONGEST_KEY, TakenPlace, take
from penstock.modules.access.zones import Wanted, define, zone_words, zones
from penstock.modules.websocket.params import code, options, side
from penstock.modules.websocket.quota_counts import BYTES, MESSAGES, Allowance, Quota, QuotaZone
from penstock.modules.websocket.quota_keys import COUNTED, QUOTA_ZONES
from penstock.modules.websocket.websocket import WebSocket, asks, closed_at_once, has_refused, what_is_wrong
from penstock.observe.errorlog import ERROR, WARN, report
from penstock.plan import phases
from penstock.plan.later import Later
from penstock.shared.zone import Zone

if TYPE_CHECKING:
    from penstock.modules.fleet.link import Link

MODULE = "websocket_quota"
SYNTAX = (
    "zone [tunnels=number] [messages=number/period] [bytes=size/period] [from=client | backend | both] [code=number]"
)
PERIODS = {"m": 60, "h": 3600, "d": 86400}
THOUSANDS = {"k": 1000, "m": 1000**2, "g": 1000**3}
MOST = 2**52
"""Of a quota: Redis counts in floating point, exactly up to here."""
MOST_TUNNELS = 65535
STATUS = "websocket_quota_status"


@command("websocket_quota_zone", where=HTTP, least=2, most=3, syntax="key zone=name:size [sync]")
def websocket_quota_zone(scope: Scope, directive: Directive) -> None:
    """Memory for what WebSockets have used of their quotas, by the values of a key: half of it for open tunnels, half
    for messages and bytes. With `sync` all machines of the `fleet` count together."""
    key, name, size, sync = zone_words(scope, directive)
    made = QuotaZone(define(scope, directive, MODULE, key, name=name, size=size // 2, sync=sync))
    compilation = scope.compilation
    compilation.shared.setdefault(QUOTA_ZONES, {})[name] = made

    def take_memory() -> None:
        old = (compilation.previous.get(QUOTA_ZONES) or {}).get(name)
        kept = old is not None and old.shared.zone is made.shared.zone
        made.counts = old.counts if old is not None and kept else Zone(f"{name} used", size - size // 2)

    compilation.defer(take_memory)


class QuotaLine(NamedTuple):
    """A `websocket_quota`: the zone it names, and what it allows."""

    wanted: Wanted
    quota: Quota


def _tunnels(text: str) -> int:
    found = decimal(text)
    if not found or found > MOST_TUNNELS:
        raise ValueError(f"1 to {MOST_TUNNELS} tunnels")
    return found


def _in_period(text: str) -> tuple[str, int]:
    amount, slash, unit = text.rpartition("/")
    if not slash or unit not in PERIODS:
        raise ValueError("an amount for a minute, an hour or a day, such as 100k/d")
    return amount, PERIODS[unit]


def _messages(text: str) -> Allowance:
    amount, period = _in_period(text)
    scale = THOUSANDS.get(amount[-1:].lower(), 1)
    found = decimal(amount if scale == 1 else amount[:-1])
    if not found or found * scale > MOST:
        raise ValueError("a number of messages for a minute, an hour or a day, such as 100k/d")
    return Allowance(MESSAGES, found * scale, period)


def _bytes(text: str) -> Allowance:
    amount, period = _in_period(text)
    found = offset(amount)
    if not found or found > MOST:
        raise ValueError("a size for a minute, an hour or a day, such as 1g/d")
    return Allowance(BYTES, found, period)


def _line(call: Call) -> QuotaLine:
    word = call.args[0]
    known = {"tunnels": _tunnels, MESSAGES: _messages, BYTES: _bytes, "from": side, "code": code}
    given = options(call, call.args[1:], known)
    allowances = tuple(given[unit] for unit in (MESSAGES, BYTES) if unit in given)
    if not allowances and "tunnels" not in given:
        raise call.fail('"websocket_quota" allows nothing', hint=f"syntax: websocket_quota {SYNTAX};")
    whose = given.get("from", "client")
    quota = Quota(
        word.text,
        given.get("tunnels", 0),
        allowances,
        whose != "backend",
        whose != "client",
        given.get("code", 1008),
    )
    others: list[QuotaLine] = call.scope.own.get(Quotas, {}).get("lines", [])
    if any(other.wanted.name == word.text for other in others):
        raise call.fail('"websocket_quota" directive is duplicate')
    return QuotaLine(Wanted(call.scope, MODULE, word.text, word), quota)


class QuotaKey(NamedTuple):
    """A key whose tunnel counts toward a quota."""

    zone: QuotaZone
    key: str
    quota: Quota


"""Where a handshake keeps what its tunnel will count toward."""


class Quotas(Settings):
    """The quotas of a level; all of them hold together."""

    lines: tuple[QuotaLine, ...] = directives(
        MODULE,
        where=HTTP_LEVELS,
        takes=custom(_line, most=6, syntax=SYNTAX),
        doc="What the WebSockets of one value of the zone's key may use together: how many there may be at once, and "
        "how many messages and payload bytes in a minute, an hour or a day of UTC (`/m`, `/h`, `/d`), of what clients "
        "send unless `from` says otherwise. Who has used it up is closed with 1008 or `code`, and so is each new one, "
        "as soon as it is open. It is counted about once a second, so that a second's use may come on top. Needs "
        "`websocket on` or `auto`. See [WebSocket](websocket.md#quotas).",
    )

    def finish(self, scope: Scope) -> None:
        self.zones: dict[str, QuotaZone] = scope.compilation.shared.setdefault(QUOTA_ZONES, {})
        if not self.lines or "lines" not in scope.own.get(Quotas, {}) or not scope.context & Context.LOCATION:
            return
        wish = scope.settings(WebSocket).wish
        if wish is None or not wish.carries:
            raise ConfigError(
                '"websocket_quota" needs "websocket on" or "websocket auto": messages are not counted without',
                self.origin("lines") or self.lines[0].wanted.word.span,
                hint="write: websocket auto;",
            )

    @phase(phases.PRECONTENT, when=lambda self: self.lines, later=True)
    def decide(self, request: Request) -> Outcome | Later[Outcome]:
        """Let a handshake go on whose keys have something left, and take its places; else close it as it opens."""
        if not _concerns(request):
            return None
        main, limits = request.main, request.location[FleetLimits]
        counted = [] if what_is_wrong(request) else self._counted(request)
        if not counted:
            return limits.ask_for_more(request, None)
        main.cached[STATUS] = "PASSED"
        for each in counted:
            unit = each.zone.used_up(each.key, each.quota)
            if unit:
                return _refused(request, each, unit)
        places = [each for each in counted if each.quota.tunnels]
        lacking = _take_places(request, places)
        if lacking is not None:
            return _refused(request, lacking, "tunnels")
        return limits.ask_for_more(request, QuotaPlaces(request, counted))

    def _counted(self, request: Request) -> list[QuotaKey]:
        """Return what the tunnel of a handshake will count toward."""
        counted: list[QuotaKey] = []
        for line in self.lines:
            shared = line.wanted.zone
            key = shared.key.evaluate(request)
            if len(key) > LONGEST_KEY:
                text = f'the value of the "{shared.key.text}" key is more than {LONGEST_KEY} bytes: "{key}"'
                report(request, ERROR, text)
            elif key:
                counted.append(QuotaKey(self.zones[line.quota.zone], key, line.quota))
        return counted


def _concerns(request: Request) -> bool:
    """Whether a request is a handshake that was not judged before."""
    return request.parent is None and STATUS not in request.main.cached and asks(request) and not has_refused(request)


def _puts_off(scope: Scope) -> Callable[[Request], bool] | None:
    """Whether quotas ask for places among all machines at a level: of which requests."""
    known = zones(scope.compilation)
    for line in scope.settings(Quotas).lines if scope.context & HTTP_LEVELS else ():
        zone = known.get(line.wanted.name)
        if line.quota.tunnels and zone is not None and zone.digests is not None:
            return _concerns
    return None


PUT_OFF.append(_puts_off)


def _refused(request: Request, counted: QuotaKey, unit: str) -> Answer:
    request.main.cached[STATUS] = "REJECTED"
    meters = request.connection.service.meters
    if meters is not None:
        meters.over_quota()
    report(request, WARN, f'websocket_quota: the {unit} of zone "{counted.quota.zone}" are used up, refusing')
    return closed_at_once(request, counted.quota.code, words_for(unit))


def words_for(unit: str) -> str:
    """Return what a client is told whose quota is used up."""
    return f"quota of {unit} used up"


def _take_places(request: Request, wanted: list[QuotaKey]) -> QuotaKey | None:
    """Take a place on this machine for each, or none; which one lacks a place."""
    taken: list[TakenPlace] = []
    for each in wanted:
        shared = each.zone.shared
        digest = shared.memory.digest(each.key)
        if not take(shared.memory, digest, each.quota.tunnels):
            for place in taken:
                place()
            return each
        taken.append(TakenPlace(shared.memory, shared.name, each.key, digest))
    for place in taken:
        request.main.at_end(place)
    return None


class QuotaPlaces:
    """The places that a handshake needs among all machines for what it will count toward."""

    __slots__ = ("_counted", "_request", "_wanted", "link", "places")

    def __init__(self, request: Request, counted: list[QuotaKey]) -> None:
        self._request = request
        self._counted = counted
        self._wanted = [each for each in counted if each.quota.tunnels and each.zone.link is not None]
        self.link: Link | None = self._wanted[0].zone.link if self._wanted else None
        places: list[tuple[bytes, int]] = []
        for each in self._wanted:
            digests = each.zone.shared.digests
            assert digests is not None
            places.append((digests.of(each.key), each.quota.tunnels))
        self.places: Sequence[tuple[bytes, int]] = places

    def granted(self) -> None:
        """Let the tunnel count toward all of it."""
        self._request.main.context(COUNTED, list).extend(each for each in self._counted if each.quota.allowances)

    def refuse(self, number: int) -> Outcome:
        """Close the WebSocket as it opens: one of them is not to be had."""
        return _refused(self._request, self._wanted[min(number, len(self._wanted) - 1)], "tunnels")

    def alone(self, link: Link) -> Outcome:
        """Decide without Redis."""
        for each in self._wanted:
            if not may_have(link, each.quota.tunnels, each.zone.shared, each.key):
                return _refused(self._request, each, "tunnels")
        return None


@variable(STATUS)
def websocket_quota_status(request: Request) -> str | None:
    """PASSED, or REJECTED: the handshake's key had used up a quota."""
    return request.main.cached.get(STATUS)

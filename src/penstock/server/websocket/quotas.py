"""Counts what WebSockets use of their quotas, about once a second for all of a worker's, and ends what is beyond.

Nothing is done per message: what has passed since the last look is the difference of two counts. With `sync` Redis is
told of all keys in one question (`modules/fleet/use.py`), and its answer ends what other machines have used up.
"""

from __future__ import annotations

from dataclasses import asdict
from functools import partial
from math import inf
from typing import TYPE_CHECKING

from penstock.config.key import Key
from penstock.modules.fleet import scripts
from penstock.modules.fleet.use import Use, pack_use, read_use
from penstock.modules.websocket.quota import QuotaKey, words_for
from penstock.modules.websocket.quota_counts import BYTES, MESSAGES, Allowance, Counter, Quota, QuotaZone
from penstock.modules.websocket.quota_keys import COUNTED, QUOTA_ZONES, AnyTally
from penstock.net.timers import Alarm
from penstock.observe.errorlog import WARN, report
from penstock.shared.json_fields import Strange
from penstock.websocket.close_reasons import Why

if TYPE_CHECKING:
    from penstock.http.request import Request
    from penstock.net.loop import Loop
    from penstock.net.redis.replies import Reply
    from penstock.plan.plan import Plan
    from penstock.server.tunnel.ending import Ending
    from penstock.server.websocket.session import Conversation
    from penstock.shared.json_fields import Fields

EVERY = 1.0
"""Seconds from one look at a tunnel to the next."""
SILENT_LOOKS = 10
"""Looks after which a tunnel that says nothing is judged, too: others may have used up what there was."""
AT_ONCE = 500
"""Tunnels that are looked at before others have their turn."""
IN_MESSAGE = 1000
"""Counters in one question to Redis."""
MOST_UNTOLD = 100_000
"""Counters of which Redis will be told once it is heard of again; what is beyond counts on this machine alone."""


class QuotaTally(AnyTally):
    """What one tunnel has used of one quota. It is among the tunnel's endings: a call counts the rest."""

    __slots__ = ("_bytes", "_messages", "_meter", "counted", "counters", "silent", "subject", "talk")

    def __init__(self, counted: QuotaKey) -> None:
        self.counted = counted
        self.counters: tuple[Counter, ...] = ()
        self.talk: Conversation | None = None
        self.silent = -1
        """Looks since something was counted; -1 before the first one, when Redis has not been asked either."""
        self._messages = self._bytes = 0
        self._meter: QuotaMeter | None = None

    def begin(self, talk: Conversation, ending: Ending, meter: QuotaMeter) -> None:
        """Count from now on."""
        self.talk = talk
        self.subject = ending.subject
        self.counters = tuple(self.counted.zone.counter(self.counted.key, a) for a in self.counted.quota.allowances)
        self._messages, self._bytes = self._figures(talk)
        self._meter = meter
        meter.add(self)

    def __call__(self) -> None:
        """Count what is left to be counted: the tunnel has ended, or is another process's."""
        meter, self._meter = self._meter, None
        if meter is not None:
            meter.leave(self)
        self.talk = None

    def since_last_look(self) -> tuple[int, int]:
        """Return how many messages and bytes have passed since this was asked last."""
        assert self.talk is not None
        messages, size = self._figures(self.talk)
        found = messages - self._messages, size - self._bytes
        self._messages, self._bytes = messages, size
        return found

    def end(self, unit: str) -> None:
        """Close the tunnel: the quota is used up."""
        talk, quota = self.talk, self.counted.quota
        if talk is None or talk.tunnel is None or talk.close_code is not None:
            return
        words = f'websocket_quota: the {unit} of zone "{quota.zone}" are used up, closing the tunnel'
        report(self.subject, WARN, words)
        talk.end(Why.QUOTA, quota.code, text=words_for(unit), offender=talk.client)

    def _figures(self, talk: Conversation) -> tuple[int, int]:
        quota = self.counted.quota
        messages = size = 0
        if quota.client:
            messages, size = talk.messages_in, talk.bytes_in
        if quota.backend:
            messages, size = messages + talk.messages_out, size + talk.bytes_out
        return messages, size


class QuotaMeter:
    """All tallies of a worker that came with one plan."""

    __slots__ = ("_alarm", "_by_counter", "_tallies", "_to_see", "_untold")

    def __init__(self, loop: Loop) -> None:
        self._tallies: set[QuotaTally] = set()
        self._by_counter: dict[Counter, set[QuotaTally]] = {}
        self._to_see: list[QuotaTally] = []
        self._untold: dict[Counter, tuple[QuotaZone, int]] = {}
        self._alarm = Alarm(loop.timers, self._look)

    def add(self, tally: QuotaTally) -> None:
        """Count a tunnel."""
        self._tallies.add(tally)
        for counter in tally.counters:
            self._by_counter.setdefault(counter, set()).add(tally)
        self._look_soon()

    def leave(self, tally: QuotaTally) -> None:
        """Count the rest of a tunnel's use, and look at it no more."""
        used: dict[Counter, tuple[QuotaZone, int]] = {}
        self._tallies.discard(tally)
        for counter in tally.counters:
            siblings = self._by_counter.get(counter)
            if siblings is not None:
                siblings.discard(tally)
                if not siblings:
                    del self._by_counter[counter]
        _take(tally, used)
        self._count(used)
        self._look_soon()

    def _look_soon(self) -> None:
        if self._alarm.deadline == inf:
            self._alarm.set(EVERY)

    def _look(self) -> None:
        """See what some tunnels have used since they were seen last; all of them, one after the other."""
        used: dict[Counter, tuple[QuotaZone, int]] = {}
        to_see = self._to_see or list(self._tallies)
        for tally in to_see[-AT_ONCE:]:
            if tally.talk is not None and not _take(tally, used) and tally.silent >= SILENT_LOOKS:
                tally.silent = 0
                for counter in tally.counters:
                    self._judge(counter, tally.counted.zone.add(counter, 0))
        del to_see[-AT_ONCE:]
        self._to_see = to_see
        self._count(used)
        if not to_see:
            self._tell()
        if to_see:
            self._alarm.set(0)
        elif self._tallies or self._untold:
            self._alarm.set(EVERY)

    def _count(self, used: dict[Counter, tuple[QuotaZone, int]]) -> None:
        untold = self._untold
        for counter, (zone, amount) in used.items():
            self._judge(counter, zone.add(counter, amount))
            if counter.beyond and (counter in untold or len(untold) < MOST_UNTOLD):
                untold[counter] = (zone, amount + untold.get(counter, (zone, 0))[1])

    def _judge(self, counter: Counter, total: int) -> None:
        if total > counter.allowance.most:
            for tally in list(self._by_counter.get(counter, ())):
                tally.end(counter.allowance.unit)

    # -- with `sync`

    def _tell(self) -> None:
        """Tell Redis what was used, if it is to be heard of; what it can not be told waits."""
        untold = list(self._untold.items())
        for at in range(0, len(untold), IN_MESSAGE):
            some = untold[at : at + IN_MESSAGE]
            link = some[0][1][0].link
            if link is None:
                self._untold.clear()  # there is no fleet any more
                return
            packed = pack_use(
                Use(counter.beyond, counter.allowance.period, *zone.known(counter), amount)
                for counter, (zone, amount) in some
            )
            if not link.ask(scripts.use, packed, partial(self._told, some)):
                return
            for counter, _ in some:
                del self._untold[counter]

    def _told(self, some: list[tuple[Counter, tuple[QuotaZone, int]]], reply: list[Reply] | None) -> None:
        """Take Redis's word. Without an answer it is not told again: it has most likely heard it, and is only late."""
        if reply is None:
            return
        for (counter, (zone, amount)), (window, total) in zip(some, read_use(reply), strict=False):
            self._judge(counter, zone.told(counter, window, total, amount))


def _take(tally: QuotaTally, used: dict[Counter, tuple[QuotaZone, int]]) -> bool:
    """Add what a tunnel has used since it was looked at last; whether that is anything, or a first look."""
    messages, size = tally.since_last_look()
    if not (messages or size or tally.silent < 0):
        tally.silent += 1
        return False
    tally.silent = 0
    zone = tally.counted.zone
    for counter in tally.counters:
        amount = messages if counter.allowance.unit == MESSAGES else size
        used[counter] = (zone, amount + used.get(counter, (zone, 0))[1])
    return True


METER: Key[QuotaMeter] = Key("quota meter")
"""The key of the plan's `shared` under which a worker has the meter of the plan."""


def tallies_of(request: Request) -> list[QuotaTally]:
    """Return a tally for each quota that the tunnel of this handshake counts toward."""
    counted = None if request.contexts is None else request.contexts.get(COUNTED)
    return [QuotaTally(each) for each in counted or ()]


def begin_to_count(ending: Ending, talk: Conversation) -> None:
    """Begin with the tallies among a tunnel's endings."""
    service = ending.service
    for action in ending.endings or ():
        if isinstance(action, QuotaTally):
            shared = service.plan.shared
            meter = shared.get(METER)
            if meter is None:
                meter = shared[METER] = QuotaMeter(service.loop)
            action.begin(talk, ending, meter)


def described(ending: Ending) -> list[dict[str, object]]:
    """Describe what a tunnel counts toward, for another process."""
    return [
        {"key": action.counted.key, **asdict(action.counted.quota)}
        for action in ending.endings or ()
        if isinstance(action, QuotaTally)
    ]


def received(plan: Plan, told: list[Fields]) -> list[QuotaTally]:
    """Return the tallies that another process tells of, where this configuration still has their zones. Raises
    `Strange`."""
    zones = plan.shared.get(QUOTA_ZONES) or {}
    found: list[QuotaTally] = []
    for fields in told:
        key = fields.text("key")
        quota = Quota(
            fields.text("zone"),
            fields.whole("tunnels"),
            tuple(_allowance(each) for each in fields.objects("allowances")),
            fields.flag("client"),
            fields.flag("backend"),
            fields.whole("code"),
        )
        fields.end()
        zone = zones.get(quota.zone)
        if zone is not None:
            found.append(QuotaTally(QuotaKey(zone, key, quota)))
    return found


def _allowance(fields: Fields) -> Allowance:
    unit, most, period = fields.text("unit"), fields.whole("most"), fields.whole("period")
    fields.end()
    if unit not in (MESSAGES, BYTES) or not 0 < period <= 86400:
        raise Strange("what a quota allows is nothing")
    return Allowance(unit, most, period)

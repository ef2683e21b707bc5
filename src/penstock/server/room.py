"""Room for somebody new, where all `worker_connections` or all descriptors are in use: who asks for nothing goes first.

    may go      connections that have sent nothing, or half a head; handshakes under way; kept ones between two
                requests, those of HTTP/2 without a stream; those that only wait for their client to close
    never       requests that are being answered, and tunnels

The one that has been so for longest goes first. Nothing is kept in order for that, as nearly nobody ever runs out: when
it happens, connections are looked at, `LOOKS` for each new one, and what is found is used up before anybody looks
again. Where nearly all are at work more are looked at, `FURTHER` at once and `A_SECOND` in the long run, so that nobody
is turned away for one who is idle. Descriptors are freed by ending kept connections to backends, too.
"""

from __future__ import annotations

from collections.abc import Iterator
from heapq import heappop, heappush
from typing import TYPE_CHECKING

from penstock.modules.upstream.upstream import UPSTREAMS
from penstock.net.timers import Alarm
from penstock.observe.errorlog import ALERT, WARN, report

if TYPE_CHECKING:
    from penstock.server.connection import Connection
    from penstock.server.service import Service

LOOKS = 512
FURTHER = 65_536
A_SECOND = 100_000
"""Looks beyond that: a thirtieth of the processor."""
FORGET = 2.0
"""Seconds after which what was found is forgotten, if nobody needs room any more."""
SAY = 1.0
"""Seconds between two warnings."""
AT_ONCE = 16
"""Connections that go together where descriptors have run out: who is let in needs some for files and backends."""


class Room:
    """What `service` knows of those that may go. `looked` and `closed` count, for whoever asks."""

    __slots__ = (
        "_alarm",
        "_credit",
        "_credited",
        "_found",
        "_refused",
        "_round",
        "_said",
        "_service",
        "closed",
        "looked",
    )

    def __init__(self, service: Service) -> None:
        self._service = service
        self._round: Iterator[Connection] | None = None
        self._found: list[tuple[float, int, Connection]] = []
        self._alarm = Alarm(service.timers, self._forget)
        self._said = -SAY
        self._refused = -SAY
        self._credit = float(FURTHER)
        self._credited = 0.0
        self.looked = 0
        self.closed = 0

    def for_connection(self, most: int) -> bool:
        """Make room for one more connection; whether there is."""
        if not self._close_one():
            now = self._service.timers.now
            if now - self._refused >= SAY:
                self._refused = now
                report(None, ALERT, f"{most} worker_connections are not enough")
            return False
        self._say(f"{most} worker_connections are not enough, reusing connections")
        return True

    def for_descriptors(self) -> bool:
        """Free some descriptors; whether there are some."""
        freed = 0
        while freed < AT_ONCE and self._close_one():
            freed += 1
        if freed < AT_ONCE:
            for upstreams in self._service.plan.each(UPSTREAMS):
                freed += upstreams.spare(AT_ONCE - freed)
        if freed:
            self._say("open files are not enough (24: Too many open files), reusing connections")
        return freed > 0

    def _say(self, text: str) -> None:
        now = self._service.timers.now
        if now - self._said >= SAY:
            self._said = now
            report(None, WARN, text)

    def _close_one(self) -> bool:
        self._alarm.set(FORGET)
        found = self._found
        left = LOOKS
        anew = False
        while True:
            if self._round is None and not found:
                if anew:
                    return False
                anew = True
                self._round = iter(list(self._service.connections))
            if self._round is not None:
                left -= self._survey(self._round, left)
            while found:
                since, _, connection = heappop(found)
                if since_when(connection) == since and is_silent(connection):
                    end(connection)
                    self.closed += 1
                    return True
            if left <= 0:
                left = self._further()
                if not left:
                    return False

    def _further(self) -> int:
        """How many more may be looked at, where nobody was found among the first; 0 for none."""
        now = self._service.timers.now
        self._credit = min(FURTHER, self._credit + (now - self._credited) * A_SECOND)
        self._credited = now
        if self._credit < LOOKS:
            return 0
        self._credit -= LOOKS
        return LOOKS

    def _survey(self, around: Iterator[Connection], most: int) -> int:
        """Look at so many connections more of this round: at how many. Who becomes idle after a round is younger than
        all that were found in it."""
        count = 0
        for connection in around:
            count += 1
            since = since_when(connection)
            if since >= 0:
                heappush(self._found, (since, connection.number, connection))
            if count >= most:
                break
        else:
            self._round = None
        self.looked += count
        return count

    def _forget(self) -> None:
        self._found.clear()
        self._round = None


def since_when(connection: Connection) -> float:
    """Return since when a connection asks for nothing (monotonic seconds); -1 for one that does, or is gone."""
    if connection.tunnelled or (connection.fiber is None and connection.stream.closed):
        return -1.0
    if connection.reading and connection.drain is None:
        return connection.request_started
    if connection.idle or connection.leaving:
        return connection.since
    return -1.0


def is_silent(connection: Connection) -> bool:
    """Return whether nothing has come of which the fiber has not heard yet: a request may have been on its way."""
    if connection.beginning or connection.leaving or connection.reading:
        return True
    return not connection.stream.stirs()


def end(connection: Connection) -> None:
    """End it now. Its fiber lets go of everything."""
    if connection.abort is not None:
        connection.abort()
        return
    connection.stream.close()
    if connection.fiber is not None:
        connection.fiber.cancel()

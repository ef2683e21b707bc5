"""Spans on their way to a collector: a bounded queue in each worker, and a fiber that empties it.

    add      puts a span into the queue, or counts it as dropped: nothing else happens while a request is served
    fiber    begins with the first span, sends what has come every `interval`, or once there is a whole batch, and ends
             when nothing has come for that long: a worker without traced requests has none, nor a connection

Nobody waits for a collector that is slow or away: its batch is sent again a few times, and meanwhile the queue fills.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from penstock.net.fiber import Fiber
from penstock.net.loop import running_loop
from penstock.observe.errorlog import ERROR, WARN, report
from penstock.observe.tracing.collector import Collector, CollectorPlace, Undelivered
from penstock.observe.unsent import UNSENT

if TYPE_CHECKING:
    from penstock.http.client import RequestCounts
    from penstock.observe.tracing.otlp import SpanWriter
    from penstock.observe.tracing.span import SpanRecord
    from penstock.shared.hints import Hints

TRIES = 4
"""How often a batch is sent at most."""
PAUSE = 1.0
"""Seconds before a batch is sent again; each time twice as many."""
AGAIN = 60.0
"""Seconds between two lines in the log, of whichever worker."""
USUAL = 2048
"""Bytes of a span for which there is room: so many times the number of spans wait at most."""


class Exporter:
    """Spans of one worker, and where they go. `batch_size` spans are sent at once, at most `batch_count` times as many
    wait, and 2 KiB for each of these. `interval` is in seconds."""

    def __init__(
        self,
        place: CollectorPlace,
        writer: SpanWriter,
        agent: str,
        hints: Hints | None = None,
        *,
        interval: float,
        batch_size: int,
        batch_count: int,
    ) -> None:
        self.muted = False
        """Whether spans go nowhere: requests are only rehearsed."""
        self.meters: RequestCounts | None = None
        self._place = place
        self._writer = writer
        self._hints = hints
        self._collector = Collector(place, agent)
        self._interval = interval
        self._size = batch_size
        self._most = batch_size * batch_count
        self._queue: list[bytes] = []
        self._waiting = 0
        self._fiber: Fiber[None] | None = None
        self._waits: asyncio.Future[None] | None = None
        self._hurried = False

    def add(self, record: SpanRecord) -> None:
        """Let a span be sent soon; where too many wait already, or too long ones, it is dropped and counted."""
        if self.muted:
            return
        queue = self._queue
        if len(queue) >= self._most or self._waiting >= self._most * USUAL:
            self._count("dropped", 1)
            self._tell("dropped", WARN, f"spans are dropped, as {len(queue)} wait in this worker already")
            return
        span = self._writer.written(record)
        queue.append(span)
        self._waiting += len(span)
        if self._fiber is None:
            UNSENT.add(self)
            self._fiber = Fiber(self._run())
            self._fiber.resume()
        elif len(queue) == self._size:
            self._wake()

    def hurry(self) -> None:
        """Send what there is, without waiting for more."""
        self._hurried = True
        self._wake()

    def _wake(self) -> None:
        if self._waits is not None and not self._waits.done():
            self._waits.set_result(None)

    async def _run(self) -> None:
        try:
            while True:
                if len(self._queue) < self._size:
                    await self._sleep(self._interval)
                if not self._queue:
                    return
                batch = self._queue[: self._size]
                await self._deliver(batch)
        finally:
            self._collector.close()
            self._fiber = None
            UNSENT.discard(self)

    async def _sleep(self, seconds: float) -> None:
        """Wait, but not once there is reason to hurry."""
        if self._hurried:
            return
        loop = running_loop()
        self._waits = loop.create_future()
        timer = loop.call_later(seconds, self._wake)
        try:
            await self._waits
        finally:
            timer.cancel()
            self._waits = None

    async def _deliver(self, spans: list[bytes]) -> None:
        """Send these, the first of the queue, and take them out of it, whatever came of it."""
        batch = self._writer.batch(spans)
        failed = ""
        rejected = 0
        for number in range(TRIES):
            try:
                rejected = self._writer.rejected(await self._collector.deliver(batch))
                failed = ""
                break
            except Undelivered as error:
                failed = str(error)
                self._tell("failed", ERROR, failed)
                if not error.again or number == TRIES - 1 or self._hurried:
                    break
            await asyncio.sleep(PAUSE * 2**number)
        del self._queue[: len(spans)]
        self._waiting -= sum(map(len, spans))
        if failed:
            rejected = len(spans)
        elif rejected:
            self._tell("rejected", ERROR, f"it did not take {rejected} of {len(spans)} spans")
        self._count("failed", min(rejected, len(spans)))
        self._count("sent", max(0, len(spans) - rejected))

    def _count(self, result: str, spans: int) -> None:
        if self.meters is not None and spans:
            self.meters.traced(result, spans)

    def _tell(self, what: str, level: int, words: str) -> None:
        """Say it, once a minute: all workers send to the same collector."""
        now = running_loop().timers.now
        if self._hints is None or self._hints.may_say(f"otel {what} {self._place.url}", now, AGAIN):
            report(None, level, f"OTel export to {self._place.url}: {words}")

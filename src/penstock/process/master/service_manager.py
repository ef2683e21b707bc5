"""What the master tells a service manager, and when; `notify.py` has the words. Without one, nothing happens."""

from __future__ import annotations

from math import inf
from time import monotonic
from typing import TYPE_CHECKING

from penstock.process.master.notify import EVERY, Notifier

if TYPE_CHECKING:
    from penstock.net.loop import Loop
    from penstock.process.master.tunnel_counts import TunnelCounts
    from penstock.process.master.upgrade import Change


class Manager:
    """`count` workers, and their tunnels in `tally`; call `tick` whenever `due` has come."""

    __slots__ = ("_alive_at", "_notifier", "_status_at", "_stopping", "tally")

    def __init__(self) -> None:
        self._notifier = Notifier()
        self._status_at = self._alive_at = inf
        self._stopping = False
        self.tally: TunnelCounts | None = None
        if self._notifier.wanted:
            from penstock.process.master.tunnel_counts import TunnelCounts

            self.tally = TunnelCounts()

    def started(self, change: Change) -> None:
        """Tell that workers have been started. A program that replaces another is introduced by that one, when it goes.
        """
        if not self._notifier.wanted:
            return
        self._status_at = monotonic()
        if self._notifier.beat:
            self._alive_at = monotonic()
        if not change.inherited.predecessor_lives:
            self._notifier.ready()

    def reloading(self) -> None:
        self._notifier.reloading()

    def reloaded(self) -> None:
        """Tell that a reload is over, whether it worked or not."""
        self._notifier.ready()

    def stopping(self, change: Change) -> None:
        """Tell that we were told to go."""
        self._stopping = True
        if change.successor:
            self._notifier.succeeded_by(change.successor)
        else:
            self._notifier.stopping()

    def cell(self) -> int:
        """Return a worker's place in the tally, -1 where nobody asks."""
        return self.tally.cell() if self.tally is not None else -1

    def reaped(self, cell: int) -> None:
        if self.tally is not None:
            self.tally.give_back(cell)

    def in_worker(self, loop: Loop, cell: int) -> None:
        """Let the worker tell how many tunnels it has."""
        if self.tally is not None:
            self.tally.keep(loop, cell)

    @property
    def due(self) -> float:
        """Return when `tick` has something to do, on the monotonic clock."""
        return min(self._status_at, self._alive_at)

    def tick(self, workers: int) -> None:
        """Say what is due."""
        now = monotonic()
        if now >= self._alive_at:
            self._alive_at = now + self._notifier.beat
            self._notifier.alive()
        if now >= self._status_at and self.tally is not None:
            self._status_at = now + EVERY
            going = ", shutting down" if self._stopping else ""
            self._notifier.status(f"{self.tally.total()} tunnels, {workers} workers{going}")

"""What is known of a peer besides its load: what checks found, when it came back, how fast it answers.

Checks write it, balancers that go by it read it, and so does whoever shows peers. Where a group lies in a zone it is in
the memory that all workers share (`SharedHealth`), else each worker has its own. Times are monotonic seconds.
"""

from __future__ import annotations

from enum import IntEnum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from penstock.upstream.peers.peers import Peer


class CheckState(IntEnum):
    """What active checks say. UNKNOWN: nothing yet, it is used all the same. CHECKING: nothing yet, and that is waited
    for (`mandatory`)."""

    UNKNOWN = 0
    UP = 1
    UNHEALTHY = 2
    CHECKING = 3


class LastResult(IntEnum):
    """How the last check ended."""

    NONE = 0
    PASSED = 1
    FAILED = 2


SMOOTHING = 0.2
"""Weight of the newest answer in the average times."""

WHY = 64
"""Bytes that say why the last check failed."""


class Health:
    """The health of one peer.

    `state` has been what it is since `since`; `changed` counts how often it changed, so that a change is seen by who
    looks now and then. `checks`, `failed` and `unhealthy` count checks, those that failed, and how often the peer was
    put out of use by them; the last one ended at `last_at` with `last`, and `why` says in a few words what was wrong.
    `returned` is when it came back into use, for `slow_start`; 0.0 where it did not. `header_time` and
    `response_time` are averages in seconds over `timed` answers, the newest of which count most. `inflight` counts the
    requests of this worker that wait for one, where somebody wants to know, and `begun` sums up when they began.
    """

    __slots__ = (
        "begun",
        "changed",
        "checks",
        "failed",
        "header_time",
        "inflight",
        "last",
        "last_at",
        "response_time",
        "returned",
        "since",
        "state",
        "timed",
        "unhealthy",
        "why",
    )

    def __init__(self) -> None:
        self.state: int = CheckState.UNKNOWN
        self.since = 0.0
        self.changed = 0
        self.checks = self.failed = self.unhealthy = 0
        self.last: int = LastResult.NONE
        self.last_at = 0.0
        self.why = ""
        self.returned = 0.0
        self.header_time = self.response_time = 0.0
        self.timed = 0
        self.inflight = 0
        self.begun = 0.0

    @property
    def usable(self) -> bool:
        """Return whether checks have nothing against giving it a request."""
        return self.state < CheckState.UNHEALTHY

    def expect(self, now: float) -> None:
        """Wait for the first check before the peer is used; one that has been checked is left as it is."""
        if self.state == CheckState.UNKNOWN:
            self._become(CheckState.CHECKING, now)

    def passed(self, now: float) -> None:
        """Count a check that the peer has passed."""
        self.checks += 1
        self.last, self.last_at, self.why = LastResult.PASSED, now, ""

    def missed(self, now: float, why: str) -> None:
        """Count a check that the peer has failed."""
        self.checks += 1
        self.failed += 1
        self.last, self.last_at, self.why = LastResult.FAILED, now, why

    def put_in(self, now: float) -> bool:
        """Let the peer be used. Return whether that is news; where it was out of use, its slow start begins."""
        before = self.state
        if before == CheckState.UP:
            return False
        if before == CheckState.UNHEALTHY:
            self.returned = now
        self._become(CheckState.UP, now)
        return before != CheckState.UNKNOWN

    def put_out(self, now: float) -> bool:
        """Let the peer not be used. Return whether that is news."""
        if self.state == CheckState.UNHEALTHY:
            return False
        self.unhealthy += 1
        self._become(CheckState.UNHEALTHY, now)
        return True

    def _become(self, state: CheckState, now: float) -> None:
        self.state = state
        self.since = now
        self.changed += 1

    def time(self, header: float, response: float) -> None:
        """Count the times of an answer, in seconds, into the averages."""
        if self.timed:
            self.header_time += (header - self.header_time) * SMOOTHING
            self.response_time += (response - self.response_time) * SMOOTHING
        else:
            self.header_time, self.response_time = header, response
        self.timed += 1

    def share_of(self, slow_start: float, now: float) -> float:
        """Return which part of its weight a peer has that takes so many seconds to start, between 0 and 1."""
        returned = self.returned
        if not returned or not slow_start:
            return 1.0
        passed = now - returned
        return 1.0 if passed >= slow_start else max(0.0, passed / slow_start)

    def take_over(self, other: Health) -> None:
        """Go on with what is known elsewhere, where nothing is known here."""
        if self.changed or self.checks or self.timed:
            return
        for name in _KNOWN:
            setattr(self, name, getattr(other, name))


_KNOWN = [name for name in Health.__slots__ if name not in ("inflight", "begun")]


def standing(peer: Peer, now: float) -> str:
    """Return what becomes of a peer, in the words of nginx's API: up, draining, down, unavail, checking, unhealthy."""
    options = peer.options
    if options.down:
        return "down"
    if not peer.sound:
        return "checking" if peer.health.state == CheckState.CHECKING else "unhealthy"
    if options.drain:
        return "draining"
    if options.max_fails and peer.fails >= options.max_fails and now - peer.checked <= options.fail_timeout:
        return "unavail"
    return "up"

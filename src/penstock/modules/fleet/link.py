"""This worker's link to Redis: one connection, on the loop. Whoever asks is answered within the timeout, if by None.

Its states are those of `link_state.py`.
"""

from __future__ import annotations

import random
from collections import deque
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from penstock.modules.fleet import lease as brings
from penstock.modules.fleet import scripts
from penstock.modules.fleet.call import RedisCall, Waiter, nobody
from penstock.modules.fleet.holdings import Holdings
from penstock.modules.fleet.lease import CACHE_NEXT, Lease, nodes_of
from penstock.modules.fleet.link_state import LinkState
from penstock.modules.fleet.loss import ELSEWHERE, Loss
from penstock.net.redis.connection import RedisConnection
from penstock.net.redis.opening import Opened, Opening
from penstock.net.redis.replies import EMPTY, Failure, Reply, argument, command
from penstock.net.timers import Alarm

if TYPE_CHECKING:
    from penstock.modules.fleet.membership import FleetOptions
    from penstock.net.loop import Loop
    from penstock.shared.hints import Hints

RENEWALS = 3
"""Times in each lease that it is renewed."""
TELL = 0.02
"""Seconds for which left places are collected, so that many go in one message."""
AGAIN = 0.2
"""Seconds between two messages about what is in doubt, at least."""
SOONEST, LATEST = 0.1, 2.0
"""Seconds up to the next attempt to connect."""
PATIENCE = 3.0
"""Seconds of silence after which the connection is given up."""


class Link:
    """`asked` counts questions, `unanswered` those that this machine had to answer; `nodes` is how many machines there
    were when Redis was last heard of, `leases` the names of their workers. `sure`: all of them have told what they
    hold. `listeners` get what Redis says without having been asked, by its kind."""

    def __init__(self, loop: Loop, options: FleetOptions, hints: Hints | None = None) -> None:
        self.loop = loop
        self.options = options
        self.state = LinkState.CLOSED
        self.holdings = Holdings()
        self.loss = Loss(hints)
        self.lease = Lease(options)
        self.sure = False
        self.nodes = 1
        self.leases: list[str] = []
        self.asked = self.unanswered = 0
        self.listeners: dict[Reply, Callable[[list[Reply]], None]] = {}
        self._connection: RedisConnection | None = None
        self._opening: Opening | None = None
        self._calls: deque[RedisCall] = deque()
        self._telling: RedisCall | None = None
        self._left: list[bytes] = []
        self._run = ""
        self._heard = 0.0
        self._pause = SOONEST
        timers = loop.timers
        self._late = Alarm(timers, self._check_late)
        self._renew = Alarm(timers, self._renew_now)
        self._leave = Alarm(timers, self._tell_left)
        self._open = Alarm(timers, self._open_now)
        self._open.set(0)

    # -- its life

    def follow(self, options: FleetOptions, hints: Hints | None) -> None:
        """Go by these options from now on. What is held goes on to be held."""
        self.loss.hints = hints
        if options != self.options:
            self.close()
            self.options = options
            self.lease = Lease(options)
            self._run = ""
        if self.state is LinkState.CLOSED:
            self._open.set(0)

    def close(self) -> None:
        """Give the lease back and close the connection. Questions that wait are answered by None."""
        for alarm in (self._late, self._renew, self._leave, self._open):
            alarm.clear()
        if self._opening is not None:
            self._opening.abandon()
            self._opening = None
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.send(self.lease.command(scripts.go, EMPTY), nobody)
            connection.close()
        self.state = LinkState.CLOSED
        self._give_up()

    @property
    def up(self) -> bool:
        """Return whether Redis is asked."""
        return self.state is LinkState.UP

    # -- questions

    def enter(self, question: bytes, places: Sequence[bytes], waiter: Waiter) -> RedisCall | None:
        """Ask for places and rates (`ask.question`). None, and nobody is told anything, where Redis is not to be asked
        now. Else the waiter is told once, and not before this returns: the reply, or None when it is too late."""
        self.asked += 1
        if self.state is not LinkState.UP:
            self.unanswered += 1
            return None
        self.holdings.ask(places)
        left = self._left
        if not left:
            return self._call(scripts.enter, question + EMPTY, waiter, places)
        # What has been left goes with it, and not in a message of its own, which would have to go before this one.
        self._left = []
        self._leave.clear()
        return self._call(scripts.enter, question + argument(b"".join(left)), waiter, places, left)

    def ask(self, script: scripts.Script, packed: bytes, waiter: Waiter) -> bool:
        """Ask what no request waits for. False, and nobody is told anything, where Redis is not to be asked now."""
        if self.state is not LinkState.UP:
            return False
        self._call(script, argument(packed), waiter)
        return True

    def ask_and_watch(self, key: bytes, waiter: Waiter) -> bool:
        """Ask for the value of a key as `ask` does, and be told when another client changes it (`invalidate`)."""
        return self.run(CACHE_NEXT, nobody) and self.ask(scripts.look, key, waiter)

    def hold(self, digest: bytes) -> None:
        """Count a place that was taken without Redis's word; it is told soon."""
        self.holdings.hold((digest,))
        self._doubt((digest,))

    def leave(self, digests: Sequence[bytes]) -> None:
        """Leave places."""
        self.holdings.leave(digests)
        if self.state is LinkState.UP:
            if not self._left:
                self._leave.set(TELL)
            self._left += digests
        else:
            self.holdings.doubtful.update(digests)

    def run(self, words: Sequence[bytes], told: Callable[[Reply], None]) -> bool:
        """Send a plain command; whether Redis was asked. `told` gets its reply, or None when the link is lost."""
        if self.state is not LinkState.UP or self._connection is None:
            return False
        self._connection.send(command(*words), told)
        return True

    def _call(
        self, script: scripts.Script, arguments: bytes, waiter: Waiter | None = None, *about: Sequence[bytes]
    ) -> RedisCall:
        assert self._connection is not None
        due = self.loop.timers.now + self.options.timeout
        call = RedisCall(script, arguments, waiter, due, self._told, *about)
        if waiter is not None:
            if not self._calls:
                self._late.at(due)
            self._calls.append(call)
        self._connection.send(self.lease.command(script, arguments), call)
        return call

    def _told(self, call: RedisCall, reply: Reply) -> None:
        """Take the reply to a call; None once the connection has ended."""
        if type(reply) is list:
            self._heard = self.loop.timers.now
            verdict = reply[0] if reply else None
            if call.places:
                self._hear(call, verdict)
            calls = self._calls
            if calls and calls[0] is call:
                calls.popleft()
            if self.state is LinkState.SILENT:
                self.state = LinkState.UP
                self._found()
                self._renew.set(0)
            if call.script is scripts.renew:
                self._renewed(call, reply)
                return
            if verdict == -1:
                self._renew.set(0)
            waiter, call.waiter = call.waiter, None
            if waiter is not None:
                waiter(reply)
            return
        if type(reply) is Failure and reply.text.startswith("NOSCRIPT") and not call.again and self._connection:
            # Redis has forgotten its scripts. What was sent in the meantime fails likewise, so that the order stays.
            call.again = True
            for script in scripts.ALL:
                self._connection.send(script.load(), nobody)
            self._connection.send(self.lease.command(call.script, call.arguments), call)
            return
        self.holdings.hear(call.places)
        self.holdings.doubtful.update(call.places, call.left)
        call.places = call.left = ()
        if call is self._telling:
            self._telling = None
        self._dismiss(call)
        if reply is not None:
            self._refused(reply.text if type(reply) is Failure else "nonsense")

    def _hear(self, call: RedisCall, verdict: Reply) -> None:
        """A question about places is answered. If nobody waits any more, what Redis has granted is nobody's."""
        places, call.places = call.places, ()
        self.holdings.hear(places)
        if verdict == 1 and call.waiter is not None:
            self.holdings.hold(places)
        elif verdict == 1:
            self._doubt(places)

    def _dismiss(self, call: RedisCall) -> bool:
        if not call.dismiss():
            return False
        self.unanswered += 1
        return True

    def _check_late(self) -> None:
        """The oldest question is due. Whoever waits for an answer that has not come goes on without."""
        if self._connection is not None:
            self._connection.resume()  # it may be here, and only this process was busy
        calls = self._calls
        now = self.loop.timers.now
        late = False
        while calls and (calls[0].due <= now or calls[0].waiter is None):
            late = self._dismiss(calls.popleft()) or late
        if late and self.state is LinkState.UP:
            self._fall_silent("does not answer in time")
        if calls:
            self._late.at(calls[0].due)

    # -- losing and finding

    def _fall_silent(self, why: str) -> None:
        self.state = LinkState.SILENT
        now = self._heard = self.loop.timers.now
        self.loss.say(self.options, why, now)
        self._give_up()
        self._renew.set(min(1.0, self.options.lease / RENEWALS))

    def _give_up(self) -> None:
        """Let nobody wait, and do not count on Redis knowing what was about to be told."""
        calls, self._calls = self._calls, deque()
        for call in calls:
            self._dismiss(call)
        self.holdings.doubtful.update(self._left)
        self._left = []
        self.sure = False

    def _refused(self, text: str) -> None:
        """Redis refuses what it is asked: it is full, or this user may not, or the keys are elsewhere."""
        if text.startswith(ELSEWHERE):
            self._drop(f"answers {text[:120]!r}")
        elif self.state is LinkState.UP:
            self._fall_silent(f"answers {text[:120]!r}")
        else:
            self.loss.say(self.options, f"answers {text[:120]!r}", self.loop.timers.now)

    def _drop(self, why: str) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.close()
            self._lost(why)

    def _ended(self, why: str) -> None:
        self._lost(f"is lost ({why})")

    def _lost(self, why: str) -> None:
        """The connection has ended."""
        self._connection = None
        self._telling = None
        self.state = LinkState.CLOSED
        self.loss.say(self.options, why, self.loop.timers.now)
        self._give_up()
        for alarm in (self._late, self._renew, self._leave):
            alarm.clear()
        self._try_later()

    def _found(self) -> None:
        self._pause = SOONEST
        self.loss.found(self.options)

    def _try_later(self) -> None:
        # By chance, so that a fleet does not come back as one.
        self._open.set(self._pause * random.uniform(0.5, 1.0))
        self._pause = min(self._pause * 2, LATEST)

    def _open_now(self) -> None:
        if self.state is LinkState.CLOSED:
            self.state = LinkState.OPENING
            self._opening = Opening(self.loop, self.options.address, self._opened)

    def _opened(self, opened: Opened | None, trouble: str) -> None:
        self._opening = None
        if opened is None:
            self.state = LinkState.CLOSED
            self.loss.say(self.options, f"can not be reached ({trouble})", self.loop.timers.now)
            self._try_later()
            return
        self.state = LinkState.JOINING
        self._heard = self.loop.timers.now
        connection = self._connection = RedisConnection(opened.stream, self._pushed, self._ended)
        for words in self.lease.greeting:
            connection.send(words, nobody)
        for channel in self.lease.channels:
            connection.send_silently(command(b"SUBSCRIBE", channel))
        # Another run of the server, or another server, may have forgotten, or remember what is no more.
        another = bool(self._run) and opened.run != self._run
        self._run = opened.run
        self._tell_all(brings.ALL_IN_DOUBT if another else brings.ALL)
        self._next_renewal()

    def _pushed(self, items: list[Reply]) -> None:
        kind = items[0] if items else None
        if isinstance(kind, bytes) and kind in self.listeners:
            self.listeners[kind](items)

    # -- the lease

    def _tell_all(self, what: int) -> None:
        """Tell Redis all that is held here, in place of whatever it thinks."""
        self._left = []
        for batch in self.holdings.batches():
            truth = self.lease.renewal(what, self.holdings.pack(batch))
            self._telling = self._call(scripts.renew, argument(truth))
            what = brings.MORE

    def _renew_now(self) -> None:
        """Renew the lease, and tell the truth about what is in doubt."""
        connection = self._connection
        if connection is None:
            return
        silence = self.loop.timers.now - self._heard if connection.waiting else 0.0
        if self.state is not LinkState.UP:
            if silence > PATIENCE:
                self._drop("says nothing")
                return
        elif silence > self.options.lease / RENEWALS:
            self._fall_silent("does not answer")
            return
        if self._left:
            self._tell_left()
        if self._telling is None and (self.state is LinkState.UP or not connection.waiting):
            truth = self.holdings.pack(self.holdings.some_doubtful())
            self._call(scripts.renew, argument(self.lease.renewal(brings.RENEW, truth)))
        self._next_renewal()

    def _next_renewal(self) -> None:
        due = self.options.lease / RENEWALS
        if self.state is not LinkState.UP:
            due = min(due, 1.0)
        self._renew.set(min(due, AGAIN) if self.holdings.doubtful else due)

    def _renewed(self, call: RedisCall, reply: list[Reply]) -> None:
        telling, self._telling = self._telling, None
        if not reply or reply[0] != 1:
            if telling is None:
                self._tell_all(brings.ALL)
            elif telling is call:
                self._renew.set(AGAIN)
            else:
                self._telling = telling
            return
        if telling is not call:
            self._telling = telling
        self.sure = reply[1] == 1
        told = reply[2]
        if isinstance(told, list):
            self.leases = [each.decode("latin-1") for each in told if isinstance(each, bytes)]
            self.nodes = nodes_of(self.leases)
        if self.state is LinkState.JOINING and self._telling is None:
            self.state = LinkState.UP
            self._found()
        if self.holdings.doubtful:
            self._renew_soon()

    def _doubt(self, digests: Sequence[bytes]) -> None:
        self.holdings.doubtful.update(digests)
        if self.state is LinkState.UP:
            self._renew_soon()

    def _renew_soon(self) -> None:
        if self._renew.deadline > self.loop.timers.now + AGAIN:
            self._renew.set(AGAIN)

    def _tell_left(self) -> None:
        left, self._left = self._left, []
        self._leave.clear()
        if left and self.state is LinkState.UP:
            self._call(scripts.leave_places, argument(b"".join(left)), None, (), left)
        else:
            self.holdings.doubtful.update(left)

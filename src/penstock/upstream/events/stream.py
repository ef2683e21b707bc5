"""The body of an answer that is a stream of events: passed on at once, kept alive, ended after a whole event.

    backend -> _read (a fiber of its own) -> one piece -> __anext__ (the request's fiber) -> filters -> client
                                                            ^
                            a ping that is due, an end that was asked for

Between the two is one piece: the backend is read only as fast as the client takes it. What the client gets is what the
backend has sent, byte for byte, with these additions where the stream is plain text: a comment between two events where
nothing has come for long, and `retry` before an end that the application has not made.

With `event_stream_redial` only whole events go on, so that another answer may follow where one has broken off.
"""

from __future__ import annotations

from errno import ECONNRESET
from itertools import count
from math import inf
from random import random
from typing import TYPE_CHECKING

from penstock.http.events.live import StreamEnd
from penstock.http.events.scanner import EventScanner
from penstock.net.errors import NetError
from penstock.net.fiber import Fiber, current, pause
from penstock.net.timers import Alarm
from penstock.upstream.errors import AnswerCut, ClientGone, ProxyError
from penstock.upstream.events.whole import WholeEvents
from penstock.upstream.exchange.upgrade import Parts, address_parts

if TYPE_CHECKING:
    from collections.abc import Callable

    from penstock.http.client import RequestCounts
    from penstock.http.events.live import StreamTap
    from penstock.http.events.scanner import StreamScanner
    from penstock.http.request import Attempt, Request
    from penstock.upstream.events.redial import Redialler
    from penstock.upstream.events.terms import EventTerms
    from penstock.upstream.exchange.incoming import Incoming

PING = b":\n\n"
"""A comment, and an empty line for readers that look for these alone. Between two events it says nothing."""

GRACE = 5.0
"""Seconds that an event under way has to come to its end, once its stream is to end."""

_numbers = count(1)


class ToldToMove(Exception):
    """Thrown into who waits for a backend that is to be left."""

    expected = True


class EventStream:
    """A `LiveEventStream`. `scanner` is None where its bytes are in a coding that nobody undoes here: then nothing is
    put in, and nothing can be said of events."""

    __slots__ = (
        "_alarm", "_asked", "_consumer", "_due", "_error", "_incoming", "_last_words", "_meters", "_over", "_piece",
        "_pump", "_reading", "_redialler", "_terms", "_whole", "_wish", "bytes_out", "last", "number", "opened",
        "paused", "pings", "reason", "redials", "request", "scanner", "tap",
    )  # fmt: skip
    flushes = True
    """No filter may hold pieces back."""

    def __init__(
        self,
        incoming: Incoming,
        first: bytes,
        terms: EventTerms,
        scanner: StreamScanner | None,
        meters: RequestCounts | None = None,
        redialler: Redialler | None = None,
    ) -> None:
        exchange = incoming.exchange
        self.request: Request = exchange.request
        self.number = next(_numbers)
        self.opened = self.last = exchange.stream.hot.now
        self.reason: StreamEnd | None = None
        self.bytes_out = self.pings = self.redials = 0
        self.paused = False
        self.tap: StreamTap | None = None
        self.scanner = scanner
        self._incoming = incoming
        self._terms = terms
        self._meters = meters
        self._redialler = redialler
        self._whole = WholeEvents(scanner, 0 if redialler is None else redialler.rule.buffer)
        self._piece = first
        self._pump: Fiber[None] | None = None
        self._reading = False
        """Whether the pump waits for the backend, and for nothing else."""
        self._wish: tuple[frozenset[Parts], Callable[[], None] | None] | None = None
        """Whom it is to leave, and not to come to; and what is done if it can not."""
        self._consumer: Fiber[object] | None = None
        self._asked: StreamEnd | None = None
        """Why it is to end, once it has been told to."""
        self._due = 0.0
        """When it ends in the middle of an event."""
        self._last_words = False
        """Whether the last bytes have gone."""
        self._over = False
        """Whether the backend has nothing more to say."""
        self._error: BaseException | None = None
        loop = exchange.stream.loop
        self._alarm = Alarm(loop.timers, self._wake)
        loop.event_streams.add(self)
        if meters is not None:
            meters.stream_opened()

    # -- what it tells

    @property
    def events(self) -> int | None:
        """Return how many events have passed; None where they can not be seen."""
        return None if self.scanner is None else self.scanner.events

    @property
    def ending(self) -> bool:
        """Do what `LiveEventStream.ending` says."""
        return self._asked is not None

    @property
    def place(self) -> tuple[str, tuple[str | int, ...], bool]:
        """Do what `LiveEventStream.place` says."""
        exchange = self._incoming.exchange
        group, peer = exchange.plan.group, exchange.peer
        return group.name, () if peer is None else address_parts(peer.address), group.declared

    def dismiss(self, why: StreamEnd) -> None:
        """Do what `LiveEventStream.dismiss` says."""
        if self._asked is None and self.reason is None:
            self._asked = why
            self._due = self._now + GRACE
            self._wake()

    @property
    def address(self) -> Parts:
        """Do what `LiveEventStream.address` says."""
        return self.place[1]

    @property
    def attempt(self) -> Attempt:
        """Do what `LiveEventStream.attempt` says."""
        return self._incoming.exchange.attempt

    @property
    def may_move(self) -> bool:
        """Do what `LiveEventStream.may_move` says."""
        if self._redialler is None or self._over or self._asked is not None or self._wish is not None:
            return False
        return type(self.scanner) is EventScanner and self.scanner.last_id is not None

    @property
    def moving(self) -> bool:
        """Do what `LiveEventStream.moving` says."""
        return self._wish is not None

    def change_backend(self, avoided: frozenset[Parts], instead: Callable[[], None] | None = None) -> bool:
        """Do what `LiveEventStream.change_backend` says."""
        if not self.may_move:
            return False
        self._wish = avoided, instead
        if self._reading and self._pump is not None:
            self._pump.interrupt(ToldToMove())
        return True

    @property
    def _now(self) -> float:
        return self._incoming.exchange.stream.hot.now

    # -- the client's side

    def __aiter__(self) -> EventStream:
        return self

    async def __anext__(self) -> bytes:
        if self._pump is None and not self._over:
            self._start()
        while True:
            if self._piece:
                piece, self._piece = self._piece, b""
                out = self._whole.feed(piece)  # before its end is seen, behind which another answer may be asked for
                if self._pump is not None:
                    self._pump.resume()
                if out:
                    return self._sent(out)
                continue
            said = self._said()
            if said is not None:
                return said
            self._consumer = current()
            self._alarm.at(self._next_look())
            try:
                await pause()
            finally:
                self._alarm.clear()
                self._consumer = None

    def _said(self) -> bytes | None:
        """Return what we have to say ourselves now; None for nothing. Raises what ends the body."""
        if self._last_words:
            self._end()
        now = self._now
        if self._over and (kept := self._whole.take_kept()) and self._error is None:
            return self._sent(kept)  # the application has ended it there
        if self._over or (self._asked is not None and (self._whole.between or now >= self._due)):
            self._last_words = True
            words = self._farewell()
            if words:
                return words
            self._end()
        if self._pings and now >= self.last + self._terms.ping and self._whole.between:
            self.pings += 1
            if not self.bytes_out:
                self._whole.strip_mark()
            return self._sent(PING)
        return None

    def _next_look(self) -> float:
        due = self.last + self._terms.ping if self._pings and self._whole.between else inf
        return min(due, self._due) if self._asked is not None else due

    @property
    def _pings(self) -> bool:
        return self._terms.ping > 0 and type(self.scanner) is EventScanner

    def _sent(self, data: bytes) -> bytes:
        self.last = self._now
        self.bytes_out += len(data)
        if self.tap is not None:
            self.tap.passed(data)
        return data

    # -- the end

    def _farewell(self) -> bytes:
        """Return the last bytes before the end: when to come back. A browser believes `retry` as soon as its line has
        ended, and forgets the fields of an event that has not: so an event that broke off stays undispatched."""
        scanner, spread = self.scanner, self._terms.retry
        if spread is None or not (spread.always or self._asked or self._error or self._given_up()):
            return b""
        words = b""
        if type(scanner) is EventScanner and self._goes_on_with_events():
            least = spread.least if scanner.retry is None else scanner.retry / 1000
            wait = least + random() * (spread.most - spread.least)
            words = b"retry: %d\n" % round(wait * 1000)
            if self._whole.between:
                words += b"\n"
            elif scanner.mid_line:
                words = b"\n" + words
        return self._sent(words) if words else b""

    def _given_up(self) -> bool:
        """Return whether another answer was asked for, in vain."""
        return self._redialler is not None and self._redialler.gave_up

    def _goes_on_with_events(self) -> bool:
        """Return whether the client is one that comes back by itself, and reads `retry`: a browser's EventSource."""
        request = self.request
        return request.method == "GET" and "text/event-stream" in request.head.fields.get("accept", "")

    def _end(self) -> None:
        """End the body: wholly, or so that everybody sees that something is missing. Raises."""
        error, self._error = self._error, None
        if isinstance(error, ProxyError):
            self._note(self._asked or StreamEnd.BACKEND_LOST)
            status = error.status
            del error  # or its traceback would lead to itself
            raise AnswerCut(status, "recv")
        if error is not None:
            self._note(StreamEnd.CLIENT_CLOSED if isinstance(error, NetError) else StreamEnd.OTHER)
            try:
                raise error
            finally:
                del error
        self._note(self._asked or StreamEnd.CLOSED)
        if not self._over and not self._whole.between:
            raise AnswerCut(0, "recv")
        raise StopAsyncIteration

    def _note(self, reason: StreamEnd) -> None:
        if self.reason is None:
            self.reason = reason
            self._incoming.exchange.stream.loop.event_streams.discard(self)
            if self._meters is not None:
                self._meters.stream_ended(self)

    def close(self) -> None:
        """Give everything back: nobody reads on."""
        self._note(self._asked or StreamEnd.CLIENT_CLOSED)
        self._over = True
        self._alarm.close()
        pump, self._pump = self._pump, None
        if pump is not None and not pump.done:
            pump.cancel()
        self._error = self._wish = None
        self._piece = b""
        self._incoming.close()
        self._redialler = self.tap = None

    def _wake(self) -> None:
        if self._consumer is not None:
            self._consumer.resume()

    # -- the backend's side

    def _start(self) -> None:
        self._pump = pump = Fiber(self._read())
        pump.keep_error = True
        pump.on_done(self._read_all)
        pump.resume()

    def _read_all(self, pump: Fiber[None]) -> None:
        if self._pump is not pump:
            pump.take_error()
            return  # it was closed: nobody asks what became of it
        self._pump = None
        self._over = True
        self._error = pump.take_error()
        self._wake()

    async def _read(self) -> None:
        while True:
            while self._piece:
                await pause()
            if self._wish is not None and not self._whole.torn:
                await self._change(*self._wish)
                continue
            error: ProxyError | None = None
            self._reading = True
            try:
                piece = await self._incoming.read()
            except ProxyError as lost:
                error, piece = lost, b""
            except ToldToMove:
                continue
            finally:
                self._reading = False
            if not piece:
                if await self._goes_on(error):
                    continue
                if error is not None:
                    raise error
                return
            self._piece = piece
            self._wake()

    async def _goes_on(self, error: ProxyError | None) -> bool:
        """Ask for the rest where that is wanted and can be done; whether it comes."""
        redialler, scanner = self._redialler, self.scanner
        if redialler is None or self._asked is not None or type(scanner) is not EventScanner or self._whole.torn:
            return False
        if not redialler.may(scanner.last_id, scanner.events, lost=error is not None):
            return False
        found = await redialler.redial(scanner.last_id or b"", scanner.events, self._watch_client)
        if found is None:
            return False
        self._follow(*found)
        return True

    async def _change(self, avoided: frozenset[Parts], instead: Callable[[], None] | None) -> None:
        """Let another backend go on, if one does. Nothing is read of this one from the moment in which that is asked:
        so nothing comes twice, and if there is no other, nothing is missing."""
        redialler, scanner, client = self._redialler, self.scanner, self._incoming.exchange.stream
        heard_by = client.on_hangup
        found = None
        if redialler is not None and type(scanner) is EventScanner and scanner.last_id is not None:
            found = await redialler.ask_others(scanner.last_id, avoided | {self.address})
        self._wish = None
        if found is None:
            client.on_hangup = heard_by
            if instead is not None:
                instead()
            return
        left, heard_by = self._incoming, client.on_hangup
        self._follow(*found)
        left.close()
        client.on_hangup = heard_by

    def _follow(self, incoming: Incoming, first: bytes) -> None:
        """Go on with another answer, of which this came first."""
        self._incoming = incoming
        self.redials += 1
        self._whole.begin()
        self._piece = first
        self._wake()

    def _watch_client(self) -> None:
        self._incoming.exchange.stream.on_hangup = self._client_gone

    def _client_gone(self) -> None:
        """The client hung up while there was no backend to tell of it."""
        if self._pump is not None:
            self._pump.interrupt(ClientGone(ECONNRESET))

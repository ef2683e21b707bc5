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
from penstock.http.events.scanner import BOM, EventScanner
from penstock.net.errors import NetError
from penstock.net.fiber import Fiber, current, pause
from penstock.net.timers import Alarm
from penstock.upstream.errors import AnswerCut, ClientGone, ProxyError
from penstock.upstream.exchange.upgrade import address_parts

if TYPE_CHECKING:
    from penstock.http.client import RequestCounts
    from penstock.http.events.live import StreamTap
    from penstock.http.events.scanner import StreamScanner
    from penstock.http.request import Request
    from penstock.upstream.events.redial import Redialler
    from penstock.upstream.events.terms import EventTerms
    from penstock.upstream.exchange.incoming import Incoming

PING = b":\n\n"
"""A comment, and an empty line for readers that look for these alone. Between two events it says nothing."""

GRACE = 5.0
"""Seconds that an event under way has to come to its end, once its stream is to end."""

_numbers = count(1)


class EventStream:
    """A `LiveEventStream`. `scanner` is None where its bytes are in a coding that nobody undoes here: then nothing is
    put in, and nothing can be said of events."""

    __slots__ = (
        "_alarm", "_asked", "_buffer", "_consumer", "_due", "_error", "_held", "_incoming", "_last_words", "_meters",
        "_over", "_piece", "_pump", "_redialler", "_strips", "_terms", "_torn", "bytes_out", "last", "number", "opened",
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
        self._buffer = 0 if redialler is None else redialler.rule.buffer
        self._piece = first
        self._held = b""
        """The beginning of an event, with `_buffer`."""
        self._torn = False
        """Whether the beginning of an event was passed on all the same, as it was too long to be kept."""
        self._strips = -1
        """Bytes of a mark at the beginning that were left out so far; -1 where none is to be."""
        self._pump: Fiber[None] | None = None
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
    def place(self) -> tuple[str, tuple[object, ...], bool]:
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
                out = self._pass(piece)  # before its end is seen, behind which another answer may be asked for
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
        if self._over and self._held:
            held, self._held = self._held, b""
            if self._error is None:
                return self._sent(held)  # the application has ended it there
        if self._over or (self._asked is not None and (self._between or now >= self._due)):
            self._last_words = True
            words = self._farewell()
            if words:
                return words
            self._end()
        if self._pings and now >= self.last + self._terms.ping and self._between:
            self.pings += 1
            if not self.bytes_out:
                self._strips = 0
            return self._sent(PING)
        return None

    def _next_look(self) -> float:
        due = self.last + self._terms.ping if self._pings and self._between else inf
        return min(due, self._due) if self._asked is not None else due

    @property
    def _pings(self) -> bool:
        return self._terms.ping > 0 and type(self.scanner) is EventScanner

    @property
    def _between(self) -> bool:
        """Whether the client has whole events, as far as that can be seen."""
        scanner = self.scanner
        if scanner is None or scanner.at_boundary:
            return True
        return self._buffer > 0 and not self._torn

    def _pass(self, data: bytes) -> bytes:
        """Return what of these bytes goes on now."""
        if self._strips >= 0:
            data = self._without_mark(data)
        scanner = self.scanner
        if scanner is None:
            return data
        whole = scanner.feed(data)
        if not self._buffer:
            return data
        if self._torn:
            if not whole:
                return data
            self._torn = False
            out, self._held = data[:whole], data[whole:]
        elif whole:
            out, self._held = self._held + data[:whole], data[whole:]
        else:
            out = b""
            self._held += data
        if len(self._held) > self._buffer:
            out += self._held
            self._held = b""
            self._torn = True
        return out

    def _without_mark(self, data: bytes) -> bytes:
        """Leave out a byte order mark: it stands at the beginning of a stream only, and this is none any more."""
        at = self._strips
        while data and at < len(BOM) and data[0] == BOM[at]:
            at += 1
            data = data[1:]
        begun = BOM[:at] if at < len(BOM) and data else b""
        self._strips = -1 if data or at == len(BOM) else at
        return begun + data

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
            if self._between:
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
        if not self._over and not self._between:
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
        self._error = None
        self._piece = self._held = b""
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
            error: ProxyError | None = None
            try:
                piece = await self._incoming.read()
            except ProxyError as lost:
                error, piece = lost, b""
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
        if redialler is None or self._asked is not None or type(scanner) is not EventScanner or self._torn:
            return False
        if not redialler.may(scanner.last_id, scanner.events, lost=error is not None):
            return False
        found = await redialler.redial(scanner.last_id or b"", scanner.events, self._watch_client)
        if found is None:
            return False
        self._incoming, first = found
        self.redials += 1
        self._held = b""
        self._strips = 0
        scanner.begin()
        self._piece = first
        self._wake()
        return True

    def _watch_client(self) -> None:
        self._incoming.exchange.stream.on_hangup = self._client_gone

    def _client_gone(self) -> None:
        """The client hung up while there was no backend to tell of it."""
        if self._pump is not None:
            self._pump.interrupt(ClientGone(ECONNRESET))

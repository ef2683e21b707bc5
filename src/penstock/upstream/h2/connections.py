"""Connections of HTTP/2 to the backends of one group: as few as their streams allow.

A request takes a stream of a connection that is there. Only where all are full, or there is none, another is made,
and those who come meanwhile wait for it: there are never more connections than HTTP/1.1 would need, and mostly one.
The first request leaves with the connection's first bytes; the others wait until the peer has said how many it takes.
A connection on which nothing is under way is kept where `keepalive` says so, and closed where it does not.

Who shares a connection is said by its key: nobody's bytes go where another address, name or certificate was asked for.
"""

from __future__ import annotations

from collections.abc import Hashable
from typing import TYPE_CHECKING

from penstock.net.errors import TimedOut
from penstock.net.fiber import Fiber, current, forget_frames, pause, spawn
from penstock.net.h2.client import ClientSession, Given
from penstock.net.timers import Alarm
from penstock.net.waiting import timeout_alarm
from penstock.upstream.errors import ProxyError, failed, timed_out

if TYPE_CHECKING:
    from penstock.net.dial import Address
    from penstock.net.stream import Stream
    from penstock.upstream.h2.exchange import Http2Exchange
    from penstock.upstream.peers.group import Group
    from penstock.upstream.peers.keepalive import KeepAlive

SHARERS = 100
"""How many wait for the same new connection, where it is not known how many it will take."""
REMEMBERED = 300.0
"""Seconds for which it is remembered that a backend takes no extended CONNECT."""
REMEMBERED_MOST = 256
WAITING = "waiting for HTTP/2 settings of upstream"


class BackendConnection(ClientSession):
    """One connection. `holders` are those who wait for what the peer says first; `misplaced`: it has been said that the
    peer sends headers that are none of HTTP/2."""

    __slots__ = ("_alarm", "_waiting", "born", "holders", "key", "links", "misplaced")

    def __init__(self, links: Links, key: Hashable, stream: Stream, exchange: Http2Exchange) -> None:
        policy = exchange.policy
        super().__init__(
            stream,
            head_size=policy.head_size,
            send_timeout=policy.send_timeout,
            changed=self._changed,
            idle=self.rest,
        )
        self.links = links
        self.key = key
        self.born = stream.hot.now
        self.holders = 0
        self.misplaced = False
        self._waiting: list[Fiber[object]] = []
        self._alarm = Alarm(stream.loop.timers, self.hang_up)

    async def settings(self, timeout: float) -> None:
        """Wait until the peer has said what it takes, or is gone. Raises `ProxyError`."""
        self.holders += 1
        me = current()
        alarm = me.alarm or timeout_alarm(me, self.stream.loop)
        self._waiting.append(me)
        alarm.set(timeout)
        try:
            while self.silent:
                await pause()
        except TimedOut as error:
            raise timed_out(WAITING, error) from None
        finally:
            alarm.clear()
            self._waiting.remove(me)
            self.holders -= 1
            self.stream.loop.call_soon(self.rest)

    def takes_more(self) -> bool:
        """Return whether another request may be sent, by the peer's word and by ours."""
        self._spend()
        if self.usable:
            self._alarm.clear()
            return True
        return False

    def _spend(self) -> None:
        """Take no more requests once there have been enough (`keepalive_requests`, `keepalive_time`)."""
        options = self.links.options
        if options is not None and (
            self.opened_count >= options.requests or self.stream.hot.now - self.born > options.time
        ):
            self.retire()

    def suspect(self, since: float) -> None:
        """Suspect a connection on which an answer does not come. If nothing at all has come since, it may be dead
        without our knowing: nobody else shall wait for it."""
        if self.heard <= since:
            self.retire()

    def rest(self) -> None:
        """Note that nothing is under way any more."""
        if self.lanes or self.holders or self.why:
            return
        self._spend()
        options = self.links.options
        if options is None or not options.most or not self.usable:
            self.hang_up()
            return
        self._alarm.set(options.timeout)
        self.links.crowd(options.most)

    def _changed(self) -> None:
        for fiber in list(self._waiting):
            fiber.resume()
        if self.why:
            self._alarm.close()
            self.links.gone(self)
        elif self.wire.leaving:
            self.rest()


class Dial:
    """A connection that is being made, and how many wait for it."""

    __slots__ = ("fiber", "waiting")

    fiber: Fiber[BackendConnection]

    def __init__(self) -> None:
        self.waiting = 0


class Links:
    """The connections of one group in one worker."""

    __slots__ = ("_dials", "_links", "_without", "options")

    def __init__(self, options: KeepAlive | None) -> None:
        self.options = options
        self._links: list[BackendConnection] = []
        self._dials: dict[Hashable, Dial] = {}
        self._without: dict[Address, float] = {}

    async def find(self, exchange: Http2Exchange, address: Address, key: Hashable) -> tuple[BackendConnection, bool]:
        """Find a connection that takes a request now, and tell whether it has been there before. Raises `ProxyError`.
        """
        most = SHARERS
        while True:
            silent = None
            for link in self._links:
                if link.key != key:
                    continue
                if link.takes_more():
                    return link, True
                if link.silent:
                    silent = link
                elif link.known:
                    most = max(1, link.allowed)
            if silent is not None:
                await silent.settings(exchange.policy.connect_timeout)
                if silent.why and not silent.known:
                    raise failed(f"{silent.why} while {WAITING}", cause=Given(silent.why))
                continue
            dial = self._dials.get(key)
            mine = dial is None or dial.waiting >= most
            if dial is None or mine:
                dial = self._dial(exchange, key)
            dial.waiting += 1
            try:
                link = await dial.fiber.join()
            except ProxyError as error:
                # Each who waited has failed by itself: what becomes of it is its own affair.
                forget_frames(error)
                raise ProxyError(
                    error.side, error.status, error.retry, error.text, error.cause, error.level
                ) from None
            if link.takes_more():
                return link, False
            if mine and not link.silent:
                text = link.why or "upstream allows no streams (SETTINGS_MAX_CONCURRENT_STREAMS is 0)"
                raise failed(f"{text} while connecting to upstream")

    def _dial(self, exchange: Http2Exchange, key: Hashable) -> Dial:
        self._dials[key] = dial = Dial()
        dial.fiber = fiber = Fiber(self._connected(exchange, key))
        fiber.keep_error = True
        fiber.on_done(lambda _: self._dialled(dial, key))
        fiber.resume()
        return dial

    async def _connected(self, exchange: Http2Exchange, key: Hashable) -> BackendConnection:
        line = await exchange.dial()
        link = BackendConnection(self, key, line.stream, exchange)
        self._links.append(link)
        spawn(link.run())
        # Whoever wanted it may be gone by now.
        link.stream.loop.call_soon(link.rest)
        return link

    def _dialled(self, dial: Dial, key: Hashable) -> None:
        if self._dials.get(key) is dial:
            del self._dials[key]
        error = dial.fiber.error
        if error is not None:
            forget_frames(error)  # perhaps nobody waits any more

    def gone(self, link: BackendConnection) -> None:
        """Forget a connection that has ended."""
        if link in self._links:
            self._links.remove(link)

    def crowd(self, most: int) -> None:
        """Close the oldest of those at rest while there are more than so many."""
        resting = [link for link in self._links if not link.lanes and not link.holders and not link.wire.leaving]
        for link in resting[: max(0, len(resting) - most)]:
            link.hang_up()

    def retire(self) -> None:
        """Let what is under way come to its end: the group is no more, or is another one."""
        self.options = None
        self._without.clear()
        for link in list(self._links):
            link.retire()
            link.rest()

    # -- who takes no extended CONNECT

    def without(self, address: Address, now: float) -> bool:
        """Return whether a peer is known to take WebSockets over HTTP/1.1 alone."""
        until = self._without.get(address)
        if until is None:
            return False
        if until <= now:
            del self._without[address]
            return False
        return True

    def remember(self, address: Address, now: float) -> None:
        """Remember that a peer does not take an extended CONNECT."""
        if len(self._without) >= REMEMBERED_MOST:
            self._without.clear()
        self._without[address] = now + REMEMBERED


def links_of(group: Group) -> Links:
    """Return a group's connections of HTTP/2."""
    links: Links | None = group.links
    if links is None:
        pool = group.pool
        links = group.links = Links(None if pool is None else pool.options)
    return links

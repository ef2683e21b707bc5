"""HTTP/2 with one client (RFC 9113): each stream is a request in a fiber of its own.

The connection's own fiber reads; what it reads starts requests and lets those go on that waited for it. From the head
on a request takes the same way as one of HTTP/1.1 (`server.transaction`), up to the wire.
"""

from __future__ import annotations

from math import inf
from typing import TYPE_CHECKING

from penstock.config.key import Key
from penstock.http.h2.events import ConnectionTerminated, Event, RequestReceived, SettingsAcknowledged, StreamReset
from penstock.http.h2.request_head import heads_known
from penstock.http.h2.wire import ConnectionFault, ErrorCodes, HeadLimits, SettingCodes, Wire
from penstock.http.head import HeadOptions
from penstock.modules.core.http_core import HttpCore
from penstock.modules.http2 import Http2, carries_websockets
from penstock.net.errors import NetError, PeerGone, TimedOut
from penstock.net.h2.session import Session
from penstock.net.h2.stream import Lane
from penstock.net.timers import Alarm
from penstock.net.waiting import Closed
from penstock.observe.errorlog import INFO, report
from penstock.server.h2.limits import FloodLimits
from penstock.server.h2.request_connection import Hosts, View

if TYPE_CHECKING:
    from penstock.plan.location import Listen, Server
    from penstock.server.connection import Connection

WHILE = "while processing HTTP/2 connection"
DEFAULT_WINDOW = 65535
LAST_WORD = 1.0
"""Seconds a client gets to take a GOAWAY when it is sent away."""


async def serve(connection: Connection) -> None:
    """Serve a connection on which the client has begun, or agreed, to speak HTTP/2. It is closed when this returns."""
    await Http2Connection(connection).run()


_OFFERS: Key[dict[Server, bool]] = Key("servers that carry WebSockets over HTTP/2")


_HOSTS: Key[dict[Listen, Hosts]] = Key("servers of clients' names whose requests over HTTP/2 may go straight")


def offers_websockets(connection: Connection) -> bool:
    """Return whether clients of a server are told that they may have WebSockets here (RFC 8441)."""
    known = connection.service.plan.shared.setdefault(_OFFERS, {})
    server = connection.server
    found = known.get(server)
    if found is None:
        found = known[server] = carries_websockets(server)
    return found


class Http2Connection:
    """One connection. `extended`: WebSockets were offered. `lateness` is the one alarm of all requests that go
    straight; it comes up no later than the first of them is late.
    """

    __slots__ = (
        "_aborted",
        "_acknowledged",
        "_alarm",
        "_guard",
        "_last",
        "_new",
        "_resets",
        "_until",
        "connection",
        "core",
        "extended",
        "hosts",
        "http2",
        "known",
        "lateness",
        "options",
        "session",
        "wire",
    )

    def __init__(self, connection: Connection) -> None:
        self.connection = connection
        server = connection.server
        self.core = core = server.root[HttpCore]
        self.http2 = http2 = server.root[Http2]
        self.extended = offers_websockets(connection)
        settings: dict[SettingCodes, int] = {
            SettingCodes.MAX_CONCURRENT_STREAMS: http2.max_concurrent_streams,
            SettingCodes.INITIAL_WINDOW_SIZE: http2.body_preread_size,
        }
        if self.extended:
            settings[SettingCodes.ENABLE_CONNECT_PROTOCOL] = 1
        self.options = HeadOptions(
            underscores_in_headers=core.underscores_in_headers,
            ignore_invalid_headers=core.ignore_invalid_headers,
            merge_slashes=core.merge_slashes,
            max_headers=core.max_headers,
        )
        self.hosts = connection.service.plan.shared.setdefault(_HOSTS, {}).setdefault(connection.listen, {})
        self.known = heads_known(self.options, extended=self.extended)
        number, size = core.large_client_header_buffers
        self.wire = wire = Wire(settings, HeadLimits(field=size, fields=number * size))
        wire.announce()
        self.session = Session(
            connection.stream,
            wire,
            opened=self._opened,
            noticed=self._noticed,
            idle=self._idle,
            send_timeout=core.send_timeout,
        )
        timers = connection.service.timers
        self._guard = FloodLimits(timers, http2.max_concurrent_streams)
        self._alarm = Alarm(timers, self._late)
        self.lateness = Alarm(timers, self._late_requests)
        self._aborted = False
        self._acknowledged = False
        self._last = core.keepalive_requests if core.keepalive_timeout[0] else 0
        self._until = connection.started + core.keepalive_time
        self._new = 0
        self._resets = core.reset_timedout_connection

    async def run(self) -> None:
        """Read until somebody has had enough."""
        connection, session = self.connection, self.session
        if connection.service.draining:
            self.wire.goaway()
        connection.drain, connection.abort = self.drain, self.abort
        if self.core.tcp_nodelay:
            connection.stream.nodelay()
        self._alarm.at(min(connection.service.timers.now + self.core.client_header_timeout, connection.due))
        try:
            session.flush()
            await session.read(self._received)
            if self.wire.incomplete or session.lanes:
                report(connection, INFO, f"client prematurely closed connection {WHILE}")
        except ConnectionFault as fault:
            report(connection, INFO, f"{fault.reason} {WHILE}")
            self.wire.goaway(fault.code)
        except TimedOut:
            report(connection, INFO, f"client timed out (110: Connection timed out) {WHILE}")
        except NetError:
            pass  # the client is gone, and was logged with its requests if it had any
        finally:
            connection.drain = connection.abort = None
            connection.leaving = True
            connection.since = connection.service.timers.now
            self._alarm.close()
            self.lateness.close()
            try:
                await self._close()
            finally:
                connection.service.gone(connection)

    async def _close(self) -> None:
        session, stream = self.session, self.connection.stream
        try:
            if session.error is None and not stream.closed and await session.sent():
                # What is sent last is often why: it shall not be lost to a reset.
                self._lose_lanes()
                core = self.core
                if core.lingering_close != "off":
                    await stream.lingering_close(core.lingering_time, min(core.lingering_timeout, LAST_WORD))
        finally:
            self._lose_lanes()
            if self._resets and isinstance(session.error, TimedOut):
                stream.abort()
            stream.close()
            session.over()

    def _lose_lanes(self) -> None:
        kind = Closed if self._aborted else PeerGone
        for lane in list(self.session.lanes.values()):
            lane.lose(0, kind)

    # -- what comes

    def _received(self, count: int) -> None:
        """Some bytes have been dealt with."""
        self._new = 0
        wire, connection = self.wire, self.connection
        self._guard.read(count, wire.payload)
        if wire.in_head:
            if not connection.reading:
                connection.reading = True
                self._alarm.set(self.core.client_header_timeout)
        elif connection.reading:
            connection.reading = False
            self._rest()

    def _opened(self, event: RequestReceived) -> None:
        """A request has come, its head wholly."""
        wire, session = self.wire, self.session
        half = wire.streams[event.stream_id]
        if wire.leaving:
            wire.forget(half)  # it was on its way when the client was told that there will be no more
            return
        ended, most = event.ended, self._guard.most
        self._new += 1
        if len(session.lanes) >= most or self._new > 2 * most or not (ended or self._acknowledged):
            why = self._refusal(ended)
            if why:
                report(self.connection, INFO, f"{why} {WHILE}")
                wire.reset(half, ErrorCodes.REFUSED_STREAM)
                wire.forget(half)
                self._guard.refused()
                return
        if wire.decoder.size > wire.limits.field:
            self._check_size(event)
        connection = self.connection
        connection.requests += 1
        connection.idle = False
        self._alarm.deadline = inf
        if connection.requests >= self._last or self._alarm.timers.now > self._until:
            wire.goaway()  # there have been enough
        lane = Lane(session, half, ended=ended)
        lane.start = View(self, lane, event.headers, wire.block_length, bodied=not ended).begin
        session.touch(lane)

    def _refusal(self, ended: bool) -> str:
        """Why a stream is not taken; "" if it is."""
        most = self._guard.most
        count = len(self.session.lanes)
        if count >= most:
            return f"concurrent streams exceeded {count}"
        if self._new > 2 * most:
            return "client sent too many streams at once"
        if not self._acknowledged and not ended and self.http2.body_preread_size < DEFAULT_WINDOW:
            return "client sent stream with data before settings were acknowledged"
        return ""

    def _check_size(self, event: RequestReceived) -> None:
        """Hold a head against `large_client_header_buffers`. Raises `ConnectionFault`."""
        limits = self.wire.limits
        total = 0
        for name, value in event.headers:
            if len(name) > limits.field or len(value) > limits.field:
                raise ConnectionFault(ErrorCodes.ENHANCE_YOUR_CALM, "client sent too large header field")
            total += len(name) + len(value)
        if total > limits.fields:
            raise ConnectionFault(ErrorCodes.ENHANCE_YOUR_CALM, "client sent too large header")

    def _noticed(self, event: Event) -> None:
        if type(event) is SettingsAcknowledged:
            self._acknowledged = True
        elif type(event) is ConnectionTerminated:
            pass  # a client that will ask for no more may read what it has asked for
        elif type(event) is StreamReset:
            self._reset(event)
        else:
            self._guard.event(event)

    def _reset(self, event: StreamReset) -> None:
        lane = self.session.lanes.get(event.stream_id)
        if lane is None:
            return
        code = event.error_code
        if event.remote_reset:
            if code == ErrorCodes.CANCEL:
                what = f"client canceled stream {lane.sid}"
            elif code == ErrorCodes.INTERNAL_ERROR:
                what = f"client terminated stream {lane.sid} due to internal error"
            else:
                what = f"client terminated stream {lane.sid} with status {code}"
        else:
            what = f"client broke the protocol on stream {lane.sid}"
        report(self.connection, INFO, f"{what} {WHILE}")
        self._guard.event(event)

    # -- the end

    def _idle(self) -> None:
        """The last request has been answered."""
        connection = self.connection
        connection.idle = True
        connection.since = connection.service.timers.now
        if self._aborted:
            self._hang_up()
        elif self.wire.leaving:
            self.session.end()
        else:
            self._rest()

    def _rest(self) -> None:
        """Nothing is on its way: from now on counts how long nothing is asked for."""
        if self.session.lanes:
            self._alarm.clear()
        else:
            self._alarm.set(self.core.keepalive_timeout[0])

    def _late(self) -> None:
        """Nothing has been asked for long enough, or the rest of a head does not come."""
        connection = self.connection
        if self.wire.in_head or not connection.requests:
            report(connection, INFO, f"client timed out (110: Connection timed out) {WHILE}")
        if self.wire.in_head and self.wire.drop_head():
            self.session.flush()
        if not self.session.lanes:
            self.drain()

    def _late_requests(self) -> None:
        """Tell those who go straight that it takes too long."""
        now = self.connection.service.timers.now
        first = inf
        for lane in list(self.session.lanes.values()):
            view = lane.fiber
            if type(view) is View and view.passage is not None:
                if view.due <= now:
                    view.passage.late()
                elif view.due < first:
                    first = view.due
        if first != inf:
            self.lateness.at(first)

    def drain(self) -> None:
        """Take no more requests; close when those that are here have been answered."""
        if not self.wire.leaving:
            self.wire.goaway()
            self.session.flush()
        if not self.session.lanes:
            self.session.end()

    def stalled(self, *, reset: bool) -> None:
        """End what has found no room for its `send_timeout`. Where that is the socket's doing and nobody else waits for
        it, the connection is over: what its client does not take would only be kept. `reset`: with a reset."""
        if self.session.backlog and len(self.session.lanes) == 1:
            self._resets = reset
            self.session.lose(TimedOut())

    def abort(self) -> None:
        """End what is under way, now. Tunnels are ended by whoever calls this: they have something to say yet, and
        have the connection for it."""
        self._aborted = True
        if not self.wire.leaving:
            self.wire.goaway()
        for lane in list(self.session.lanes.values()):
            if lane.side is None:
                lane.cancel()
        self.session.flush_now()
        if not self.session.lanes:
            self._hang_up()

    def _hang_up(self) -> None:
        """Close with what the socket takes: nobody is waited for any more."""
        self.session.flush_now()
        self.connection.stream.close()

"""An HTTP/2 connection whose two ends are ours: a client's session and a server's, on a pair of sockets."""

from __future__ import annotations

import asyncio
import socket

from harness.fibers import until
from penstock.http.h2.events import Event, RequestReceived
from penstock.http.h2.fields import field, status
from penstock.http.h2.wire import HeadLimits, SettingCodes, Wire
from penstock.net.errors import NetError
from penstock.net.fiber import Fiber, spawn
from penstock.net.h2.client import ClientLane, ClientSession
from penstock.net.h2.session import Session
from penstock.net.h2.stream import Lane
from penstock.net.loop import Loop
from penstock.net.stream import Stream

GET = b"\x82\x86\x84\x41\x09localhost"
OK = status(200)
WINDOW = 65535


class Connection:
    """`client` and `server` are the two sessions; `lanes` are the streams that came to the server."""

    def __init__(self, loop: Loop, window: int = WINDOW) -> None:
        one, other = socket.socketpair()
        one.setblocking(False)
        other.setblocking(False)
        self.loop = loop
        self.lanes: list[Lane] = []
        self.noticed: list[Event] = []
        self.idle = 0
        self.received = 0
        self.ended: list[NetError | None] = []
        self.near, self.far = Stream(one, loop), Stream(other, loop)
        wire = Wire({SettingCodes.INITIAL_WINDOW_SIZE: window, SettingCodes.MAX_CONCURRENT_STREAMS: 10}, HeadLimits())
        wire.announce()
        self.server = Session(
            self.far, wire, opened=self._opened, noticed=self.noticed.append, idle=self._idle, send_timeout=5
        )
        self.client = ClientSession(self.near, head_size=4096, send_timeout=5, changed=_nothing, idle=_nothing)
        self.fibers: list[Fiber[None]] = [spawn(self._serve()), spawn(self.client.run())]

    async def _serve(self) -> None:
        self.server.flush()
        try:
            await self.server.read(self._received)
        except NetError as error:
            self.ended.append(error)
        else:
            self.ended.append(None)

    def _received(self, count: int) -> None:
        self.received += count

    def _opened(self, event: RequestReceived) -> None:
        half = self.server.wire.streams[event.stream_id]
        self.lanes.append(Lane(self.server, half, ended=event.ended))

    def _idle(self) -> None:
        self.idle += 1

    async def pair(self, *, ended: bool = False) -> tuple[ClientLane, Lane]:
        """A new stream: the client's end and the server's."""
        await until(lambda: self.client.known)
        ours = self.client.open()
        count = len(self.lanes)
        ours.head(GET, ended=ended)
        await until(lambda: len(self.lanes) > count)
        return ours, self.lanes[-1]

    async def close(self) -> None:
        self.client.hang_up()
        await until(lambda: bool(self.ended))
        self.far.close()
        await self.fibers[1].join()


def _nothing() -> None:
    pass


async def turns(count: int = 30) -> None:
    for _ in range(count):
        await asyncio.sleep(0)


__all__ = ["GET", "OK", "Connection", "field", "turns", "until"]

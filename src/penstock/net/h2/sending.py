"""What one stream of an HTTP/2 connection sends: one frame after the other, as far as there is room for it.

Room is what the peer's windows leave, and what the connection lets one stream have before it is the next one's turn
(`session.py`). Who finds none waits in its fiber, and in the connection's queue where it is not its own window that is
shut.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from math import inf
from typing import TYPE_CHECKING

from penstock.net.errors import NetError, PeerGone, TimedOut
from penstock.net.fiber import Fiber, current, pause
from penstock.net.stream import Buffer
from penstock.net.waiting import Closed, timeout_alarm

if TYPE_CHECKING:
    from penstock.http.h2.wire import HalfStream
    from penstock.net.h2.session import Session
    from penstock.net.h2.side import LaneSide
    from penstock.net.loop import Loop

HIGH = 65536
"""Bytes that may wait for the socket before lanes have to."""


class LaneSending:
    """The writing half of a `Lane`, which sets all that is here. `chunk` is how large a frame may be, `finished` says
    that END_STREAM was sent, `queued` that it stands in the connection's queue."""

    __slots__ = (
        "_writer",
        "chunk",
        "finished",
        "half",
        "kind",
        "loop",
        "lost",
        "queued",
        "session",
        "side",
        "wire_sent",
    )

    session: Session
    sid: int
    half: HalfStream
    loop: Loop
    chunk: int
    finished: bool
    kind: type[NetError]
    lost: int
    queued: bool
    side: LaneSide | None
    wire_sent: int
    _writer: Fiber[object] | None

    def writable(self) -> None:
        """Go on with sending: there may be room."""
        if self.side is not None:
            self.side.writable()
            return
        writer = self._writer
        if writer is not None:
            self._writer = None
            writer.resume()

    def loss(self, call: str) -> NetError:
        """Return what is to be raised for a stream that is lost."""
        if self.kind is TimedOut:
            return TimedOut()
        return PeerGone(self.lost, call) if self.kind is PeerGone else Closed("the stream was closed")

    def head(self, block: bytes, *, ended: bool = False, flush: bool = True) -> int:
        """Send HEADERS; without `flush`, together with what follows. Gives the bytes on the wire. Raises `PeerGone`."""
        if self.lost:
            raise self.loss("send")
        count = self.session.wire.headers(self.half, block, ended=ended)
        self.wire_sent += count
        self.finished = self.finished or ended
        if flush:
            self.session.flush()
        return count

    async def send_all(
        self, data: Buffer | Sequence[Buffer], timeout: float | None = None, *, ended: bool = False
    ) -> None:
        """Do what `Stream.send_all` does; `ended` says that this was all."""
        if not isinstance(data, (bytes, bytearray, memoryview)):
            data = b"".join(data)
        session = self.session
        size = len(data)
        at = 0
        if size <= self.chunk:
            at = self.send_now(data, ended=ended)
            if at == size:
                return
        view = memoryview(data)
        while True:
            at += self._frame(view[at:], ended=ended)
            if at == size:
                break
            if session.queue or not self._may():
                await self._room(timeout)
        session.flush()

    async def sendfile(
        self, file: int, offset: int, count: int, timeout: float | None = None, *, ended: bool = False
    ) -> int:
        """Do what `Stream.sendfile` does: no more is read than there is room for."""
        session = self.session
        left = count
        while left > 0:
            if self.lost:
                raise self.loss("send")
            room = min(self._budget(), left)
            if room <= 0:
                await self._room(timeout)
                continue
            data = os.pread(file, room, offset)
            if not data:
                break
            offset += len(data)
            left -= len(data)
            self._write(data, ended=ended and not left)
            if left and session.queue:
                await self._room(timeout)
        session.flush()
        return count - left

    def send_now(self, data: Buffer, *, ended: bool = False, flush: bool = True) -> int:
        """Send what there is room for. Raises `PeerGone`."""
        count = self._frame(data, ended=ended)
        if flush:
            self.session.flush()
        return count

    def _may(self) -> bool:
        return not self.lost and self.session.room(self.half) > 0

    def _budget(self) -> int:
        """How many bytes may go now: a frame, or several where nobody else waits."""
        session = self.session
        room = session.room(self.half)
        if room <= self.chunk or session.queue or session.resting:
            return min(room, self.chunk)
        wire = session.wire
        frames = 1 + (HIGH - session.backlog) // self.chunk
        return min(
            wire.may_send, self.half.may_send, frames * self.chunk
        )

    def _frame(self, data: Buffer, *, ended: bool) -> int:
        if self.lost:
            raise self.loss("send")
        size = len(data)
        if not size:
            if ended:
                self._write(b"", ended=True)
            return 0
        count = min(self._budget(), size)
        if count <= 0 or self.lost:
            return 0
        piece = data if count == size else memoryview(data)[:count]
        self._write(piece, ended=ended and count == size)
        return count

    def _write(self, piece: Buffer, *, ended: bool) -> None:
        self.wire_sent += self.session.wire.data(self.half, piece, self.chunk, ended=ended)
        if ended:
            self.finished = True

    async def _room(self, timeout: float | None) -> None:
        """Wait for our turn."""
        self.stand()
        session = self.session
        session.flush()
        if self.lost:
            raise PeerGone(self.lost, "send")  # found out just now, so that nobody will wake us
        self._writer = me = current()
        try:
            await self._wait(me, timeout)
        finally:
            self._writer = None
        if self.lost:
            raise self.loss("send")

    def stand(self) -> None:
        """Stand in the queue, where it is not our own window that we wait for."""
        session = self.session
        if not self.lost and not self.queued and (session.queue or session.blocked):
            self.queued = True
            session.queue.append(self)
            if not session.blocked:
                session.wake_soon()

    async def _wait(self, me: Fiber[object], timeout: float | None) -> None:
        if timeout is None:
            await pause()
            return
        alarm = me.alarm or timeout_alarm(me, self.loop)
        alarm.set(timeout)
        try:
            await pause()
        finally:
            alarm.deadline = inf

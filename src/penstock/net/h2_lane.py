"""One stream of an HTTP/2 connection, to be read and written like a socket (`net.stream.Stream`).

What came and was not read yet is never more than the window it came through; what is written waits in its fiber until
there is room for it.
"""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable, Sequence
from errno import ECONNRESET
from math import inf
from typing import TYPE_CHECKING

from penstock.net.errors import PeerGone
from penstock.net.fiber import Fiber, current, pause
from penstock.net.stream import Buffer, Name
from penstock.net.waiting import timeout_alarm

HIGH = 65536
"""Bytes that may wait for the socket before lanes have to."""

if TYPE_CHECKING:
    import socket

    from penstock.http.h2_wire import HalfStream
    from penstock.net.h2_session import Session
    from penstock.net.h2_side import LaneSide

NO_ERROR, PROTOCOL_ERROR, INTERNAL_ERROR, CANCEL, CONNECT_ERROR = 0, 1, 2, 8, 10


class Lane:
    """`window` is how much the peer may send before it is read. `wire_sent` counts bytes of frames, heads included.

    `on_hangup` is called at most once, when the stream is reset while nobody reads or writes it.
    """

    __slots__ = (
        "_reader",
        "_writer",
        "chunk",
        "code",
        "ended",
        "finished",
        "half",
        "held",
        "hot",
        "inbox",
        "loop",
        "lost",
        "on_hangup",
        "queued",
        "session",
        "sid",
        "side",
        "start",
        "trailers",
        "window",
        "wire_sent",
    )

    secure = False

    def __init__(self, session: Session, half: HalfStream, *, ended: bool) -> None:
        self.session = session
        self.half = half
        self.sid: int = half.stream_id
        self.loop = session.stream.loop
        self.hot = session.stream.hot
        self.inbox: deque[bytes] = deque()
        self.held = 0
        self.window = half.granted
        self.ended = ended
        self.finished = False
        self.lost = 0
        self.queued = False
        self.chunk = 16384
        self.code = CANCEL
        self.wire_sent = 0
        self.trailers: list[tuple[bytes, bytes]] | None = None
        self.on_hangup: Callable[[], None] | None = None
        self.side: LaneSide | None = None
        self.start: Callable[[], None] | None = None
        """What is to be done about it once all that came with its head is here."""
        self._reader: Fiber[object] | None = None
        self._writer: Fiber[object] | None = None
        session.lanes[self.sid] = self

    # -- what the session tells

    def arrived(self, data: bytes, *, ended: bool) -> None:
        """Bytes, or the end of them."""
        if data:
            self.inbox.append(data)
            self.held += len(data)
        if ended:
            self.ended = True

    def read_on(self) -> None:
        """All that has come by now may be read."""
        start = self.start
        if start is not None:
            self.start = None
            start()
            return
        if self.side is not None:
            self.side.arrived()
            return
        reader = self._reader
        if reader is not None:
            self._reader = None
            reader.resume()

    def unasked(self) -> None:
        """What was asked for is taken back, if nothing has been done about it yet."""
        if self.start is not None:
            self.start = None
            self.close()

    def writable(self) -> None:
        """There may be room."""
        if self.side is not None:
            self.side.writable()
            return
        writer = self._writer
        if writer is not None:
            self._writer = None
            writer.resume()

    def lose(self, errno: int) -> None:
        """The stream was reset, or its connection is gone."""
        if self.lost:
            return
        self.lost = errno or ECONNRESET
        self.inbox.clear()
        self.held = 0
        if self.side is not None:
            self.side.lost()
            return
        reader, self._reader = self._reader, None
        writer, self._writer = self._writer, None
        hangup, self.on_hangup = self.on_hangup, None
        if reader is not None:
            reader.interrupt(PeerGone(self.lost))
        if writer is not None and writer is not reader:
            writer.interrupt(PeerGone(self.lost))
        if hangup is not None and reader is None and writer is None:
            hangup()

    # -- reading

    @property
    def ready(self) -> bool:
        """Something may be read without waiting."""
        return bool(self.inbox) or self.ended or bool(self.lost)

    async def recv(self, limit: int = 65536, timeout: float | None = None) -> bytes:
        """As `Stream.recv`."""
        while not self.inbox:
            if self.lost:
                raise PeerGone(self.lost)
            if self.ended:
                return b""
            self.grant()
            self._reader = me = current()
            try:
                await self._wait(me, timeout)
            finally:
                self._reader = None
        return self.taken(limit)

    def taken(self, limit: int) -> bytes:
        """What has come, up to `limit` bytes; something has."""
        data = self.inbox.popleft() if len(self.inbox) == 1 else self._joined(limit)
        if len(data) > limit:
            self.inbox.appendleft(data[limit:])
            data = data[:limit]
        self.held -= len(data)
        self.grant()
        return data

    def _joined(self, limit: int) -> bytes:
        pieces = [self.inbox.popleft()]
        size = len(pieces[0])
        while self.inbox and size + len(self.inbox[0]) <= limit:
            pieces.append(self.inbox.popleft())
            size += len(pieces[-1])
        return b"".join(pieces)

    def grant(self) -> None:
        """Let the peer send on, once half of the window is free: a frame for each piece would be one too many."""
        if self.ended or self.lost:
            return
        free = self.window - self.half.granted - self.held
        if free > 0 and free * 2 >= self.window:
            self.session.wire.grant(self.half, free)
            self.session.flush()

    def unread(self, data: bytes) -> None:
        """As `Stream.unread`."""
        if data:
            self.inbox.appendleft(data)
            self.held += len(data)

    # -- writing

    def head(self, block: bytes, *, ended: bool = False, flush: bool = True) -> int:
        """Send HEADERS; without `flush`, together with what follows. Gives the bytes on the wire. Raises `PeerGone`."""
        if self.lost:
            raise PeerGone(self.lost, "send")
        count = self.session.wire.headers(self.half, block, ended=ended)
        self.wire_sent += count
        self.finished = self.finished or ended
        if flush:
            self.session.flush()
        return count

    async def send_all(
        self, data: Buffer | Sequence[Buffer], timeout: float | None = None, *, ended: bool = False
    ) -> None:
        """As `Stream.send_all`; `ended` says that this was all."""
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
        """As `Stream.sendfile`: no more is read than there is room for."""
        session = self.session
        left = count
        while left > 0:
            if self.lost:
                raise PeerGone(self.lost, "send")
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
        """What there is room for. Raises `PeerGone`."""
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
            wire.outbound_flow_control_window, self.half.outbound_flow_control_window, frames * self.chunk
        )

    def _frame(self, data: Buffer, *, ended: bool) -> int:
        if self.lost:
            raise PeerGone(self.lost, "send")
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
        self._writer = me = current()
        try:
            await self._wait(me, timeout)
        finally:
            self._writer = None
        if self.lost:
            raise PeerGone(self.lost, "send")

    def stand(self) -> None:
        """Stand in the queue, where it is not our own window that we wait for."""
        session = self.session
        if not self.queued and (session.queue or session.blocked):
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

    # -- ending

    def reset(self, code: int) -> None:
        """End the stream at once, if it has not ended."""
        if not self.lost:
            self.session.wire.reset(self.half, code)
            self.lost = ECONNRESET
            self.inbox.clear()
            self.held = 0
            self.session.flush()

    def close(self, code: int = INTERNAL_ERROR) -> None:
        """Let go of the stream: one that has not been answered wholly is reset with `code`, of one whose peer still
        sends the rest is not wanted."""
        if not self.lost:
            if not self.finished:
                self.reset(code)
            elif not self.ended:
                self.reset(NO_ERROR)
        self.lost = self.lost or ECONNRESET
        self.session.wire.forget(self.half)
        self.session.removed(self)

    def abort(self) -> None:
        """End the stream without a reason."""
        self.close(CANCEL)

    async def lingering_close(self, time: float, timeout: float) -> None:
        """Close: nothing of what was sent can be lost by it."""
        self.close()

    def release(self) -> tuple[socket.socket, int, bytes]:
        """As `Stream.release`; the socket stays the connection's, and what has come is read by the side."""
        return self.sock, 0, b""

    def as_side(self, send_timeout: float) -> LaneSide:
        """This stream as an end of a tunnel."""
        from penstock.net.h2_side import LaneSide

        return LaneSide(self, send_timeout, self.code)

    # -- about

    @property
    def sock(self) -> socket.socket:
        """The connection's socket."""
        return self.session.stream.sock

    @property
    def closed(self) -> bool:
        """The stream is over."""
        return bool(self.lost)

    @property
    def hung_up(self) -> bool:
        """The peer is gone."""
        return bool(self.lost)

    @property
    def local_name(self) -> Name:
        """As `Stream.local_name`."""
        return self.session.stream.local_name

    @property
    def peer_name(self) -> Name:
        """As `Stream.peer_name`."""
        return self.session.stream.peer_name

    def nodelay(self) -> None:
        """As `Stream.nodelay`."""
        self.session.stream.nodelay()

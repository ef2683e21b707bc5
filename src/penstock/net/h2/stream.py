"""One stream of an HTTP/2 connection, to be read and written like a socket (`net.stream.Stream`).

What came and was not read yet is never more than the window it came through. What is written is in `sending.py`, and
the states of a stream are in `states.py`.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from errno import ECONNRESET
from typing import TYPE_CHECKING, Protocol

from penstock.net.errors import NetError, PeerGone
from penstock.net.fiber import Fiber, current
from penstock.net.h2.sending import LaneSending
from penstock.net.h2.states import LaneState, state_of
from penstock.net.stream import Name

CRUMBS = 2048
"""Bytes up to which pieces that nobody has read yet are put together."""

if TYPE_CHECKING:
    import socket

    from penstock.http.h2.wire import HalfStream
    from penstock.net.h2.session import Session
    from penstock.net.h2.side import LaneSide

NO_ERROR, PROTOCOL_ERROR, INTERNAL_ERROR, CANCEL, CONNECT_ERROR = 0, 1, 2, 8, 10


NOTHING: deque[bytes] = deque(maxlen=0)
"""What comes on a stream whose peer has ended it with its head."""


class Answering(Protocol):
    """Who answers a request: a fiber, or what stands for one."""

    def cancel(self) -> None:
        """Give it up."""


class Lane(LaneSending):
    """`window` is how much the peer may send before it is read. `wire_sent` counts bytes of frames, heads included.

    `on_hangup` is called at most once, when the stream is reset while nobody reads or writes it. `lost` is the errno of
    what ended it, 0 while it lives; `kind` says whose doing that was: the peer's (`PeerGone`), nobody's who takes
    anything (`TimedOut`), or our own (`Closed`). `fiber` is who answers it.
    """

    __slots__ = (
        "_reader",
        "code",
        "ended",
        "fiber",
        "held",
        "hot",
        "inbox",
        "on_hangup",
        "sid",
        "start",
        "touched",
        "trailers",
        "window",
    )

    secure = False

    def __init__(self, session: Session, half: HalfStream, *, ended: bool) -> None:
        self.session = session
        self.half = half
        self.sid: int = half.stream_id
        self.loop = session.stream.loop
        self.hot = session.stream.hot
        self.inbox: deque[bytes] = NOTHING if ended else deque()
        self.held = 0
        self.window = half.granted
        self.ended = ended
        self.finished = False
        self.lost = 0
        self.kind: type[NetError] = PeerGone
        self.fiber: Answering | None = None
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
        self.touched = False
        """Something has come, and `read_on` is to be called once all is here."""
        session.lanes[self.sid] = self
        half.taker = self

    # -- what the session tells

    def arrived(self, data: bytes, *, ended: bool = False) -> None:
        """Keep bytes that came, or the end of them, for who reads."""
        if data:
            inbox = self.inbox
            if inbox and len(inbox[-1]) + len(data) <= CRUMBS:
                inbox[-1] += data  # many small pieces would cost many times what is in them
            else:
                inbox.append(data)
            self.held += len(data)
        if ended:
            self.ended = True
        if not self.touched:
            self.touched = True
            self.session.touched.append(self)

    def read_on(self) -> None:
        """Let all that has come by now be read."""
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
        """Take back what was asked for, if nothing has been done about it yet."""
        if self.start is not None:
            self.start = None
            self.close()

    def lose(self, errno: int, kind: type[NetError] = PeerGone) -> None:
        """Note that the stream was reset, or its connection is gone. In a tunnel, what came before is still passed on.
        """
        if self.lost:
            return
        self.lost = errno or ECONNRESET
        self.kind = kind
        if self.side is not None:
            self.side.lost()
            return
        self.inbox.clear()
        self.held = 0
        reader, self._reader = self._reader, None
        writer, self._writer = self._writer, None
        hangup, self.on_hangup = self.on_hangup, None
        if reader is not None:
            reader.interrupt(self.loss("recv"))
        if writer is not None and writer is not reader:
            writer.interrupt(self.loss("send"))
        if hangup is not None and reader is None and writer is None:
            hangup()

    def cancel(self) -> None:
        """Give up this request, which is not a tunnel: we do not want to go on with it."""
        self.unasked()
        fiber, self.fiber = self.fiber, None
        if fiber is not None:
            self.on_hangup = None
            fiber.cancel()

    # -- reading

    @property
    def ready(self) -> bool:
        """Return whether something may be read without waiting."""
        return bool(self.inbox) or self.ended or bool(self.lost)

    async def recv(self, limit: int = 65536, timeout: float | None = None) -> bytes:
        """Do what `Stream.recv` does."""
        while not self.inbox:
            if self.lost:
                raise self.loss("recv")
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
        """Take what has come, up to `limit` bytes; something has."""
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
        """Do what `Stream.unread` does."""
        if data:
            self.inbox.appendleft(data)
            self.held += len(data)

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
        self.fiber = None
        self.session.wire.forget(self.half)
        self.session.removed(self)

    def over(self) -> None:
        """Let go of a stream that both sides have ended."""
        self.lost = ECONNRESET
        self.fiber = None
        half, session = self.half, self.session
        half.taker = None
        session.wire.streams.pop(self.sid, None)
        session.removed(self)

    def abort(self) -> None:
        """End the stream without a reason."""
        self.close(CANCEL)

    async def lingering_close(self, time: float, timeout: float) -> None:
        """Close: nothing of what was sent can be lost by it."""
        self.close()

    def release(self) -> tuple[socket.socket, int, bytes]:
        """Do what `Stream.release` does; the socket stays the connection's, and what has come is read by the side."""
        return self.sock, 0, b""

    def as_side(self, send_timeout: float) -> LaneSide:
        """Make this stream an end of a tunnel."""
        from penstock.net.h2.side import LaneSide

        return LaneSide(self, send_timeout, self.code)

    # -- about

    @property
    def stage(self) -> LaneState:
        """Return how far the stream is (`states.py`)."""
        return state_of(self)

    @property
    def sock(self) -> socket.socket:
        """Return the connection's socket."""
        return self.session.stream.sock

    @property
    def closed(self) -> bool:
        """Return whether the stream is over."""
        return bool(self.lost)

    @property
    def hung_up(self) -> bool:
        """Return whether the peer is gone."""
        return bool(self.lost)

    @property
    def local_name(self) -> Name:
        """Do what `Stream.local_name` does."""
        return self.session.stream.local_name

    @property
    def peer_name(self) -> Name:
        """Do what `Stream.peer_name` does."""
        return self.session.stream.peer_name

    def nodelay(self) -> None:
        """Do what `Stream.nodelay` does."""
        self.session.stream.nodelay()

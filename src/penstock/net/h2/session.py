"""One HTTP/2 connection on its socket: reads for all its lanes, writes for all its lanes, and is fair among them.

    bytes come     `feed` -> `Wire` -> a lane's inbox, or whoever opens lanes; all that is said in one turn of the loop,
                   to whichever stream, leaves in one write
    a lane writes  one frame at a time while there is room: in the peer's windows, and in `HIGH` bytes of what the
                   socket has not taken yet. Who finds none waits in a queue; a frame each is the round
    a turn         after `HIGH` bytes the loop has its turn, and the connection the next one when no more than `UNSENT`
                   bytes wait in the kernel: what is long keeps nobody waiting, neither here nor behind it
    nobody reads   what the socket does not take is at most `HIGH` bytes and what had to be said about frames that
                   came; from `FULL` bytes on nothing more is read, so that nobody can make it grow
"""

from __future__ import annotations

import asyncio
import socket
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from errno import ECONNRESET
from typing import TYPE_CHECKING

from penstock.http.h2.events import (
    DataReceived,
    Event,
    RemoteSettingsChanged,
    RequestReceived,
    StreamReset,
    TrailersReceived,
    WindowUpdated,
)
from penstock.http.h2.parts import FRAME
from penstock.http.h2.wire import ConnectionFault, HalfStream, Wire
from penstock.net.errors import NetError, PeerGone, TimedOut
from penstock.net.fiber import Fiber, current, forget_frames, pause
from penstock.net.h2.sending import HIGH, LaneSending
from penstock.net.h2.stream import Lane

if TYPE_CHECKING:
    from penstock.net.stream import Stream

READ = 16384
FULL = 262144
LOW = 4096
"""Bytes that may wait here for the connection's next turn: a few short messages, and nothing of what is long."""

UNSENT = 65536
"""Bytes that may wait in the kernel for the network (`TCP_NOTSENT_LOWAT`): what is said next is behind them, and the
kernel would take 4 MiB. With a turn of `HIGH` bytes, an echo beside a download takes 480 us instead of 7.7 ms
(experiments/http2.md)."""

ROUNDS = 64
"""Frames that lanes may send in a row before the loop has its turn."""


class Over(NetError):
    """The connection has come to its end: nobody reads it any more."""


def tell_nobody(*_: object) -> None:
    """Tell nobody."""


class Session:
    """`opened(event)` is called with a stream's head, `noticed(event)` with all that concerns no lane, `idle()` when
    the last lane has gone. `send_timeout` (seconds) is how long the socket may take nothing.
    """

    __slots__ = (
        "_hot",
        "_later",
        "_pending",
        "_pushed",
        "_waking",
        "_writer",
        "error",
        "fiber",
        "idle",
        "lanes",
        "noticed",
        "opened",
        "queue",
        "resting",
        "send_timeout",
        "stream",
        "touched",
        "wire",
    )

    def __init__(
        self,
        stream: Stream,
        wire: Wire,
        *,
        opened: Callable[[RequestReceived], None],
        noticed: Callable[[Event], None],
        idle: Callable[[], None],
        send_timeout: float,
    ) -> None:
        self.stream = stream
        self.wire = wire
        self.opened = opened
        self.noticed = noticed
        self.idle = idle
        self.send_timeout = send_timeout
        self.lanes: dict[int, Lane] = {}
        self.queue: deque[LaneSending] = deque()
        self.error: NetError | None = None
        self.fiber: Fiber[object] | None = None
        self._pending = b""
        self._writer: Fiber[None] | None = None
        self._hot = stream.hot
        self._later = False
        self.touched: list[Lane] = []
        self._waking = False
        self._pushed = 0
        self.resting = False
        if stream.sock.family != socket.AF_UNIX:
            with suppress(OSError):
                stream.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NOTSENT_LOWAT, UNSENT)

    # -- in

    async def read(self, received: Callable[[int], None]) -> None:
        """Read until the peer ends; `received` is told how many bytes were dealt with.

        Raises `ConnectionFault` and what the stream raises; `Over` once `end` was called.
        """
        self.fiber = current()
        stream = self.stream
        while True:
            data = await stream.recv(READ)
            if not data:
                return
            self.feed(data)
            received(len(data))
            while len(self._pending) + len(self.wire.out) > FULL and self.error is None:
                await pause()  # the writer wakes us
            if self.error is not None:
                raise self.error

    def feed(self, data: bytes) -> None:
        """Deal with bytes of the peer. Raises `ConnectionFault`."""
        try:
            for event in self.wire.receive(data):
                if type(event) is RequestReceived:
                    self.opened(event)
                else:
                    self._happened(event)
            for lane in self.touched:
                side = lane.side
                if side is not None:
                    side.arrived()
                else:
                    lane.read_on()
        except ConnectionFault:
            for lane in self.touched:
                lane.unasked()
            raise
        finally:
            for lane in self.touched:
                lane.touched = False
            self.touched.clear()
            self.flush()

    def _happened(self, event: Event) -> None:
        kind = type(event)
        if kind is WindowUpdated:
            if event.stream_id:
                lane = self.lanes.get(event.stream_id)
                if lane is not None:
                    lane.writable()
            else:
                self.wake()
        elif kind is TrailersReceived:
            lane = self.lanes.get(event.stream_id)
            if lane is not None:
                lane.trailers = event.headers  # type: ignore[attr-defined]
                lane.arrived(b"", ended=True)
        elif kind is StreamReset:
            self.noticed(event)
            lane = self.lanes.get(event.stream_id)
            if lane is not None:
                lane.lose(ECONNRESET)
                lane.unasked()
        elif kind is DataReceived:
            if not (event.data or event.ended):  # type: ignore[attr-defined]
                self.noticed(event)  # all others go to the lane itself, and some are for nobody
        else:
            self.noticed(event)
            if kind is RemoteSettingsChanged:
                for lane in list(self.lanes.values()):
                    lane.writable()
                self.wake()

    # -- out

    @property
    def backlog(self) -> int:
        """Count the bytes that the socket has not taken yet."""
        return len(self._pending) + len(self.wire.out)

    def touch(self, lane: Lane) -> None:
        """Let a lane for which something has come read on, when all that came has been dealt with."""
        if not lane.touched:
            lane.touched = True
            self.touched.append(lane)

    def room(self, half: HalfStream) -> int:
        """Return how much the next DATA frame of a stream may hold; not more than 0 if it has to wait."""
        if self.backlog >= HIGH:
            self.flush_now()
        return 0 if self.full else self.wire.room(half)

    @property
    def full(self) -> bool:
        """Return whether writing has to wait until the socket has taken some, or the next turn has come."""
        return self.backlog >= (LOW if self.resting else HIGH)

    @property
    def blocked(self) -> bool:
        """Return whether a lane waits for something else than its own window."""
        return self.full or self.wire.may_send <= 0

    def post(self, lane: LaneSending, data: bytes | bytearray | memoryview, size: int) -> bool:
        """Write a short message of `size` bytes, no more than a lane's `chunk`, as one frame. It leaves with all else
        that is said in this turn; False if there is no room for it now."""
        wire, half = self.wire, lane.half
        out = wire.out
        if (
            size > half.may_send
            or size > wire.may_send
            or self.queue
            or len(self._pending) + len(out) >= (LOW if self.resting else HIGH)
        ):
            return False
        out += FRAME.pack(size << 8, 0, lane.sid)
        out += data
        half.may_send -= size
        wire.may_send -= size
        lane.wire_sent += size + 9
        if not self._later and self._writer is None:
            self._later = True
            self._hot.afterwards.append(self.flush_now)
        return True

    def answer(self, lane: LaneSending, block: bytes, body: bytes) -> bool:
        """Write a whole answer, head and body in one frame each, and with that all; it leaves as what is posted does.
        False, and nothing done, where there is no room for it now."""
        wire, half, size = self.wire, lane.half, len(body)
        if (
            size > half.may_send
            or size > wire.may_send
            or size > lane.chunk
            or size > wire.peer_frame
            or len(block) >= wire.peer_frame
            or lane.lost
            or self.queue
            or len(self._pending) + len(wire.out) >= (LOW if self.resting else HIGH)
        ):
            return False
        lane.wire_sent += wire.answer(half, block, body)
        lane.finished = True
        if not self._later and self._writer is None:
            self._later = True
            self._hot.afterwards.append(self.flush_now)
        return True

    def flush(self) -> None:
        """Send what is to be sent, when all that has happened by now has been dealt with.

        What is said to many streams in one turn of the loop leaves in one write, and one TLS record: that, and one
        write for what came in one read, made an echo 24 us instead of 76 (experiments/http2.md)."""
        if not self._later and self._writer is None:
            self._later = True
            self._hot.afterwards.append(self.flush_now)

    def flush_now(self) -> None:
        """Send what waits at once."""
        self._later = False
        if self._writer is not None or self.error is not None or self.stream.closed:
            return
        if (self._pending or self.wire.out) and self._push():
            self._writer = writer = Fiber(self._drain())
            writer.keep_error = True
            writer.resume()

    def _push(self) -> bool:
        """Give the socket what it takes; whether to wait for it: for something is left, or a turn's worth is gone."""
        wire, stream = self.wire, self.stream
        data: bytes | bytearray | memoryview = self._pending + wire.take() if self._pending else wire.take()
        size = left = len(data)
        try:
            while left:
                count = stream.send_now(data)
                left -= count
                if not left or not count:
                    break
                data = memoryview(data)[count:]
            self._pushed += size - left
            self._pending = bytes(data) if left else b""
        except NetError as error:
            self._pending = b""
            self.lose(error)
            return False
        return bool(self._pending) or self._pushed >= HIGH

    async def _drain(self) -> None:
        """Wait for the next turn, as long as there is something for it."""
        try:
            wait = True
            while wait:
                self.resting = True
                await self.stream.writable(self.send_timeout)
                self.resting = False
                self._pushed = 0
                wait = self._push()
                if not wait:
                    self.wake()
                    wait = self._push()
        except NetError as error:
            self.lose(error)
            return
        finally:
            self.resting = False
            self._writer = None
        self.stream.written()
        if self.fiber is not None:
            self.fiber.resume()
        self.wake()

    def wake(self) -> None:
        """Let those go on who wait for room, one frame each and then round again."""
        if self._waking or not self.queue:
            return
        self._waking = True
        try:
            for _ in range(ROUNDS):
                if not self.queue or self.blocked:
                    break
                lane = self.queue.popleft()
                lane.queued = False
                lane.writable()
            else:
                self.wake_soon()
        finally:
            self._waking = False
        self.flush()

    def wake_soon(self) -> None:
        """Do what `wake` does, once the loop has had its turn."""
        if self.queue:
            asyncio.get_running_loop().call_soon(self.wake)

    # -- the end

    def removed(self, lane: Lane) -> None:
        """Forget a lane that has come to its end."""
        if self.lanes.pop(lane.sid, None) is not None and not self.lanes:
            self.idle()

    def lose(self, error: NetError) -> None:
        """Tell everybody that the connection is gone."""
        if self.error is not None:
            return
        self.error = error
        kind = TimedOut if isinstance(error, TimedOut) else PeerGone
        for lane in list(self.lanes.values()):
            lane.lose(getattr(error, "errno", ECONNRESET), kind)
        if self.fiber is not None:
            self.fiber.interrupt(error)

    def end(self) -> None:
        """Stop reading: `read` raises `Over`."""
        if self.fiber is not None and self.error is None:
            self.fiber.interrupt(Over("the connection is over"))

    def over(self) -> None:
        """Let go of those who served the connection, who hold it: all has been said."""
        self.opened = self.noticed = self.idle = tell_nobody
        self.fiber = None
        self.queue.clear()
        if self.error is not None:
            forget_frames(self.error)

    async def sent(self) -> bool:
        """Wait until the socket has taken everything; whether it has."""
        self.flush_now()
        writer = self._writer
        if writer is None:
            return self.error is None
        try:
            await writer.join()
        except NetError as error:
            forget_frames(error)
            return False
        return self.error is None

"""A connected, non-blocking socket for fibers.

One fiber may wait to read and one to write. The descriptor is registered with epoll at the first wait and
stays: an exchange of requests and answers over a kept connection makes no `epoll_ctl` call at all. Reading is
turned off only when something arrives that nobody waits for (a pipelined request), writing when nobody waits
to write any more.

An idle stream owns no buffer.
"""

from __future__ import annotations

import asyncio
import os
import socket
import struct
from collections.abc import Callable, Sequence
from contextlib import suppress
from errno import EAGAIN, EBADF, EINPROGRESS, EINTR, EPIPE

from penstock.net.errors import NetError, PeerGone, TimedOut
from penstock.net.fiber import Fiber, current, pause
from penstock.net.loop import ERR, HUP, IN, OUT, RDHUP, HotSelector, Loop
from penstock.net.timers import Alarm

Buffer = bytes | bytearray | memoryview
Name = tuple[str, int] | tuple[str, int, int, int] | str | bytes | None

READ_SIZE = 16384
_IOV_MAX = 1024
_SENDFILE_MAX = 2 << 20
_READING = IN | RDHUP | HUP | ERR
_WRITING = OUT | HUP | ERR
_GONE = RDHUP | HUP | ERR
_RESET_ON_CLOSE = struct.pack("ii", 1, 0)
_NOT_YET = (EAGAIN, EINPROGRESS, EINTR)


class Closed(NetError):
    """The stream was closed by another fiber while this one waited on it."""


class Stream:
    """A connected socket, plain. `received` and `sent` count bytes; `fd` is -1 once it is closed or released.

    `ready` is a hint: something may be read without waiting. On an idle stream it says that something came
    unasked. `hung_up`: the peer's end was seen, though bytes may still be there before it. `on_hangup` is
    called at most once, when the peer hangs up while nobody reads."""

    __slots__ = (
        "_mask",
        "_reader",
        "_unread",
        "_writer",
        "fd",
        "hot",
        "hung_up",
        "local_name_",
        "loop",
        "on_hangup",
        "peer_name_",
        "ready",
        "received",
        "sent",
        "sock",
    )

    secure = False

    def __init__(self, sock: socket.socket, loop: Loop, peer_name: Name = None) -> None:
        self.sock = sock
        self.fd = sock.fileno()
        self.loop = loop
        self.hot: HotSelector = loop.hot
        self.peer_name_ = peer_name
        self.local_name_: Name = None
        self.on_hangup: Callable[[], None] | None = None
        self.ready = False
        self.hung_up = False
        self.received = 0
        self.sent = 0
        self._mask = 0
        self._reader: Fiber[object] | None = None
        self._writer: Fiber[object] | None = None
        self._unread: bytes | None = None

    # -- at once
    # -------------------------------------------------------------------------------------------------

    def recv_now(self, limit: int = READ_SIZE) -> bytes | None:
        """What is there, up to `limit` bytes: `None` if nothing is, `b""` at the end. Raises `PeerGone`."""
        if self._unread is not None:
            return self._take_unread(limit)
        try:
            data = self.sock.recv(limit)
        except OSError as exc:
            return self._not_received(exc)
        count = len(data)
        self.ready = count == limit or count == 0
        self.received += count
        return data

    def send_now(self, data: Buffer) -> int:
        """Sends what the kernel takes: the number of bytes, 0 if it takes none now. Raises `PeerGone`."""
        try:
            count = self.sock.send(data)
        except OSError as exc:
            return self._not_sent(exc)
        self.sent += count
        return count

    def unread(self, data: bytes) -> None:
        """Puts bytes back in front of what is read next."""
        if data:
            self._unread = data if self._unread is None else data + self._unread
            self.ready = True

    def peek_now(self, limit: int = READ_SIZE) -> bytes | None:
        """As `recv_now`, and leaves the bytes in the socket (for what must be read by somebody else: a TLS
        hello)."""
        if self._unread is not None:
            raise RuntimeError("bytes were put back: they cannot be left in the socket")
        try:
            return self.sock.recv(limit, socket.MSG_PEEK)
        except OSError as exc:
            return self._not_received(exc)

    # -- waiting
    # -------------------------------------------------------------------------------------------------

    async def recv(self, limit: int = READ_SIZE, timeout: float | None = None) -> bytes:
        """Waits for bytes, at most `timeout` seconds; `b""` at the end. Raises `TimedOut`, `PeerGone`."""
        if not self.ready:
            await self._wait(IN, timeout)
        while True:
            data = self.recv_now(limit)
            if data is not None:
                return data
            await self._wait(IN, timeout)

    async def peek(self, beyond: int = 0, limit: int = READ_SIZE, timeout: float | None = None) -> bytes:
        """Waits until more than `beyond` bytes are there, and leaves them there. No more than `beyond` are
        given back if the peer has ended, or if `limit` is reached. `timeout` is for one wait. Raises
        `TimedOut`, `PeerGone`."""
        raised = False
        try:
            while True:
                data = self.peek_now(limit)
                have = 0 if data is None else len(data)
                if data is not None and (have > beyond or self.hung_up or have == 0 or have >= limit):
                    return data
                if have and self.sock.family == socket.AF_UNIX:
                    await asyncio.sleep(0.01)  # SO_RCVLOWAT means nothing to poll() there
                    continue
                if have:
                    # A level-triggered descriptor would report the bytes that are there, again and again.
                    raised = True
                    self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVLOWAT, have + 1)
                await self._wait(IN, timeout)
        finally:
            if raised and self.fd >= 0:
                self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVLOWAT, 1)

    async def send_all(self, data: Buffer | Sequence[Buffer], timeout: float | None = None) -> None:
        """Sends everything. `timeout` (seconds) is between two writes. Raises `TimedOut`, `PeerGone`."""
        if isinstance(data, (bytes, bytearray, memoryview)):
            count = self.send_now(data)
            if count == len(data):
                return
            view = memoryview(data)
            while True:
                view = view[count:]
                if not view:
                    return
                await self._wait(OUT, timeout)
                count = self.send_now(view)
        await self._send_sequence(list(data), timeout)

    async def _send_sequence(self, buffers: list[Buffer], timeout: float | None) -> None:
        first = 0
        while first < len(buffers):
            last = min(first + _IOV_MAX, len(buffers))
            count = self._sendmsg_now(buffers[first:last])
            while first < last and count >= len(buffers[first]):
                count -= len(buffers[first])
                first += 1
            if first < last:
                buffers[first] = memoryview(buffers[first])[count:]
                await self._wait(OUT, timeout)

    def _sendmsg_now(self, buffers: Sequence[Buffer]) -> int:
        try:
            count = self.sock.sendmsg(buffers)
        except OSError as exc:
            return self._not_sent(exc)
        self.sent += count
        return count

    async def sendfile(self, file: int, offset: int, count: int, timeout: float | None = None) -> int:
        """Sends `count` bytes of the open file `file` from `offset`; gives what was sent (less, if the file
        shrank)."""
        left = count
        while left > 0:
            try:
                moved = os.sendfile(self.fd, file, offset, min(left, _SENDFILE_MAX))
            except OSError as exc:
                self._not_sent(exc)
                await self._wait(OUT, timeout)
                continue
            if moved == 0:
                break
            offset += moved
            left -= moved
            self.sent += moved
        return count - left

    async def readable(self, timeout: float | None = None) -> None:
        """Waits until there may be something to read (bytes, the end, or an error). Raises `TimedOut`."""
        if not self.ready:
            await self._wait(IN, timeout)

    async def writable(self, timeout: float | None = None) -> None:
        """Waits until there may be room to write (or an error). Raises `TimedOut`."""
        await self._wait(OUT, timeout)

    async def _wait(self, what: int, timeout: float | None) -> None:
        me = current()
        self._arm(what, me)
        if timeout is None:
            try:
                await pause()
            finally:
                self._disarm(me)
            return
        alarm = me.alarm or timeout_alarm(me, self.loop)
        alarm.set(timeout)
        try:
            await pause()
        finally:
            alarm.deadline = _NEVER
            self._disarm(me)

    def _arm(self, what: int, fiber: Fiber[object]) -> None:
        if self.fd < 0:
            raise Closed("the stream is closed")
        if what == IN:
            self._reader = fiber
            what = IN | RDHUP
        else:
            self._writer = fiber
        mask = self._mask
        if mask & what != what:
            if mask == 0:
                # A first wait to write is for a connect or a full socket: whoever waits so is read from next.
                self._mask = what = IN | RDHUP if what != OUT else IN | RDHUP | OUT
                self.hot.watch(self.fd, what, self._on_event)
            else:
                self._mask = what = mask | what
                self.hot.change(self.fd, what)

    def _disarm(self, fiber: Fiber[object]) -> None:
        if self._reader is fiber:
            self._reader = None
        if self._writer is fiber:
            self._writer = None

    def _on_event(self, mask: int) -> None:
        unwanted = 0
        if mask & _READING:
            self.ready = True
            if mask & _GONE:
                self.hung_up = True
            reader = self._reader
            if reader is not None:
                self._reader = None
                reader.resume()
            else:
                unwanted = IN | RDHUP if mask & _GONE else IN
        if mask & _WRITING:
            writer = self._writer
            if writer is not None:
                self._writer = None
                writer.resume()
            else:
                unwanted |= OUT
        if unwanted and self.fd >= 0:
            self._turn_off(unwanted, mask)

    def _turn_off(self, unwanted: int, event: int) -> None:
        """Something happened that nobody waits for: do not hear of it again until somebody does."""
        if self._reader is not None:
            unwanted &= ~(IN | RDHUP)
        if self._writer is not None:
            unwanted &= ~OUT
        left = self._mask & ~unwanted
        if left != self._mask:
            if left == 0 or (event & (HUP | ERR) and self._reader is None and self._writer is None):
                left = 0
                self.hot.forget(self.fd)
            else:
                self.hot.change(self.fd, left)
            self._mask = left
        if event & _GONE and self._reader is None and self.on_hangup is not None:
            hangup, self.on_hangup = self.on_hangup, None
            hangup()

    # -- ending
    # --------------------------------------------------------------------------------------------------

    def shutdown_write(self) -> None:
        """Says that nothing more will be sent (FIN). A peer that is gone already is no error."""
        with suppress(OSError):
            self.sock.shutdown(socket.SHUT_WR)

    async def lingering_close(self, time: float, timeout: float) -> None:
        """As nginx's: FIN, then reads and drops until the peer closes, or `time` seconds are up, or nothing
        came for `timeout` seconds; then closes. A close with bytes unread would reset the connection and lose
        the answer."""
        end = self.hot.now + time
        try:
            self.shutdown_write()
            self._unread = None
            while (left := end - self.hot.now) > 0:
                if not await self.recv(65536, min(left, timeout)):
                    break
        except NetError:
            pass  # it is being closed because it ended: how the peer ends changes nothing
        finally:
            self.close()

    def close(self) -> None:
        """Closes at once. Fibers that wait on the stream get `Closed`. Closing twice does nothing."""
        if self.fd < 0:
            return
        if self._mask:
            self.hot.drop(self.fd)
            self._mask = 0
        self.fd = -1
        self.sock.close()
        self.on_hangup = None
        self._unread = None
        for fiber in {self._reader, self._writer} - {None}:
            assert fiber is not None
            self.loop.call_soon(fiber.interrupt, Closed("the stream was closed"))
        self._reader = self._writer = None

    def abort(self) -> None:
        """Closes with a reset (RST) where the transport knows one."""
        if self.fd >= 0:
            with suppress(OSError):
                self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET_ON_CLOSE)
        self.close()

    def release(self) -> tuple[socket.socket, int, bytes]:
        """Gives the socket away: it, the epoll mask it stays registered with (0: it is not), and bytes put
        back.

        The descriptor's handler is still this stream's: the taker replaces it in `hot.handlers` before the
        next poll."""
        sock, mask, unread = self.sock, self._mask, self._unread or b""
        self.fd = -1
        self._mask = 0
        self._unread = None
        self.on_hangup = None
        return sock, mask, unread

    # -- about
    # ---------------------------------------------------------------------------------------------------

    @property
    def peer_name(self) -> Name:
        """The peer's address as `getpeername()` gives it; `None` if it is gone."""
        if self.peer_name_ is None and self.fd >= 0:
            with suppress(OSError):
                self.peer_name_ = self.sock.getpeername()
        return self.peer_name_

    @property
    def local_name(self) -> Name:
        """Our own address as `getsockname()` gives it; asked for once."""
        if self.local_name_ is None and self.fd >= 0:
            with suppress(OSError):
                self.local_name_ = self.sock.getsockname()
        return self.local_name_

    @property
    def closed(self) -> bool:
        """Closed, or given away."""
        return self.fd < 0

    def nodelay(self) -> None:
        """TCP_NODELAY; does nothing on a unix socket."""
        if self.sock.family != socket.AF_UNIX:
            with suppress(OSError):
                self.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    # -- the rare branches
    # -----------------------------------------------------------------------------------------

    def _take_unread(self, limit: int) -> bytes:
        data = self._unread
        assert data is not None
        if len(data) <= limit:
            self._unread = None
        else:
            self._unread = data[limit:]
            data = data[:limit]
        return data  # `ready` stays: the socket has not been looked at

    def _not_received(self, exc: OSError) -> bytes | None:
        if exc.errno in _NOT_YET:
            self.ready = False
            return None
        if exc.errno == EBADF:
            raise Closed("the stream is closed") from None
        self.ready = True
        raise PeerGone(exc.errno or EPIPE, "recv") from None

    def _not_sent(self, exc: OSError) -> int:
        if exc.errno in _NOT_YET:
            return 0
        if exc.errno == EBADF:
            raise Closed("the stream is closed") from None
        raise PeerGone(exc.errno or EPIPE, "send") from None


_NEVER = float("inf")


def timeout_alarm(fiber: Fiber[object], loop: Loop) -> Alarm:
    """The one alarm a fiber has for its timeouts, made at the first."""

    def expired() -> None:
        fiber.interrupt(TimedOut())

    fiber.alarm = alarm = Alarm(loop.timers, expired)
    return alarm


async def wait(
    readers: Sequence[Stream], writers: Sequence[Stream], timeout: float | None = None
) -> tuple[list[Stream], list[Stream]]:
    """Waits until one of several streams may be read or written: gives those that may. Raises `TimedOut`."""
    ready = [stream for stream in readers if stream.ready]
    if ready:
        return ready, []
    me = current()
    alarm = None
    try:
        for stream in readers:
            stream._arm(IN, me)
        for stream in writers:
            stream._arm(OUT, me)
        if timeout is not None:
            alarm = me.alarm or timeout_alarm(me, (readers or writers)[0].loop)
            alarm.set(timeout)
        await pause()
        return (
            [stream for stream in readers if stream._reader is not me],
            [stream for stream in writers if stream._writer is not me],
        )
    finally:
        if alarm is not None:
            alarm.clear()
        for stream in readers:
            stream._disarm(me)
        for stream in writers:
            stream._disarm(me)

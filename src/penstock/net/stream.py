"""A connected, non-blocking socket for fibers. An idle stream owns no buffer."""

from __future__ import annotations

import _socket
import asyncio
import os
import socket
import struct
import types
from collections.abc import Generator, Sequence
from contextlib import suppress
from errno import EAGAIN, EBADF, EINPROGRESS, EINTR, EPIPE
from math import inf
from typing import Any

from penstock.net import fiber
from penstock.net.errors import NetError, PeerGone
from penstock.net.fiber import PAUSED, current
from penstock.net.loop import IN, OUT, RDHUP, Loop
from penstock.net.posting import Posting
from penstock.net.waiting import GREED, Closed, timeout_alarm, wait

__all__ = ["READ_SIZE", "Buffer", "Closed", "Name", "Stream", "wait"]

Buffer = bytes | bytearray | memoryview
Name = tuple[str, int] | tuple[str, int, int, int] | str | bytes | None

READ_SIZE = 16384
READING = IN | RDHUP
_IOV_MAX = 1024
_STREAM = int(socket.SOCK_STREAM)
_NEW = int(socket.SOCK_STREAM | socket.SOCK_NONBLOCK)
_SENDFILE_MAX = 2 << 20
_RESET_ON_CLOSE = struct.pack("ii", 1, 0)
_NAP = 0.01
_NOT_YET = (EAGAIN, EINPROGRESS, EINTR)


class _Bare(_socket.socket):
    """The C class under `socket.socket`. It can be referred to weakly, as OpenSSL's object in Python wants it."""

    __slots__ = ("__weakref__",)


def bare_socket(family: int, fd: int | None = None) -> socket.socket:
    """A new non-blocking TCP or unix socket, or the one that is `fd`, as it is.

    The class above it in the library costs a microsecond more to make and to close; what it adds (`makefile`, `accept`,
    `dup`, the context manager) nobody asks a stream for.
    """
    made: Any = _Bare(family, _NEW, 0) if fd is None else _Bare(family, _STREAM, 0, fd)
    return made  # type: ignore[no-any-return]


class Stream(Posting):
    """A connected socket, plain. `received` and `sent` count bytes."""

    __slots__ = ("_unread", "local_name_", "peer_name_", "received", "sent", "sock")

    secure = False

    def __init__(self, sock: socket.socket, loop: Loop, peer_name: Name = None) -> None:
        super().__init__(sock.fileno(), loop)
        self.sock = sock
        self.peer_name_ = peer_name
        self.local_name_: Name = None
        self.received = 0
        self.sent = 0
        self._unread: bytes | None = None

    # -- at once

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
        if self._posted is not None and not self.deliver():
            return 0
        try:
            count = self.sock.send(data)
        except OSError as exc:
            return self._not_sent(exc)
        self.sent += count
        return count

    def send_last(self, data: Buffer) -> int:
        """As `send_now`, for what `shutdown_write` follows at once: the end leaves with it, in one segment."""
        if self._posted is not None and not self.deliver():
            return 0
        try:
            count = self.sock.send(data, socket.MSG_MORE)
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

    @types.coroutine
    def recv(self, limit: int = READ_SIZE, timeout: float | None = None) -> Generator[object, None, bytes]:
        """Waits for bytes, at most `timeout` seconds; `b""` at the end. Raises `TimedOut`, `PeerGone`."""
        if self.ready:
            yield from self.breathe(1)
        else:
            # `_waiting`, written out: every message waits here, and each call it is spared can be felt.
            me = fiber.running or current()
            plain = type(self) is Stream
            if plain and self._mask & READING == READING:
                self._reader = me
            else:
                self._arm(IN, me)
            if timeout is None:
                alarm = None
            else:
                alarm = me.alarm or timeout_alarm(me, self.loop)
                alarm.deadline = due = self.hot.now + timeout
                if due < alarm.queued:
                    alarm.at(due)
            try:
                yield PAUSED
            finally:
                if alarm is not None:
                    alarm.deadline = inf
                if self._reader is me:
                    self._reader = None
            if plain and self._unread is None:
                # `recv_now`, written out likewise.
                try:
                    data = self.sock.recv(limit)
                except OSError as exc:
                    found = self._not_received(exc)
                    if found is not None:
                        return found
                    yield from self._waiting(IN, timeout)
                else:
                    count = len(data)
                    self.ready = count == limit or count == 0
                    self.received += count
                    return data
        while True:
            found = self.recv_now(limit)
            if found is not None:
                return found
            yield from self._waiting(IN, timeout)

    async def peek(self, beyond: int = 0, limit: int = READ_SIZE, timeout: float | None = None) -> bytes:
        """Waits until more than `beyond` bytes are there, and leaves them there. No more than `beyond` are
        given back if the peer has ended, or if `limit` is reached. `timeout` is for one wait. Raises
        `TimedOut`, `PeerGone`."""
        raised = False
        had = -1
        try:
            while True:
                data = self.peek_now(limit)
                have = 0 if data is None else len(data)
                if data is not None and (have > beyond or self.hung_up or have == 0 or have >= limit):
                    return data
                if have and have == had:
                    # SO_RCVLOWAT means nothing to a unix socket, and is cut to half of a small SO_RCVBUF.
                    await asyncio.sleep(_NAP)
                    continue
                had = have
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

    @types.coroutine
    def _breathe(self, effort: int) -> Generator[object, None, None]:
        yield from self.breathe(effort)

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
        if self._posted is not None and not self.deliver():
            return 0
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
            if self._posted is not None and not self.deliver():
                await self._wait(OUT, timeout)
                continue
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
            if left:
                await self._breathe(GREED)
        return count - left

    # -- ending

    def shutdown_write(self) -> None:
        """Says that nothing more will be sent (FIN). A peer that is gone already is no error."""
        self._last_post()
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
        if self._posted is not None:
            self._last_post()
        if self._mask:
            self.hot.drop(self.fd)
            self._mask = 0
        self.fd = -1
        self.sock.close()
        self.on_hangup = None
        self._unread = None
        reader, self._reader = self._reader, None
        writer, self._writer = self._writer, None
        if reader is not None:
            reader.interrupt(Closed("the stream was closed"))
        if writer is not None and writer is not reader:
            writer.interrupt(Closed("the stream was closed"))

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
        if self._reader is not None or self._writer is not None:
            raise RuntimeError("a fiber waits on this stream")
        self._last_post()
        sock, mask, unread = self.sock, self._mask, self._unread or b""
        self.fd = -1
        self._mask = 0
        self._unread = None
        self.on_hangup = None
        return sock, mask, unread

    # -- about

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
            try:
                self.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            except OSError:
                pass  # it is gone, which the next read tells

    # -- the rare branches

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

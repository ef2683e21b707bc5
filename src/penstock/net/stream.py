"""A connected, non-blocking socket for fibers. An idle stream owns no buffer."""

from __future__ import annotations

import asyncio
import os
import socket
import struct
import types
from collections.abc import Generator, Sequence
from contextlib import suppress
from errno import EBADF, EPIPE
from math import inf
from types import SimpleNamespace
from typing import Any

from penstock.net import fiber
from penstock.net.calls import NOT_YET, close, finish, recv, send, send_last
from penstock.net.errors import NetError, PeerGone, TimedOut
from penstock.net.fiber import PAUSED, current
from penstock.net.loop import IN, OUT, RDHUP, Loop
from penstock.net.owned import Name, Owned
from penstock.net.waiting import GREED, Closed, timeout_alarm, wait
from penstock.shared.alike import like

__all__ = ["READ_SIZE", "Buffer", "Closed", "Name", "Stream", "stream_of", "wait"]

Buffer = bytes | bytearray | memoryview

READ_SIZE = 16384
READING = IN | RDHUP
_IOV_MAX = 1024
_SENDFILE_MAX = 2 << 20
_RESET_ON_CLOSE = struct.pack("ii", 1, 0)
_NAP, _LONG_NAP = 0.01, 0.16


class Stream(Owned):
    """A connected socket, plain. `received` and `sent` count bytes."""

    __slots__ = ("received",)

    def __init__(self, sock: socket.socket | int, loop: Loop, peer_name: Name = None) -> None:
        """Take a socket over, or the descriptor of one."""
        # `Waiting.__init__` and `Posting.__init__`, without the calls.
        if isinstance(sock, int):
            self.fd = sock
            self._sock: socket.socket | None = None
        else:
            self.fd = sock.fileno()
            self._sock = sock
        self.loop = loop
        self.hot = loop.hot
        self.on_hangup = None
        self.ready = False
        self.hung_up = False
        self._mask = 0
        self._reader = None
        self._writer = None
        self._posted = None
        self.peer_name_ = peer_name
        self.local_name_: Name = None
        self.received = 0
        self.sent = 0
        self.secure = False
        self._unread: bytes | None = None

    # -- at once

    def recv_now(self, limit: int = READ_SIZE) -> bytes | None:
        """Read what is there, up to `limit` bytes: `None` if nothing is, `b""` at the end. Raises `PeerGone`."""
        if self._unread is not None:
            return self._take_unread(limit)
        try:
            data = recv(self.fd, limit)
        except OSError as exc:
            return self._not_received(exc)
        count = len(data)
        self.ready = count == limit or count == 0
        self.received += count
        return data

    def send_now(self, data: Buffer) -> int:
        """Send what the kernel takes, and return the number of bytes, 0 if it takes none now. Raises `PeerGone`."""
        if self._posted is not None and not self.deliver():
            return 0
        try:
            count = send(self.fd, data)
        except OSError as exc:
            return self._not_sent(exc)
        self.sent += count
        return count

    def send_last(self, data: Buffer) -> int:
        """Do what `send_now` does, for what `shutdown_write` follows at once: the end leaves with it, in one segment.
        """
        if self._posted is not None and not self.deliver():
            return 0
        try:
            # One segment instead of two: 0.94 of the processor's time of a request (experiments/requests.md).
            count = send_last(self.fd, data)
        except OSError as exc:
            return self._not_sent(exc)
        self.sent += count
        return count

    def unread(self, data: bytes) -> None:
        """Put bytes back in front of what is read next."""
        if data:
            self._unread = data if self._unread is None else data + self._unread
            self.ready = True

    def peek_now(self, limit: int = READ_SIZE) -> bytes | None:
        """Read as `recv_now` does, and leave the bytes in the socket, for somebody else who must read them: a TLS
        hello."""
        if self._unread is not None:
            raise RuntimeError("bytes were put back: they cannot be left in the socket")
        try:
            return self.hot.stand_in.of(self.fd).recv(limit, socket.MSG_PEEK)
        except OSError as exc:
            return self._not_received(exc)

    def stirs(self) -> bool:
        """Return whether bytes have come that nobody has read."""
        try:
            return self._unread is not None or bool(self.hot.stand_in.of(self.fd).recv(1, socket.MSG_PEEK))
        except OSError:
            return False

    def is_drained(self) -> bool:
        """Return whether all that has come has been read, and it is not the end: the socket is asked if need be."""
        try:
            return not self.ready or (not self.secure and self._unread is None and self.peek_now(1) is None)
        except PeerGone:
            return False

    # -- waiting

    @types.coroutine
    def recv(self, limit: int = READ_SIZE, timeout: float | None = None) -> Generator[object, None, bytes]:
        """Wait for bytes, at most `timeout` seconds, and return them; `b""` at the end. Raises `TimedOut`, `PeerGone`.
        """
        if self.ready:
            yield from self.breathe(1)
        else:
            # `_waiting`, written out: every message waits here. One generator instead of three, and the straight way in
            # `_on_event`, saved 6,800 of 265,700 instructions of a request (experiments/requests.md).
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
                # `recv_now`, written out likewise: a call of Python is 340 instructions.
                try:
                    data = recv(self.fd, limit)
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
        """Wait until more than `beyond` bytes are there, and leave them there. No more than `beyond` are given back if
        the peer has ended, or if `limit` is reached. `timeout` is for all of it. Raises `TimedOut`, `PeerGone`.

        What comes before there is enough wakes nobody: a peer that sends a byte at a time costs no more than one that
        sends them at once."""
        raised = False
        nap = _NAP
        end = inf if timeout is None else self.hot.now + timeout
        try:
            while True:
                data = self.peek_now(limit)
                have = 0 if data is None else len(data)
                if data is not None and (have > beyond or self.hung_up or have == 0 or have >= limit):
                    return data
                left = end - self.hot.now
                if left <= 0:
                    raise TimedOut
                if raised:
                    # SO_RCVLOWAT means nothing to a unix socket, and is cut to half of a small SO_RCVBUF: we were woken
                    # for less than was asked for, and would be again and again.
                    await asyncio.sleep(min(nap, left))
                    nap = min(2 * nap, _LONG_NAP)
                    continue
                wanted = min(beyond, limit - 1) + 1
                if wanted > 1:
                    raised = True
                    self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVLOWAT, wanted)
                await self._wait(IN, None if timeout is None else left)
        finally:
            if raised and self.fd >= 0:
                self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVLOWAT, 1)

    async def send_all(self, data: Buffer | Sequence[Buffer], timeout: float | None = None) -> None:
        """Send everything. `timeout` (seconds) is between two writes. Raises `TimedOut`, `PeerGone`."""
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
        """Send `count` bytes of the open file `file` from `offset`; return what was sent (less, if the file shrank)."""
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
        """Say that nothing more will be sent (FIN). A peer that is gone already is no error."""
        self._last_post()
        try:
            finish(self.fd)
        except OSError:
            pass

    async def lingering_close(self, time: float, timeout: float) -> None:
        """Close as nginx does: send FIN, read and drop until the peer closes, or `time` seconds are up, or nothing came
        for `timeout` seconds; then close. A close with bytes unread would reset the connection and lose the answer."""
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
        """Close at once. Fibers that wait on the stream get `Closed`. Closing twice does nothing."""
        if self.fd < 0:
            return
        if self._posted is not None:
            self._last_post()
        if self._mask:
            self.hot.drop(self.fd)
            self._mask = 0
        fd, self.fd = self.fd, -1
        if self._sock is None:
            close(fd)
        else:
            self._sock.close()
        self.on_hangup = None
        self._unread = None
        reader, self._reader = self._reader, None
        writer, self._writer = self._writer, None
        if reader is not None:
            reader.interrupt(Closed("the stream was closed"))
        if writer is not None and writer is not reader:
            writer.interrupt(Closed("the stream was closed"))

    def abort(self) -> None:
        """Close with a reset (RST) where the transport knows one."""
        if self.fd >= 0:
            with suppress(OSError):
                self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET_ON_CLOSE)
        self.close()

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
        if exc.errno in NOT_YET:
            self.ready = False
            return None
        if exc.errno == EBADF:
            raise Closed("the stream is closed") from None
        self.ready = True
        raise PeerGone(exc.errno or EPIPE, "recv") from None

    def _not_sent(self, exc: OSError) -> int:
        if exc.errno in NOT_YET:
            return 0
        if exc.errno == EBADF:
            raise Closed("the stream is closed") from None
        raise PeerGone(exc.errno or EPIPE, "send") from None


_nowhere: Any = SimpleNamespace(hot=None)
_another = like(Stream(-1, _nowhere))


def stream_of(fd: int, loop: Loop, peer_name: Name = None) -> Stream:
    """Take the descriptor of a socket over: `Stream(fd, loop, peer_name)`, for a quarter of what that takes."""
    stream = _another()
    stream.fd = fd
    stream.loop = loop
    stream.hot = loop.hot
    stream.peer_name_ = peer_name
    return stream

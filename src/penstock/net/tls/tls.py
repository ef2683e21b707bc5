"""TLS over a non-blocking socket: OpenSSL reads and writes the descriptor itself.

The C object that does it stands alone here, without the `ssl.SSLSocket` that the library puts around it: that one costs
two Python frames for each call, some system calls at its making, and its memory for each connection. A handshake takes
1.58 times nginx's processor time instead of 1.68 (experiments/requests.md).

A virtual host decides with its whole `SSLContext` (client certificates, versions, ciphers), so the
ClientHello is peeked at and the context chosen *before* the socket is wrapped. Exchanging the context in
OpenSSL's servername callback would exchange the certificate only, and let everybody into a host that asks for
client certificates."""

from __future__ import annotations

import os
import socket
import ssl
from collections.abc import Callable, Sequence
from errno import ECONNRESET, EPIPE
from typing import Any

from penstock.net.calls import close
from penstock.net.errors import PeerGone, TimedOut, TlsFailed
from penstock.net.loop import IN, OUT
from penstock.net.stream import READ_SIZE, Buffer, Stream
from penstock.net.tls.hello import Hello, HelloReader, NotTls

_UNRECOGNIZED_NAME = b"\x15\x03\x01\x00\x02\x02\x70"
_RECORD = 16384
FIRST_LOOK = 16384
"""Bytes that are looked at where there is no more to a hello than there nearly always is."""
_TCP_CLOSE = 7
_WORTH_TRYING_AGAIN = 8192
_END = ("UNEXPECTED_EOF_WHILE_READING", "APPLICATION_DATA_AFTER_CLOSE_NOTIFY")


class TlsStream(Stream):
    """A stream whose bytes are encrypted on the wire. `received` and `sent` count what is inside.

    `ssl` is what OpenSSL has of it: ask it for version, cipher, certificate, protocol. `hello` is what the client asked
    for (on a stream that was accepted)."""

    __slots__ = ("_broken", "_finished", "_read_needs", "_write_needs", "hello", "ssl")

    def __init__(self, plain: Stream, fd: int, inner: Any, mask: int, hello: Hello | None) -> None:
        # Not through `Stream.__init__`, which would set some of it a second time.
        self.fd = fd
        self._sock = None
        self.loop = plain.loop
        self.hot = plain.hot
        self.on_hangup = None
        self.ready = False
        self.hung_up = plain.hung_up
        self._mask = mask
        self._reader = None
        self._writer = None
        self._posted = None
        self.peer_name_ = plain.peer_name_
        self.local_name_ = plain.local_name_
        self.received = 0
        self.sent = 0
        self.secure = True
        self._unread = None
        self.hello = hello
        self.ssl: Any = inner  # `_ssl._SSLSocket`, which typeshed does not know
        self._read_needs = IN
        self._write_needs = OUT
        self._broken = False
        self._finished = False
        if mask:
            self.hot.handlers[fd] = self._on_event

    def shake(self) -> int:
        """Go on with the handshake: IN or OUT is what it waits for, 0 that it is done. Raises `TlsFailed`, `PeerGone`.
        """
        try:
            self.ssl.do_handshake()
        except ssl.SSLWantReadError:
            return IN
        except ssl.SSLWantWriteError:
            return OUT
        except ssl.SSLError as exc:
            raise TlsFailed(str(exc), exc.reason or "") from None
        except OSError as exc:
            raise PeerGone(exc.errno or EPIPE, "recv") from None
        self.ready = False  # OpenSSL has read nothing beyond it
        self.hot.bursts.note()
        return 0

    def give_up(self) -> None:
        """Close, the handshake having failed: no close_notify."""
        self._broken = True
        self.close()

    @property
    def is_at_rest(self) -> bool:
        """Return whether nothing is under way: whoever waits for what comes next finds all of it in the socket."""
        return (
            self._unread is None
            and self._posted is None
            and self._read_needs == IN
            and self._write_needs == OUT
            and not (self._broken or self._finished or self.ssl.pending())
        )

    def recv_now(self, limit: int = READ_SIZE) -> bytes | None:
        """Do what `Stream.recv_now` does. Raises `TlsFailed` on a record that is none."""
        if self._unread is not None:
            return self._take_unread(limit)
        if self._finished:
            return self._drop_now()
        try:
            data: bytes = self.ssl.read(limit)
        except OSError as exc:
            return self._not_received(exc)
        count = len(data)
        # OpenSSL may hold the rest of a record, of which epoll knows nothing; and a long record seldom comes
        # alone.
        self.ready = count == 0 or count >= _WORTH_TRYING_AGAIN or self.ssl.pending() > 0
        self.received += count
        return data

    def send_now(self, data: Buffer) -> int:
        """Do what `Stream.send_now` does. What was not taken must be sent again, unchanged, before anything else."""
        if not data or (self._posted is not None and not self.deliver()):
            return 0
        try:
            count: int = self.ssl.write(data if len(data) <= _RECORD else memoryview(data)[:_RECORD])
        except OSError as exc:
            return self._not_sent(exc)
        self.sent += count
        return count

    def send_last(self, data: Buffer) -> int:
        """Do what `send_now` does: OpenSSL writes what it has encrypted, and cannot be told that more will come."""
        return self.send_now(data)

    def peek_now(self, limit: int = READ_SIZE) -> bytes | None:
        """Refuse: what is in the socket are records."""
        raise RuntimeError("cannot peek into a TLS stream")

    async def send_all(self, data: Buffer | Sequence[Buffer], timeout: float | None = None) -> None:
        """Do what `Stream.send_all` does."""
        if not isinstance(data, (bytes, bytearray, memoryview)):
            data = b"".join(data)
        view = memoryview(data)
        while view:
            count = self.send_now(view)
            if count == 0:
                await self._wait(OUT, timeout)
            view = view[count:]

    async def sendfile(self, file: int, offset: int, count: int, timeout: float | None = None) -> int:
        """Do what `Stream.sendfile` does, by reading: what is encrypted must be read."""
        left = count
        while left > 0:
            data = os.pread(file, min(left, 65536), offset)
            if not data:
                break
            await self.send_all(data, timeout)
            offset += len(data)
            left -= len(data)
            await self._breathe(1)
        return count - left

    def shutdown_write(self) -> None:
        """Send close_notify and FIN. What still comes is dropped."""
        self._last_post()
        self._close_notify()
        self._finished = True
        super().shutdown_write()

    def close(self) -> None:
        """Do what `Stream.close` does, with a close_notify if it can be sent at once."""
        self._last_post()
        if self.fd >= 0 and not self._finished:
            self._close_notify()
        super().close()

    def _close_notify(self) -> None:
        if self._broken or self._finished:
            return
        try:
            self.ssl.shutdown()
        except (OSError, ValueError):
            pass  # the peer is gone, or has something to say that nobody reads

    def _drop_now(self) -> bytes | None:
        try:
            return self.sock.recv(65536)
        except OSError as exc:
            return super()._not_received(exc)

    def _arm(self, what: int, fiber: Any) -> None:
        super()._arm(what, fiber)
        if self._read_needs == OUT or self._write_needs == IN:
            self._cross()

    def _cross(self) -> None:
        """Wait for room to write where that is what reading needs, and the other way round."""
        mask = 0
        if self._reader is not None:
            mask |= self._read_needs
        if self._writer is not None:
            mask |= self._write_needs
        self._mask = mask
        self.hot.change(self.fd, mask)
        self.hot.handlers[self.fd] = self._on_crossed

    def _on_crossed(self, mask: int) -> None:
        if self._read_needs == OUT and mask & OUT:
            self._read_needs = IN
            mask |= IN
        if self._write_needs == IN and mask & IN:
            self._write_needs = OUT
            mask |= OUT
        if self._read_needs == IN and self._write_needs == OUT:
            self.hot.handlers[self.fd] = self._on_event
        self._on_event(mask)

    def _not_received(self, exc: OSError) -> bytes | None:
        if isinstance(exc, ssl.SSLWantReadError):
            self.ready = False
            return None
        if isinstance(exc, ssl.SSLWantWriteError):
            self.ready = False
            self._read_needs = OUT
            return None
        self.ready = True
        if isinstance(exc, ssl.SSLZeroReturnError):
            return b""
        self._broken = True
        if isinstance(exc, ssl.SSLEOFError):
            if was_reset(self.sock):
                raise PeerGone(ECONNRESET, "recv") from None
            return b""
        if isinstance(exc, ssl.SSLError):
            if exc.reason in _END:
                return b""
            raise TlsFailed(str(exc), exc.reason or "") from None
        raise PeerGone(exc.errno or EPIPE, "recv") from None

    def _not_sent(self, exc: OSError) -> int:
        if isinstance(exc, ssl.SSLWantWriteError):
            return 0
        if isinstance(exc, ssl.SSLWantReadError):
            self._write_needs = IN
            return 0
        self._broken = True
        if isinstance(exc, (ssl.SSLZeroReturnError, ssl.SSLEOFError)):
            raise PeerGone(EPIPE, "send") from None
        if isinstance(exc, ssl.SSLError):
            raise TlsFailed(str(exc), exc.reason or "") from None
        raise PeerGone(exc.errno or EPIPE, "send") from None


async def accept(
    stream: Stream, choose: Callable[[Hello], ssl.SSLContext | None], timeout: float | None = None
) -> TlsStream:
    """Make the server's side of a handshake, within `timeout` seconds. `choose` names the context for what the client
    asks; `None` refuses it with the alert `unrecognized_name`.

    Raises `NotTls` with `stream` as it was, nothing read (it may be plain HTTP: nginx answers that with a
    400); and with `stream` closed `TlsFailed`, `TimedOut`, `PeerGone`."""
    deadline = _Deadline(stream, timeout)
    try:
        hello = await _peek_hello(stream, deadline)
        context = choose(hello)
        if context is None:
            stream.send_now(_UNRECOGNIZED_NAME)
            raise TlsFailed(f'no server takes the name "{hello.server_name}"', "UNRECOGNIZED_NAME")
        tls = wrap(stream, context, hello)
    except NotTls:
        raise
    except BaseException:
        stream.close()
        raise
    return await _handshake(tls, deadline)


async def connect(
    stream: Stream,
    context: ssl.SSLContext,
    server_name: str | None = None,
    session: ssl.SSLSession | None = None,
    timeout: float | None = None,
) -> TlsStream:
    """Make the client's side of a handshake. `server_name` is sent (SNI) and, if the context checks names, checked.

    Raises `TlsFailed`, `TimedOut`, `PeerGone`, with `stream` closed.
    """
    deadline = _Deadline(stream, timeout)
    try:
        tls = wrap(stream, context, None, server_name, session)
    except BaseException:
        stream.close()
        raise
    return await _handshake(tls, deadline)


def was_reset(sock: socket.socket) -> bool:
    """Return whether the connection is gone, not just at its end: Python's `ssl` raises SSLEOFError for both."""
    try:
        return sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 1)[0] == _TCP_CLOSE
    except OSError:
        return False  # a unix socket


class _Deadline:
    __slots__ = ("_hot", "_when")

    def __init__(self, stream: Stream, timeout: float | None) -> None:
        self._hot = stream.hot
        self._when = None if timeout is None else stream.hot.now + timeout

    def left(self) -> float | None:
        if self._when is None:
            return None
        left = self._when - self._hot.now
        if left <= 0:
            raise TimedOut
        return left


async def _peek_hello(stream: Stream, deadline: _Deadline) -> Hello:
    reader = HelloReader()
    while True:
        need = reader.need
        data = await stream.peek(need - 1, max(need, FIRST_LOOK), deadline.left())
        hello = reader.read(data)
        if hello is not None:
            return hello
        if len(data) < need:
            raise TlsFailed("peer closed connection in SSL handshake", "UNEXPECTED_EOF")


def wrap(
    stream: Stream,
    context: Any,
    hello: Hello | None,
    server_name: str | None = None,
    session: ssl.SSLSession | None = None,
) -> TlsStream:
    """Make a stream of TLS of a plain one, which is empty after: the server's side where there is a `hello`. The
    handshake is next (`TlsStream.shake`). Raises `TlsFailed`, with all closed."""
    unread = stream._unread
    fd, mask = stream.release_fd()
    try:
        if unread:
            raise TlsFailed("bytes were read before the handshake")
        # What `SSLContext.wrap_socket` does for a connected socket.
        name = None if server_name is None else context._encode_hostname(server_name)
        sock = stream.hot.stand_in.of(fd)
        inner = context._wrap_socket(sock, hello is not None, name, owner=None, session=session)
    except (OSError, ValueError, TypeError, TlsFailed) as exc:  # a name that can not be sent may be any of them
        stream.hot.drop(fd)
        close(fd)
        raise TlsFailed(str(exc), getattr(exc, "reason", None) or "") from None
    return TlsStream(stream, fd, inner, mask, hello)


async def _handshake(tls: TlsStream, deadline: _Deadline) -> TlsStream:
    try:
        while needs := tls.shake():
            await tls._wait(needs, deadline.left())
    except BaseException:
        tls.give_up()
        raise
    return tls

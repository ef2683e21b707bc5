"""One end of a tunnel, with TLS.

OpenSSL has its own idea of what must be waited for: a read may need to write first (a key update), a write to
read first (a renegotiation). `read_needs` and `write_needs` say what epoll is asked for in their stead."""

from __future__ import annotations

import socket
import ssl
from collections.abc import Callable
from errno import ECONNRESET, EPROTO
from typing import Any

from penstock.net.loop import IN, OUT, HotSelector
from penstock.net.relay.side import CLOSE_FRAME, LONGEST_CLOSE, Side
from penstock.net.relay.twin_side import READING
from penstock.net.relay.views import BUFFER, SIZE, VIEW, VIEWED, VIEWS, view_of
from penstock.net.tls.tls import was_reset

_LONG = 8192
_RECORD = 16384


def wants_more(exc: OSError) -> bool:
    """Return whether reading raised `exc` because no whole record was there."""
    return isinstance(exc, ssl.SSLWantReadError)


class TlsSide(Side):
    """An end with TLS. Reads go on while whole records come, so that a long message is one write to the other
    side."""

    __slots__ = ("ssl",)

    read_needs = READING
    write_needs = OUT

    def __init__(self, sock: socket.socket, inner: Any, hot: HotSelector, send_timeout: float) -> None:
        self.ssl = inner
        super().__init__(sock, hot, send_timeout)

    @property
    def transport(self) -> str:
        """Do what `Side.transport` does."""
        return "h1-tls"

    def on_event(self, mask: int) -> None:
        """Do what `Side.on_event` does."""
        if mask != IN or self.write_needs == IN:
            self._unusual(mask)
            return
        count = -1
        try:
            count = self.receive(SIZE, BUFFER)
            if not count:
                self._end_of_input()
                return
            if count >= _LONG and not self.little:
                count = self._read_on(count)
            sent = self.send_peer((VIEWS[count] if count < VIEWED else None) or view_of(count))
        except OSError as exc:
            sent = self._failed(exc, count)
            if sent < 0:
                return
        self.read += count
        self.last = self.hot.now
        if self.parting or BUFFER[0] == CLOSE_FRAME:
            self.parting = count <= LONGEST_CLOSE and BUFFER[0] == CLOSE_FRAME
        if sent != count:
            self.peer.hold(bytes(VIEW[sent:count]))

    def _read_on(self, count: int) -> int:
        """A long record seldom comes alone: takes those that are there, too."""
        try:
            while SIZE - count >= _RECORD:
                more = self.receive(SIZE - count, VIEW[count:])
                if more == 0:
                    break  # the end: the next event says it again
                count += more
        except OSError:
            pass  # usually that no more is there; what it is besides, the next read says again
        return count

    def writer(self) -> Callable[[Any], int]:
        """Make what writes to this side."""
        write: Callable[[Any], int] = self.ssl.write
        return write

    def _reader(self) -> Callable[..., int]:
        read: Callable[..., int] = self.ssl.read
        return read

    def _sparing(self, receive: Callable[..., int]) -> Callable[..., int]:
        def spare(size: int, buffer: bytearray) -> int:
            # A record at a time: nobody would tell of the rest of one.
            self._spared()
            return receive(size, buffer)

        return spare

    def finish(self) -> None:
        """Send close_notify, then FIN."""
        if not self.ended and self._unread_bytes():
            # SSL_shutdown() would meet them where it looks for the peer's close_notify, and drop them.
            self.move()
            if self.fd < 0 or self.finished:
                return
        self._close_notify()
        super().finish()

    def close(self) -> None:
        """Close the socket, with a close_notify if it can be sent at once."""
        if not self.deaf and not self.finished:
            self._close_notify()
        super().close()

    def _close_notify(self) -> None:
        self.finished = True
        try:
            self.ssl.shutdown()
        except (OSError, ValueError):
            pass  # it has ended, or something is unread: a FIN has to do

    def _unread_bytes(self) -> bool:
        try:
            return bool(self.sock.recv(1, socket.MSG_PEEK))
        except OSError:
            return False

    def read_must_wait(self, exc: OSError) -> bool:
        """Do what `Side.read_must_wait` does; note where OpenSSL cannot read before it has written (a key update)."""
        if isinstance(exc, ssl.SSLWantWriteError):
            self.read_needs = OUT
            self.settle()
            return True
        return wants_more(exc)

    def write_must_wait(self, exc: OSError) -> bool:
        """Do what `Side.write_must_wait` does; notes where OpenSSL cannot write before it has read (a renegotiation).
        """
        if isinstance(exc, ssl.SSLWantReadError):
            self.write_needs = IN
            return True
        return isinstance(exc, ssl.SSLWantWriteError)

    def _mask_for(self, reading: bool, writing: bool) -> int:
        mask = self.read_needs if reading else 0
        return mask | self.write_needs if writing else mask

    def _unusual(self, mask: int) -> None:
        if mask & OUT and self.read_needs == OUT:
            self.read_needs = READING
            self.settle()
            mask |= IN
        if mask & IN and self.write_needs == IN:
            self.write_needs = OUT
            self.settle()
            mask |= OUT
        super()._unusual(mask)

    def _is_end(self, exc: OSError) -> bool:
        if isinstance(exc, ssl.SSLEOFError):
            return not was_reset(self.sock)
        return isinstance(exc, ssl.SSLZeroReturnError)

    def _errno(self, exc: OSError) -> int:
        if isinstance(exc, ssl.SSLError):
            return ECONNRESET if isinstance(exc, ssl.SSLEOFError) else EPROTO
        return exc.errno or 0

    def buffered(self) -> bool:
        """Return whether OpenSSL holds the rest of a record."""
        return bool(self.ssl.pending())

"""A tunnel whose client speaks TLS, and what it is while short messages are all that comes: two descriptors, OpenSSL's
object, some numbers, and no `Side`.

It is to TLS what `carried.py` is to the compiled twin: both sides are made as soon as something else happens, or when
somebody wants to see one, and the tunnel then goes on with them.
"""

from __future__ import annotations

from typing import Any

from penstock.net.bare_socket import socket_of
from penstock.net.calls import close, recv, send
from penstock.net.loop import IN, Loop
from penstock.net.relay.side import CLOSE_FRAME, LONGEST_CLOSE, Side
from penstock.net.relay.tls_side import TlsSide, wants_more
from penstock.net.relay.tunnel import OnEnd, Tunnel
from penstock.net.relay.twin_side import READING
from penstock.net.relay.views import BUFFER, SIZE, VIEWED, VIEWS, view_of
from penstock.net.timers import Alarm

_LONG = 8192
"""Bytes of a message that is better read by a side: into one buffer, and on while there is more."""
_PART = 16384


class SecureTunnel(Tunnel):
    """As `Tunnel`. As long as there are no sides, this counts in their stead."""

    __slots__ = ("_last", "_parting", "_read", "_read_other", "_ssl")

    def __init__(
        self,
        loop: Loop,
        idle_timeout: float,
        on_end: OnEnd,
        alarm: Alarm | None,
        owner: object,
        inner: Any,
    ) -> None:
        """`inner` is what OpenSSL has of the client."""
        from penstock.net.tls.openssl import forget_offer

        super().__init__(loop, idle_timeout, on_end, alarm, owner)
        self._ssl = inner
        forget_offer(inner)

    def fold(self, client: int, backend: int, limits: tuple[float, float]) -> None:
        """Begin as two descriptors that the loop watches for reading."""
        self._client = client
        self._backend = backend
        self._limits = limits
        self._last = self.opened
        self._read = self._read_other = 0
        self._parting = 0
        self._listen(client, backend)

    @property
    def plain(self) -> bool:
        """Do what `Carried.plain` does: the twin speaks no TLS."""
        return False

    @property
    def portable(self) -> bool:
        """Do what `Carried.portable` does."""
        return False

    @property
    def transport(self) -> str:
        """Do what `Tunnel.transport` does."""
        if self._limits is None:
            return super().transport
        return "tcp-tls" if getattr(self.owner, "bare", False) else "h1-tls"

    def told(self, fd: int, mask: int) -> None:
        """Pass on what has come. Whatever else there is, sides deal with."""
        if mask != IN:
            self._told_more(fd, mask)
            return
        # Both ways are written out here, and every other step is taken where it is needed: a message and its echo are
        # 2,500 instructions less (experiments/requests.md).
        if fd == self._client:
            try:
                count = self._ssl.read(SIZE, BUFFER)
            except OSError as exc:
                if not wants_more(exc):
                    self.client._failed(exc, -1)
                return
            view = VIEWS[count] if count < VIEWED else None
            if view is None:
                if not count:
                    self._ended(fd)
                    return
                view = view_of(count)
            self._read += count
            self._last = self.loop.hot.now
            if self._parting or BUFFER[0] == CLOSE_FRAME:
                parts = count <= LONGEST_CLOSE and BUFFER[0] == CLOSE_FRAME
                self._parting = self._parting | 1 if parts else self._parting & 2
            try:
                sent = send(self._backend, view)  # type: ignore[arg-type]
            except OSError as exc:
                self._stop(self.backend, exc, bytes(view))
                return
            if sent != count:
                self.backend.hold(bytes(view[sent:]))
            elif count >= _LONG:
                self._unfold()
            return
        try:
            data = recv(fd, _PART)
        except OSError as exc:
            self.backend._failed(exc, -1)
            return
        if not data:
            self._ended(fd)
            return
        count = len(data)
        self._read_other += count
        self._last = self.loop.hot.now
        if self._parting or data[0] == CLOSE_FRAME:
            parts = count <= LONGEST_CLOSE and data[0] == CLOSE_FRAME
            self._parting = self._parting | 2 if parts else self._parting & 1
        try:
            sent = self._ssl.write(data)
        except OSError as exc:
            self._stop(self.client, exc, data)
            return
        if sent != count:
            self.client.hold(data[sent:])
        elif count >= _LONG:
            self._unfold()

    def _told_more(self, fd: int, mask: int) -> None:
        if mask != READING:
            (self.client if fd == self._client else self.backend).on_event(mask)
            return
        self.told(fd, IN)
        if self._limits is not None:
            self.told(fd, IN)  # the end, nearly always

    def _stop(self, side: Side, exc: OSError, data: bytes) -> None:
        """Do what a side does that could not be written to."""
        if side.write_must_wait(exc):
            side.hold(data)
        else:
            side.refuse(exc)

    def _ended(self, fd: int) -> None:
        """Deal with a FIN: after a close frame from each side it is the end of both."""
        if not self.websocket or self._parting != 3:
            (self.client if fd == self._client else self.backend)._end_of_input()
            return
        hot = self.loop.hot
        client, backend = self._client, self._backend
        assert isinstance(client, int) and isinstance(backend, int)
        hot.carried[client] = hot.carried[backend] = None
        try:
            self._ssl.shutdown()
        except (OSError, ValueError):
            pass  # it is gone, or what it has to say nobody reads
        close(client)
        close(backend)
        if fd == client:
            self.said_goodbye(self._read, self._read_other, True)
        else:
            self.said_goodbye(self._read_other, self._read, False)

    def _unfold(self) -> None:
        limits, client, backend = self._limits, self._client, self._backend
        assert limits is not None and isinstance(client, int) and isinstance(backend, int)
        self._limits = None
        hot = self.loop.hot
        hot.carried[client] = hot.carried[backend] = None
        left = TlsSide(socket_of(client), self._ssl, hot, limits[0])
        right = Side(socket_of(backend), hot, limits[1])
        left.read, right.read = self._read, self._read_other
        left.last = right.last = self._last
        left.parting, right.parting = bool(self._parting & 1), bool(self._parting & 2)
        del self._ssl
        left.mask = right.mask = READING
        self.join(left, right)
        self.equip()
        hot.handlers[client] = left.on_event
        hot.handlers[backend] = right.on_event

    def _figures(self, *, of_client: bool) -> tuple[int, float]:
        if self._limits is None:
            return super()._figures(of_client=of_client)
        return (self._read if of_client else self._read_other), self._last

"""One end of a tunnel that is a stream of HTTP/2 (RFC 8441, and CONNECT): what a `Side` is to a socket.

    FIN            END_STREAM, both ways
    a reset        RST_STREAM (CANCEL; CONNECT_ERROR where bytes are carried for a CONNECT), both ways
    no room        the peer's windows, or a connection on which others have their turn first
"""

from __future__ import annotations

from collections.abc import Callable
from errno import EAGAIN, ECONNRESET
from typing import TYPE_CHECKING, Any

from penstock.net.errors import PeerGone
from penstock.net.h2_lane import CANCEL
from penstock.net.loop import IN
from penstock.net.side import Side

if TYPE_CHECKING:
    from penstock.net.h2_lane import Lane

_TAKEN = 65536
_OPEN = 1 << 30
"""In place of a descriptor: the stream has none of its own, and epoll is never asked about it."""


class LaneSide(Side):
    """As `Side`. What came and can not be passed on stays in the lane, whose window then stays shut."""

    __slots__ = ("code", "lane")

    def __init__(self, lane: Lane, send_timeout: float, code: int = CANCEL) -> None:
        self.lane = lane
        self.code = code
        super().__init__(lane.sock, lane.hot, send_timeout)
        self.fd = _OPEN
        self.mask = 0

    # -- what the lane tells

    def arrived(self) -> None:
        """Something came, or the end."""
        if self.mask & IN:
            self.take()

    def writable(self) -> None:
        """There may be room."""
        if self.unsent is not None:
            self.flush()
            if self.fd > 0 and self.unsent is not None:
                self.lane.stand()

    def lost(self) -> None:
        """The stream was reset, or its connection is gone."""
        self.tunnel.reset(self, self.lane.lost)

    # -- what differs from a socket

    def start(self, mask: int) -> None:
        """As `Side.start`."""
        self.lane.side = self
        self.settle()

    def take(self) -> None:
        """Passes on what is there."""
        lane = self.lane
        while lane.inbox and self.mask & IN:
            data = lane.taken(_TAKEN)
            count = len(data)
            try:
                sent = self.send_peer(memoryview(data))
            except OSError as exc:
                sent = self._failed(exc, count)
                if sent < 0:
                    return
            self.read += count
            self.last = self.hot.now
            if sent != count:
                self.peer.hold(data[sent:])
        if lane.ended and not lane.inbox and not self.ended and self.fd > 0:
            self._end_of_input()
        elif lane.lost and not lane.ended and self.fd > 0:
            self.lost()  # before the tunnel was one

    def writer(self) -> Callable[[Any], int]:
        """What writes to this side."""
        return self._write

    def _write(self, data: Any) -> int:
        lane = self.lane
        sent, size = 0, len(data)
        try:
            while sent < size:
                count = lane.send_now(data[sent:] if sent else data, flush=False)
                if not count:
                    break
                sent += count
        except PeerGone as error:
            raise ConnectionResetError(error.errno, "the stream is over") from None
        lane.session.flush()
        if not sent and size:
            raise BlockingIOError(EAGAIN, "no room")
        return sent

    def _reader(self) -> Callable[..., int]:
        return self._nothing

    def _nothing(self, _: object) -> int:
        raise BlockingIOError(EAGAIN, "a stream is told what came")

    def finish(self) -> None:
        """END_STREAM."""
        self.finished = True
        lane = self.lane
        if not lane.lost and not lane.finished:
            lane.send_now(b"", ended=True)

    def buffered(self) -> bool:
        """Something came before the tunnel was one."""
        return self.lane.ready

    def settle(self) -> None:
        """As `Side.settle`: reading goes on in a turn of its own, as who calls this is at work."""
        peer = self.peer
        reading = not self.ended and peer.unsent is None and not peer.deaf
        if reading and not self.mask and self.lane.ready:
            self.lane.loop.call_soon(self._go_on)
        self.mask = IN if reading else 0
        if self.unsent is not None:
            self.lane.stand()

    def _go_on(self) -> None:
        if self.fd > 0 and self.lane.side is self:
            self.arrived()

    def park(self) -> None:
        """As `Side.park`."""
        self.mask = 0

    def abandon(self) -> None:
        """As `Side.abandon`."""
        self.mask = 0
        self.ended = True
        self.deaf = False
        self.unsent = None
        self.peer.settle()

    def refuse(self, exc: OSError) -> None:
        """As `Side.refuse`; a stream that takes no more says nothing more, either."""
        if self.lane.lost:
            self.tunnel.reset(self, self.lane.lost or ECONNRESET)
            return
        super().refuse(exc)

    def close(self) -> None:
        """Ends the stream: with END_STREAM where all that was to be sent has been, else with a reset."""
        lane = self.lane
        self.fd = -1
        lane.side = None
        orderly = self.unsent is None and self.tunnel.reason is not None and "reset" not in self.tunnel.reason.value
        if orderly and not lane.lost and not lane.finished:
            lane.send_now(b"", ended=True)
        lane.close(self.code)
        self._let_go()

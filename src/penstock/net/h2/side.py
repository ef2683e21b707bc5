"""One end of a tunnel that is a stream of HTTP/2 (RFC 8441, and CONNECT): what a `Side` is to a socket.

    FIN            END_STREAM, both ways
    a reset        RST_STREAM (CANCEL; CONNECT_ERROR where bytes are carried for a CONNECT), both ways
    no room        the peer's windows, or a connection on which others have their turn first
"""

from __future__ import annotations

from collections.abc import Callable
from errno import EAGAIN, ECONNRESET
from typing import TYPE_CHECKING, Any

from penstock.net.errors import NetError, PeerGone, TimedOut
from penstock.net.h2.stream import CANCEL
from penstock.net.loop import IN
from penstock.net.relay.side import Side
from penstock.net.relay.tunnel import End

if TYPE_CHECKING:
    from penstock.net.h2.stream import Lane

_TAKEN = 65536
_OPEN = 1 << 30
"""In place of a descriptor: the stream has none of its own, and epoll is never asked about it."""


class LaneSide(Side):
    """As `Side`. What came and can not be passed on stays in the lane, whose window then stays shut.

    A stream that is lost is what a socket is that was reset: what came before is read first, as the kernel would keep
    it, and after END_STREAM a reset only says that nothing more is taken.
    """

    __slots__ = ("code", "given_up", "lane")

    def __init__(self, lane: Lane, send_timeout: float, code: int = CANCEL) -> None:
        self.lane = lane
        self.code = code
        self.given_up = False
        super().__init__(lane.sock, lane.hot, send_timeout)
        self.fd = _OPEN
        self.mask = 0

    @property
    def transport(self) -> str:
        """Do what `Side.transport` does."""
        return "h2-tls" if self.lane.session.stream.secure else "h2"

    # -- what the lane tells

    def arrived(self) -> None:
        """Deal with what came, or the end."""
        if not self.mask & IN:
            return
        lane = self.lane
        inbox = lane.inbox
        if len(inbox) != 1 or lane.ended or lane.lost:
            self.move()
            return
        # One piece, and nothing else: `move` without its loop, for what nearly always comes.
        data = inbox.popleft()
        count = lane.held
        lane.held = 0
        half = lane.half
        if half.granted * 2 <= lane.window:
            lane.grant()
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

    def writable(self) -> None:
        """Send on: there may be room."""
        if self.unsent is not None:
            self.flush()
            if self.fd > 0 and self.unsent is not None:
                self.lane.stand()

    def lost(self) -> None:
        """End: the stream was reset, or its connection is gone."""
        if self.lane.ended:
            self.deaf = True
            self.unsent = None
        self.move()

    # -- what differs from a socket

    def start(self, mask: int) -> None:
        """Do what `Side.start` does."""
        self.lane.side = self
        self.settle()

    def move(self) -> None:
        """Pass on what is there."""
        lane = self.lane
        while lane.inbox and self.mask & IN:
            data = lane.taken(_TAKEN)
            count = len(data)
            try:
                sent = self.send_peer(memoryview(data))
            except OSError as exc:
                sent = self._failed(exc, count)
                if sent < 0:
                    break
            self.read += count
            self.last = self.hot.now
            if sent != count:
                self.peer.hold(data[sent:])
        if self.fd > 0 and lane.ended and not lane.inbox and not (self.ended or self.tunnel.paused):
            self._end_of_input()
        if self.fd > 0 and lane.lost and not (self.given_up or self.tunnel.paused or self._owes()):
            self._lost()

    def _owes(self) -> bool:
        """Return whether something that came is still to be passed on, and can be."""
        peer = self.peer
        return not (self.ended or peer.deaf) and (bool(self.lane.inbox) or peer.unsent is not None)

    def _lost(self) -> None:
        """The end of a stream that is lost."""
        lane, tunnel = self.lane, self.tunnel
        self.given_up = True
        if lane.kind is TimedOut:
            late = End.CLIENT_SEND_TIMEOUT if self is tunnel.client else End.BACKEND_SEND_TIMEOUT
            if tunnel.held_up(late, self):
                self.abandon()
            else:
                tunnel.close(late)
        elif lane.kind is not PeerGone:
            tunnel.close(End.SHUTDOWN)
        elif self.ended or self.peer.deaf:
            super().refuse(ConnectionResetError(lane.lost, "the stream is over"))
        else:
            tunnel.reset(self, lane.lost)

    def writer(self) -> Callable[[Any], int]:
        """Make what writes to this side."""
        return self._write

    def _write(self, data: Any) -> int:
        lane = self.lane
        sent, size = 0, len(data)
        if size <= lane.chunk and not lane.lost and lane.session.post(lane, data, size):
            return size
        try:
            while sent < size:
                count = lane.send_now(data[sent:] if sent else data, flush=False)
                if not count:
                    break
                sent += count
        except NetError:
            raise ConnectionResetError(lane.lost or ECONNRESET, "the stream is over") from None
        lane.session.flush()
        if not sent and size:
            raise BlockingIOError(EAGAIN, "no room")
        return sent

    def _reader(self) -> Callable[..., int]:
        return self._nothing

    def read_little(self) -> None:
        """Do nothing: what came is in the stream already, and its connection reads a little at a time."""

    def _nothing(self, _: object) -> int:
        raise BlockingIOError(EAGAIN, "a stream is told what came")

    def finish(self) -> None:
        """Send END_STREAM."""
        self.finished = True
        lane = self.lane
        if not lane.lost and not lane.finished:
            lane.send_now(b"", ended=True)

    def buffered(self) -> bool:
        """Return whether something came before the tunnel was one."""
        return self.lane.ready

    def settle(self) -> None:
        """Do what `Side.settle` does; reading goes on in a turn of its own, as who calls this is at work."""
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
        """Do what `Side.park` does."""
        self.mask = 0

    def abandon(self) -> None:
        """Do what `Side.abandon` does."""
        self.given_up = True
        self.mask = 0
        self.ended = True
        self.deaf = False
        self.unsent = None
        self.peer.settle()

    def refuse(self, exc: OSError) -> None:
        """Do what `Side.refuse` does; a stream that takes no more says nothing more, either, but what it has said."""
        super().refuse(exc)
        if self.fd > 0 and self.lane.lost:
            self.move()

    def close(self) -> None:
        """End the stream: with END_STREAM where all that was to be sent has been, else with a reset."""
        lane = self.lane
        self.fd = -1
        lane.side = None
        orderly = self.unsent is None and self.tunnel.reason is not None and "reset" not in self.tunnel.reason.value
        if orderly and not lane.lost and not lane.finished:
            lane.send_now(b"", ended=True)
        lane.close(self.code)
        self._let_go()

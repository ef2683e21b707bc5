"""One end of a tunnel: reads its socket and writes what it read to the other end's.

The hot path is `on_event`: one read into the worker's only buffer, one write out of it, two counters.
Everything else happens when a peer is slow, ends, or fails:

    slow      what the other side does not take is kept (it is at most a buffer), this side is not read any more, and
              the other waits for room; nothing else is ever stored
    ended     the peer sent FIN: it is passed on after what is unsent, and the other direction flows on
    deaf      the peer takes no more (it was reset, or has closed wholly): what *it* still had to say is passed on

A direction is over when its source has ended and nothing is unsent, or when its sink is deaf. The tunnel ends
when both directions are over. What has to do with the compiled twin is in `twin_side.py`."""

from __future__ import annotations

import socket
from collections.abc import Callable
from errno import EAGAIN, EINTR
from typing import TYPE_CHECKING, Any

from penstock.net.loop import ERR, HUP, IN, OUT, HotSelector
from penstock.net.relay.twin_side import READING, TwinSide
from penstock.net.relay.views import BUFFER, VIEW, VIEWED, VIEWS, view_of
from penstock.net.tcp_info import acknowledged, unacknowledged

if TYPE_CHECKING:
    from penstock.net.relay.throttle import Throttle
    from penstock.net.relay.tunnel import Tunnel

LITTLE, LITTLE_READS = 1024, 1000
"""Bytes that are read at once from who makes much work of few (80 KiB of frames without content cost 17 ms), and how
often: what comes then may be long again."""

LONGEST_CLOSE, CLOSE_FRAME = 131, 0x88
"""A close frame has at most 125 bytes, behind six (RFC 6455, sections 5.2 and 5.5); it is never one of several."""

_UNWATCHED = -1


class Side(TwinSide):
    """A plain socket's end. `read` counts bytes taken from it, `last` is when it last moved any."""

    # What is rare has its usual value in the class, and a place in `__dict__` once it changes: less to make.
    __slots__ = (
        *("__dict__", "hot", "last", "mask", "parting", "peer", "read"),
        *("send_peer", "send_timeout", "sock", "tunnel"),
    )

    peer: Side
    tunnel: Tunnel
    receive: Callable[..., int]
    send_peer: Callable[[Any], int]
    stuck = 0.0
    unsent: bytes | None = None
    tapped = False
    little = 0
    throttle: Throttle | None = None
    ended = False
    deaf = False
    finished = False

    def __init__(self, sock: socket.socket, hot: HotSelector, send_timeout: float) -> None:
        self.sock = sock
        self.fd = sock.fileno()
        self.hot = hot
        self.send_timeout = send_timeout
        self.read = 0
        self.last = hot.now
        self.parting = False
        self.mask = _UNWATCHED

    def equip(self) -> None:
        """Make what reads from here and what writes to the other side. Nobody asks for them while the compiled twin
        carries the tunnel, and an idle one has 0.4 KiB less (experiments/tunnels.md)."""
        self.receive = self._reader()
        self.send_peer = self.peer.writer() if self.tunnel.frames is None else self.passing()

    def read_little(self) -> None:
        """Take little at a time for a while, so that others have their turn; not where a rate says how much anyway."""
        if self.throttle is not None:
            return
        self.little = LITTLE_READS
        self.receive = self._sparing(self._reader())

    def _sparing(self, receive: Callable[..., int]) -> Callable[..., int]:
        return lambda buffer: receive(buffer, self._spared())

    def _spared(self) -> int:
        self.little -= 1
        if not self.little:
            self.receive = self._reader()
        return LITTLE

    def start(self, mask: int) -> None:
        """Take over the descriptor, registered with `mask` by whoever had it (0: not at all)."""
        if mask:
            self.hot.handlers[self.fd] = self.handler
            self.mask = mask
        if mask != READING or self.unsent is not None or self.peer.unsent is not None:
            self.settle()

    def on_event(self, mask: int) -> None:
        """Read what is there (the usual case), or deal with whatever else happened."""
        if mask != IN:
            self._unusual(mask)
            return
        count = -1
        try:
            # Into one buffer, and a slice of it out: of 64 KiB with a head 18.5 us, in pieces of 16 KiB 32
            # (experiments/relay_calls.py).
            count = self.receive(BUFFER)
            view = VIEWS[count] if count < VIEWED else None
            if view is None:
                if not count:
                    self._end_of_input()
                    return
                view = view_of(count)
            sent = self.send_peer(view)
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

    def move(self) -> None:
        """Read and pass on what is there."""
        self.on_event(IN)

    def send_on(self, data: bytes) -> None:
        """Pass `data` on as if it had been read just now; it is not counted."""
        try:
            sent = self.send_peer(data)
        except OSError as exc:
            if not self.peer.write_must_wait(exc):
                self.peer.refuse(exc)
                return
            sent = 0
        if sent < len(data):
            self.peer.hold(data[sent:])

    # -- what differs where there is TLS

    @property
    def transport(self) -> str:
        """Return what carries it: "h1", "h2", each perhaps with "-tls"."""
        return "h1"

    def writer(self) -> Callable[[Any], int]:
        """Make what writes to this side."""
        return self.sock.send

    def _reader(self) -> Callable[..., int]:
        return self.sock.recv_into

    def finish(self) -> None:
        """Say that nothing more will come."""
        self.finished = True
        try:
            self.sock.shutdown(socket.SHUT_WR)
        except OSError:
            pass  # it is gone altogether

    def read_must_wait(self, exc: OSError) -> bool:
        """Return whether reading raised `exc` because nothing was there."""
        return exc.errno == EAGAIN or exc.errno == EINTR

    def write_must_wait(self, exc: OSError) -> bool:
        """Return whether writing raised `exc` because there was no room."""
        return exc.errno == EAGAIN or exc.errno == EINTR

    def _is_end(self, _exc: OSError) -> bool:
        return False

    def _errno(self, exc: OSError) -> int:
        return exc.errno or 0

    def undelivered(self) -> int:
        """Count the bytes that the kernel has and the peer has not acknowledged yet; 0 where that is not known."""
        return unacknowledged(self.sock)

    def acknowledged(self) -> int:
        """Count the bytes that the peer has acknowledged, from anywhere: only that it grows says something."""
        return acknowledged(self.sock)

    def buffered(self) -> bool:
        """Return whether bytes were read from the kernel already: no event will tell of them."""
        return False

    # -- the other cases

    def _unusual(self, mask: int) -> None:
        if mask & OUT and self.unsent is not None:
            self.flush()
            if self.fd < 0 or self.tunnel.engaged:
                return  # what else there was will be told again, to the twin
        if mask & ~OUT:
            if self.mask & IN and self.mask > 0:
                self.move()
            elif mask & (ERR | HUP):
                self._hung_up()

    def _failed(self, exc: OSError, count: int) -> int:
        """Sort out a read (`count` < 0) or a write that raised: bytes sent, or -1 if there is no more to do."""
        if count >= 0:
            if self.peer.write_must_wait(exc):
                return 0
            self.read += count
            self.peer.refuse(exc)
            return -1
        if self.read_must_wait(exc):
            return -1
        if self._is_end(exc):
            self._end_of_input()
            return -1
        self.tunnel.reset(self, self._errno(exc))
        return -1

    def _end_of_input(self) -> None:
        self.ended = True
        self.tunnel.note_end(self)
        tunnel = self.tunnel
        if tunnel.guard is not None and tunnel.held_up(tunnel.reason_for(self), self):
            self.settle()
            return
        peer = self.peer
        if tunnel.websocket and self.parting and peer.parting and peer.unsent is None and self.unsent is None:
            peer.ended = True  # nothing that it may still say counts: see `Tunnel.said_goodbye`
        if peer.unsent is None and not peer.deaf and not peer.ended:
            # Where the peer has ended too, the close that follows says it.
            peer.finish()
            if self.fd < 0:
                return
        if not self.tunnel.check_over():
            self.settle()

    def hold(self, data: bytes) -> None:
        """Keep what this side's peer does not take now; the other side is not read until it is gone."""
        if self.unsent is not None:
            self.unsent += data
            return
        self.unsent = data
        self.stuck = self.hot.now
        self.settle()
        self.peer.settle()
        self.tunnel.stuck(self)

    def flush(self) -> None:
        """Send what was kept, as far as it goes."""
        data = self.unsent
        assert data is not None
        try:
            sent = self.writer()(data)
        except OSError as exc:
            if not self.write_must_wait(exc):
                self.refuse(exc)
            return
        self.stuck = self.last = self.hot.now
        if sent < len(data):
            self.unsent = data[sent:]
            return
        self.unsent = None
        self.tunnel.loose(self)
        peer = self.peer
        if peer.ended:
            self.finish()
            if self.fd < 0 or self.tunnel.check_over():
                return
        self.settle()
        peer.settle()
        self.tunnel.engage()

    def refuse(self, exc: OSError) -> None:
        """Take no more on this side. It may still have something to say, or an error to tell: it goes on being read."""
        self.deaf = True
        untaken, self.unsent = self.unsent, None
        self.tunnel.note_refusal(self, self._errno(exc), len(untaken or b""))
        if self.tunnel.check_over():
            return
        self.settle()
        self.peer.settle()

    def _hung_up(self) -> None:
        """HUP or ERR while this side is not being read: it takes no more, and would report so for ever."""
        self.deaf = True
        untaken, self.unsent = self.unsent, None
        # Asking for the error takes it away: it is asked for only where nothing will be read any more.
        over = self.is_over() and self.peer.is_over()
        error = self.sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR) if over else 0
        self.tunnel.note_refusal(self, error, len(untaken or b""))
        if self.tunnel.check_over() or not self.deaf:
            return  # it is over, or who guards it has given this side up and goes on with the other
        self.hot.forget(self.fd)
        self.mask = _UNWATCHED
        self.settle()
        self.peer.settle()

    def abandon(self) -> None:
        """Expect no more from this side; the caller sees to it that nothing is sent to it any more. The other side goes
        on being read."""
        self.hot.forget(self.fd)
        self.mask = 0
        self.ended = True
        self.deaf = False
        self.unsent = None
        self.peer.settle()

    def is_over(self) -> bool:
        """Return whether the direction from this side to the other has come to its end."""
        peer = self.peer
        return peer.deaf or (self.ended and peer.unsent is None)

    def settle(self) -> None:
        """Wait for just what can be used now."""
        peer = self.peer
        reading = not self.ended and peer.unsent is None and not peer.deaf
        if reading and self.throttle is not None and self.throttle.resting:
            reading = False
        mask = self._mask_for(reading, self.unsent is not None)
        if mask == self.mask:
            return
        if self.mask != _UNWATCHED:
            self.hot.change(self.fd, mask)
        elif mask or not self.deaf:
            self.hot.watch(self.fd, mask, self.handler)
        else:
            return
        self.mask = mask

    def _mask_for(self, reading: bool, writing: bool) -> int:
        return (READING if reading else 0) | (OUT if writing else 0)

    def park(self) -> None:
        """Wait for nothing, until `settle`."""
        self.hot.forget(self.fd)
        self.mask = _UNWATCHED

    def release(self) -> socket.socket:
        """Let go of the socket, and of everything that refers back to this side."""
        self.hot.forget(self.fd)
        self.fd = -1
        self._let_go()
        return self.sock

    def close(self) -> None:
        """Close the socket."""
        self.hot.drop(self.fd)
        self.fd = -1
        self.sock.close()
        self._let_go()

    def _let_go(self) -> None:
        self.throttle = None
        del self.receive, self.send_peer, self.peer, self.tunnel

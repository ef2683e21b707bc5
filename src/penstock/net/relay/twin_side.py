"""The part of a tunnel's end that knows of the compiled twin: what it gave back, and whether it can have it again."""

from __future__ import annotations

import os
import socket
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from penstock.net.loop import IN, RDHUP
from penstock.net.relay.compiled import END, FAILED, FRAMES, FULL, OVER, SHORT

if TYPE_CHECKING:
    from penstock.net.relay.side import Side
    from penstock.net.relay.throttle import Throttle
    from penstock.net.relay.tunnel import Tunnel

READING = IN | RDHUP


class TwinSide:
    """What a `Side` does for the twin's sake."""

    __slots__ = ("fd", "receive")

    tunnel: Tunnel
    peer: Side
    sock: socket.socket
    fd: int
    mask: int
    receive: Callable[..., int]
    unsent: bytes | None
    tapped: bool
    ended: bool
    deaf: bool
    little: int
    throttle: Throttle | None

    def on_event(self, mask: int) -> None:
        """Read what is there, or deal with whatever else happened."""
        raise NotImplementedError

    def _end_of_input(self) -> None:
        raise NotImplementedError

    def _let_go(self) -> None:
        raise NotImplementedError

    def passing(self) -> Callable[[Any], int]:
        """Make what writes to the other side, behind who looks at frames."""
        send, tunnel = self.peer.writer(), self.tunnel
        return send if tunnel.frames is None else tunnel.frames.tapping(send, of_client=self is tunnel.client)

    def carries_plainly(self) -> bool:
        """Return whether bytes from here go to the other side as they are, and nothing holds them up."""
        return (
            self.mask == READING
            and self.unsent is None
            and not (self.tapped or self.ended or self.deaf or self.throttle or self.little)
        )

    @property
    def handler(self) -> Callable[[int], None]:
        """Return what hears of its events: it may be that the twin could have the tunnel again after each."""
        tunnel = self.tunnel
        return self.on_event if tunnel.frames is None or not tunnel.steps else self.on_frames

    def on_frames(self, mask: int) -> None:
        """Do what `on_event` does, and give the tunnel back to the twin once there is nothing but data."""
        self.on_event(mask)
        if self.fd >= 0:
            self.tunnel.engage()

    def given_back(self, mask: int) -> None:
        """Deal with what is no bytes that the twin passed on whole."""
        side: Side = self  # type: ignore[assignment]
        trouble, errno, kept = self.tunnel.dismiss(side)
        if trouble == SHORT:
            self.peer.hold(kept)
        elif trouble == FULL:
            self.peer.refuse(OSError(errno, os.strerror(errno)))
        elif trouble in (END, OVER):
            self._end_of_input()
        elif trouble == FAILED:
            self.tunnel.reset(side, errno)
        elif trouble == FRAMES:
            self._take(kept)
        else:
            self.on_event(mask)

    def _take(self, data: bytes) -> None:
        """Read what the twin has read."""
        receive = self.receive

        def taken(buffer: bytearray) -> int:
            self.receive = receive
            buffer[: len(data)] = data
            return len(data)

        self.receive = taken
        self.on_frames(IN)

    def leave(self) -> int:
        """Let go of everything but the descriptor."""
        fd = self.sock.detach()
        self.fd = -1
        self._let_go()
        return fd

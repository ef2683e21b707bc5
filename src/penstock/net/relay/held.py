"""A tunnel without a backend for a while: another one takes its place, and the client notices nothing.

    put_held       the backend's side goes; in its place is one that takes nothing and says nothing
    put_back       the one that had gone comes back
    put_backend    another stream is the backend's side from now on

Who was the backend may still be read: it goes on as a side, with the client as its peer, until `drop_old`. The tunnel
has one counter and one idle time through all of that. Whoever does this is the tunnel's guard, and taps what the client
says, so that no byte of it comes here.
"""

from __future__ import annotations

from collections.abc import Callable
from math import inf
from typing import Any

from penstock.net.relay.relay import side_of
from penstock.net.relay.side import Side
from penstock.net.relay.tunnel import Tunnel
from penstock.net.stream import Stream


class HeldSide(Side):
    """Stands where the backend's side was. `old` is that, as long as it is open."""

    __slots__ = ("_last", "_read", "old")

    def __init__(self, old: Side) -> None:
        self.old: Side | None = old
        self._read, self._last = old.read, old.last
        self.sock = old.sock
        self.fd = old.fd  # what lists call it by; nobody is asked about it
        self.hot = old.hot
        self.send_timeout = inf
        self.receive = self.send_peer = len  # nobody reads here; who looks on may still put a tap in front
        self.parting = False
        self.mask = 0

    @property
    def read(self) -> int:  # type: ignore[override]
        return self._read if self.old is None else self.old.read

    @property
    def last(self) -> float:  # type: ignore[override]
        return self._last if self.old is None else self.old.last

    def drop_old(self) -> None:
        """Close what was the backend's side, if it is open. Not from within one of its events."""
        old, self.old = self.old, None
        if old is not None:
            self._read, self._last = old.read, old.last
            old.close()

    def stop_client(self) -> None:
        """Read nothing more from the client until another side takes this one's place."""
        if self.unsent is None:
            self.unsent = b""
            self.peer.settle()

    def equip(self) -> None:
        """Do nothing: nothing is read here."""

    def writer(self) -> Callable[[Any], int]:
        """Make what takes everything, and gives it to nobody."""
        return len

    def settle(self) -> None:
        """Let the old side wait for what it can use."""
        if self.old is not None:
            self.old.settle()

    def park(self) -> None:
        """Do what `Side.park` does."""
        if self.old is not None:
            self.old.park()

    def abandon(self) -> None:
        """Do what `Side.abandon` does."""
        self.ended = True
        self.unsent = None
        self.peer.settle()

    def finish(self) -> None:
        """Do what `Side.finish` does: there is nobody to tell."""
        self.finished = True

    def undelivered(self) -> int:
        """Return that nothing is on its way."""
        return 0

    def acknowledged(self) -> int:
        """Return that nothing has arrived."""
        return 0

    def read_little(self) -> None:
        """Do nothing: what is read is little already."""

    def close(self) -> None:
        """Close what there is."""
        self.drop_old()
        self.fd = -1
        self._let_go()


def put_held(tunnel: Tunnel) -> HeldSide:
    """Take the backend's side out; it is the `old` of what is returned, and is read as long as nobody drops it."""
    tunnel.dismiss()
    old, client = tunnel.backend, tunnel.client
    held = HeldSide(old)
    tunnel.join(client, held)
    client.settle()
    return held


def put_back(tunnel: Tunnel, held: HeldSide) -> None:
    """Let the old side, which is open, be the backend's again. What the client says has to be tapped anew."""
    old, held.old = held.old, None
    assert old is not None
    tunnel.join(tunnel.client, old)
    held.close()
    tunnel.client.settle()


def put_backend(tunnel: Tunnel, held: HeldSide, stream: Stream, send_timeout: float | None) -> tuple[int, bytes]:
    """Let a stream be the backend's side. Return what `Side.start` needs, and bytes that have come on it already.

    Both sides have to be tapped anew, the new one started, and the client settled: in this order, as no byte may come
    before. What has been seen of the tunnel's end so far was the old backend's.
    """
    held.drop_old()
    sock, mask, answered = stream.release()
    side = side_of(stream, sock, send_timeout)
    side.read, side.last = held.read + len(answered), tunnel.loop.hot.now
    tunnel.join(tunnel.client, side)
    held.close()
    tunnel.ending = None, None, 0
    side.equip()
    return mask, answered

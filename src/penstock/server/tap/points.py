"""Where somebody looks on: the places in tunnels and event streams at which bytes are shown to whoever taps them.

A tunnel that nobody taps has no such place, and one that is tapped loses it when the last one who looks has gone: the
compiled relay, or the conversation's own tap, then has it as before.

    socket -> what looks on -> the conversation's tap, if there is one -> the other side's socket
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Any, TypeAlias

from penstock.http.events.scanner import LineScanner
from penstock.http.events.splitter import EventSplitter, SeenEvent
from penstock.net.relay.tunnel import Send, Tunnel
from penstock.server.redial.passing import KeptConversation
from penstock.websocket.direction import BLIND, Direction
from penstock.websocket.frames import FrameSender
from penstock.websocket.watcher import FrameWatcher, SeenFrame, Synchroniser

if TYPE_CHECKING:
    from penstock.http.events.live import LiveEventStream
    from penstock.net.relay.side import Side
    from penstock.server.websocket.session import Conversation

Seen: TypeAlias = "SeenFrame | SeenEvent | int"
"""What is shown: a frame, an event, or a number of bytes in which none can be told."""
Show: TypeAlias = "Callable[[bool, Seen], None]"
"""Shows something; whether it came from the client."""


class Onlooker:
    """What one who looks on sees of a tunnel. `sides`: whether what the client says, and what the backend says. `keep`
    and `keep_packed` as `FrameWatcher` has them."""

    __slots__ = ("_keep", "_keep_packed", "_ways", "show", "sides")

    def __init__(self, sides: tuple[bool, bool], keep: int, keep_packed: int, show: Show) -> None:
        self.sides = sides
        self.show = show
        self._keep = keep
        self._keep_packed = keep_packed
        self._ways: list[Callable[[memoryview], list[Any]]] = []

    def begin(self, talk: Conversation | None) -> None:
        """Begin at this moment, in the conversation where there is one: it knows where a frame begins."""
        self._ways = [self._watching(side, talk) for side in (FrameSender.SERVER, FrameSender.CLIENT)]

    def saw(self, from_client: bool, view: memoryview) -> None:
        """Show what is in these bytes."""
        if self.sides[not from_client]:
            for seen in self._ways[from_client](view):
                self.show(from_client, seen)

    def _watching(self, side: FrameSender, talk: Conversation | None) -> Callable[[memoryview], list[Any]]:
        way: Direction | None = None if talk is None else talk.up if side else talk.down
        if way is None or way.mode == BLIND:
            return partial(_guessed, Synchroniser(side, self._keep, self._keep_packed))
        told = way.state()
        held = str(told["_held"] or "").encode("latin-1")
        skip = int(told["left"] or 0)
        return partial(_known, FrameWatcher(side, self._keep, self._keep_packed, skip=skip, held=held))


class TunnelPoint:
    """The place in a tunnel at which bytes are shown to whoever looks on."""

    __slots__ = ("_installed", "_looks", "tunnel")

    def __init__(self, tunnel: Tunnel) -> None:
        self.tunnel = tunnel
        self._looks: list[Onlooker] = []
        self._installed: list[tuple[Side, Send | None, Send]] = []

    def add(self, look: Onlooker) -> None:
        """Let another one look on."""
        owner: Any = self.tunnel.owner
        talk = owner.conversation
        self.tunnel.dismiss()  # the twin gives it back, and what it has stepped over is known
        look.begin(talk)
        self._looks.append(look)
        self.install()
        if isinstance(talk, KeptConversation):
            talk.retapped = self.install

    def drop(self, look: Onlooker) -> bool:
        """Let one look on no more; whether somebody still does."""
        if look in self._looks:
            self._looks.remove(look)
        if not self._looks:
            self._remove()
        return bool(self._looks)

    def install(self) -> None:
        """Put it in, where it is not: at first, and where another tap has taken its place meanwhile."""
        tunnel = self.tunnel
        if tunnel.reason is not None or tunnel.paused or self._is_there():
            return
        again = bool(self._installed)
        self._installed = []
        for side in (tunnel.client, tunnel.backend):
            inner = side.send_peer if side.tapped else None
            tunnel.tap(side, partial(self._made, side is tunnel.client, inner))
            self._installed.append((side, inner, side.send_peer))
        if again:
            owner: Any = tunnel.owner
            for look in self._looks:
                look.begin(owner.conversation)

    def _is_there(self) -> bool:
        return bool(self._installed) and all(
            side.fd >= 0 and side.send_peer is ours for side, _, ours in self._installed
        )

    def _made(self, from_client: bool, inner: Send | None, send: Send) -> Send:
        passing = send if inner is None else inner
        looks = self._looks

        def looked_at(view: memoryview) -> int:
            for look in looks:
                look.saw(from_client, view)
            return passing(view)

        return looked_at

    def _remove(self) -> None:
        installed, self._installed = self._installed, []
        if self.tunnel.reason is not None:
            return
        owner: Any = self.tunnel.owner
        if isinstance(owner.conversation, KeptConversation):
            owner.conversation.retapped = None
        for side, inner, ours in installed:
            if side.fd >= 0 and side.send_peer is ours:
                self.tunnel.tap(side, None if inner is None else _back_to(inner))


def _back_to(inner: Send) -> Callable[[Send], Send]:
    return lambda send: inner


def _known(watcher: FrameWatcher, view: memoryview) -> list[Any]:
    return [len(view)] if watcher.lost else watcher.feed(view)


def _guessed(watcher: Synchroniser, view: memoryview) -> list[Any]:
    found: list[Any] = list(watcher.feed(view))
    unseen = watcher.take_unseen()
    return [unseen, *found] if unseen else found


class StreamPoint:
    """A place in an event stream, for one who looks on: a `StreamTap`. Others who look at the same stream stand behind
    it."""

    __slots__ = ("_next", "_splitter", "show", "stream")

    def __init__(self, stream: LiveEventStream, keep: int, show: Show) -> None:
        self.stream = stream
        self.show = show
        scanner = stream.scanner
        self._splitter = (
            None
            if scanner is None
            else EventSplitter(keep, lines=isinstance(scanner, LineScanner), whole=scanner.at_boundary)
        )
        self._next = stream.tap
        stream.tap = self

    def passed(self, data: bytes) -> None:
        """Show what goes to the client."""
        if self._splitter is None:
            self.show(False, len(data))
        else:
            for seen in self._splitter.feed(data):
                self.show(False, seen)
        if self._next is not None:
            self._next.passed(data)

    def remove(self) -> None:
        """Stop looking on."""
        stream = self.stream
        if stream.tap is self:
            stream.tap = self._next
            return
        each = stream.tap
        while isinstance(each, StreamPoint):
            if each._next is self:
                each._next = self._next
                return
            each = each._next

"""The bytes of a conversation: what looks at them in Python, and what the compiled relay has stepped over."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from penstock.net.relay.compiled import FrameFigures, FrameTerms
from penstock.net.relay.tunnel import Send, Tunnel
from penstock.server.websocket.fairness import share
from penstock.server.websocket.figures import SessionFigures
from penstock.server.websocket.tap import tapping
from penstock.websocket.direction import Direction


class FrameWatching(SessionFigures):
    """Looks at frames, as `FrameWatch` says."""

    __slots__ = ("tunnel",)

    tunnel: Tunnel | None

    def _hear(self, way: Direction) -> None:
        raise NotImplementedError

    def _tap(self, tunnel: Tunnel) -> None:
        tunnel.look_at_frames(self)

    @property
    def steps(self) -> bool:
        """Do what `FrameWatch.steps` says."""
        return not (self.up.slow or self.down.slow)

    def tapping(self, send: Callable[[Any], int], *, of_client: bool) -> Callable[[Any], int]:
        """Do what `FrameWatch.tapping` says."""
        return tapping(self.up if of_client else self.down, self._pass)(send)

    def standing(self) -> tuple[FrameTerms, FrameTerms] | None:
        """Do what `FrameWatch.standing` says."""
        # One after the other: a goodbye is from either side, and there is no way back from it.
        up = self.up.standing()
        down = None if up is None else self.down.standing()
        return None if up is None or down is None else (up, down)

    def stepped(self, figures: FrameFigures, *, of_client: bool) -> None:
        """Do what `FrameWatch.stepped` says."""
        (self.up if of_client else self.down).stepped(figures)

    def _counted(self, way: Direction) -> Direction:
        if self.tunnel is not None:
            self.tunnel.catch_up(of_client=way is self.up)
        return way

    def _pass(self, way: Direction, view: memoryview, send: Send) -> int:
        tunnel = self.tunnel
        assert tunnel is not None
        before = way.costly
        out = way.feed(view, tunnel.loop.timers.now)
        share(tunnel.client if way is self.up else tunnel.backend, way.costly - before)
        if not way.news and out is view:
            return send(view)
        if len(out):
            tunnel.inject(tunnel.backend if way is self.up else tunnel.client, out)  # type: ignore[arg-type]
        if way.news:
            self._hear(way)
        return len(view)

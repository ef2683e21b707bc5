"""Where a direction of a conversation stands, told so that somebody else can go on from there: another process, or the
relay's compiled twin, which steps over data by itself."""

from __future__ import annotations

from typing import Any

from penstock.websocket.counts import FrameCounts
from penstock.websocket.frames import FrameSender

FOREVER = 1 << 63
"""Longer than any frame may be."""

_STATE = (
    "mode",
    "singles",
    "_others",
    "_whole_messages",
    "payload",
    "pings",
    "pongs",
    "close_code",
    "awaited",
    "left",
    "_held",
    "_fragmented",
    "_message",
    "_allowance",
)


class Standing(FrameCounts):
    """The part of a `Direction` that tells of it."""

    __slots__ = ("_fragmented", "_held", "_message", "busy", "left")

    side: FrameSender
    rsv: int
    mode: int
    longest: int
    left: int
    busy: bool
    _held: bytes
    _fragmented: bool
    _message: int
    slow: bool

    def update_busy(self) -> None:
        """Work out `busy` anew."""
        raise NotImplementedError

    # -- to another process

    def state(self) -> dict[str, int | float | str | None]:
        """Return what has come of it, as plain values (bytes as latin-1 text), for `restore`."""
        told = {name: getattr(self, name) for name in _STATE}
        return {name: value.decode("latin-1") if isinstance(value, bytes) else value for name, value in told.items()}

    def restore(self, state: dict[str, Any]) -> None:
        """Go on where another stopped, which was made with the same side, bits and limits."""
        for name in _STATE:
            value = state[name]
            setattr(self, name, value.encode("latin-1") if isinstance(value, str) else value)
        self.update_busy()

    # -- to the twin

    def standing(self) -> tuple[int, int, int, int, int, int, int, int, int] | None:
        """Return what `Twin.step` needs; None where the next byte is not for it."""
        longest = self.longest
        if self.slow or self.mode or self._held or self._message > longest:
            return None
        if longest == FOREVER:
            longest -= 1
        singles = self.singles
        frames, messages = singles + self._others, singles + self._whole_messages
        stands = self.left, self._message, self._fragmented
        return self.side, self.rsv, longest, frames, messages, self.payload, *stands

    def stepped(self, figures: tuple[int, int, int, int, int, int]) -> None:
        """Take over what the twin has counted, and where it stands (`FrameFigures`)."""
        frames, messages, self.payload, self.left, self._message, inside = figures
        # Messages of one frame are not told from others: what is told of are sums.
        self.singles = singles = messages - self._whole_messages
        self._others = frames - singles
        self._fragmented = bool(inside)
        self.busy = bool(self.left or inside)

"""Who looks at the frames of a tunnel, and lets the compiled relay step over those that are nothing but data."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from penstock.net.relay.compiled import FrameFigures, FrameTerms


class FrameWatch(Protocol):
    """Looks at what both sides say. While the twin has the tunnel, it hears of that when it asks (`Tunnel.catch_up`),
    and as soon as there is anything but data."""

    @property
    def steps(self) -> bool:
        """Return whether the twin may step over the frames at all."""

    def tapping(self, send: Callable[[Any], int], *, of_client: bool) -> Callable[[Any], int]:
        """Make what looks at the frames of one side, as `Tunnel.tap` wants it."""

    def standing(self) -> tuple[FrameTerms, FrameTerms] | None:
        """Return what the twin needs to go on with the client's frames, and with the backend's; None while it can not.
        """

    def stepped(self, figures: FrameFigures, *, of_client: bool) -> None:
        """Take over what the twin has counted of one side, and where it stands."""

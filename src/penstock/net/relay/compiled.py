"""The compiled twin of the relay, where the package was built with one.

`_twin.c` polls in the selector's place and carries the bytes of tunnels without Python, and steps over their frames
where somebody looks at those; everything unusual comes back. Both relays behave alike, and all tests hold for both.
PENSTOCK_RELAY=python leaves the twin out, PENSTOCK_RELAY=c insists on it.
"""

from __future__ import annotations

import os
from typing import Protocol

from penstock.shared.compiled import VARIABLE

NOTHING, SHORT, FULL, END, FAILED, OVER, FRAMES = range(7)
"""Why the twin gave a tunnel back, as `dismiss` tells: an event it does not know, a short write, a peer that takes no
more, the end of what the peer says, an error from reading, the end after a close frame from each side, frames that are
not plainly data."""

Figures = tuple[int, float, int, int, int, int, int, int]
"""Bytes read, when last; and where frames are stepped over `FrameFigures`, else zeros."""

FrameFigures = tuple[int, int, int, int, int, int]
"""Frames, messages that have ended, payload bytes of data; the bytes to come of the frame under way; the payload of the
fragments so far of a message that has not ended, and whether there is one."""

FrameTerms = tuple[int, int, int, int, int, int, int, int, int]
"""The bit for a mask, where the frames have one; the reserved bits that may be set; what a message may hold; and
`FrameFigures` to go on from."""


class Twin(Protocol):
    """What `_twin.Twin` does; descriptors are those of sockets that the epoll it was made with watches."""

    def poll(self, timeout: float, most: int, /) -> list[tuple[int, int]]:
        """Poll as epoll does: what is not engaged, or has just stopped to be. Below 0, `timeout` is for ever. A signal
        ends it with nothing. Of whom the twin keeps bytes, that is the first, so that nobody else dismisses it."""

    def engage(
        self,
        one: int,
        read: int,
        last: float,
        other: int,
        read_other: int,
        last_other: float,
        frames: int = 0,
        /,
    ) -> None:
        """Carry bytes between two sockets from now on, and go on counting from what is given. `frames`: they are those
        of WebSocket, whose last one is remembered."""

    def step(self, fd: int, /, *terms: int) -> None:
        """Step from now on over the frames that come from an engaged socket, by `FrameTerms`. A read in which there is
        anything but data, or half a header, is given back as FRAMES: none of it is passed on, or counted."""

    def figures(self, fd: int, /) -> Figures:
        """Tell what has been counted of a socket that is engaged, or was given back."""

    def dismiss(self, fd: int, /) -> tuple[int, float, int, int, bytes]:
        """Give a socket back: bytes read, when last, the trouble, its errno, and what the peer did not take, or of
        FRAMES was not given. It forgets that in the next poll: who was told of trouble dismisses before."""

    def over(self, fd: int, /) -> tuple[int, int] | None:
        """Close both sockets of a pair that was given back as OVER, and count the bytes read from either; None, and
        nothing done, where it was given back for another reason."""


class NoTwin(Exception):
    """PENSTOCK_RELAY asks for what is not there; the text says what to do."""


def make(epoll: int) -> Twin | None:
    """Make the twin for an epoll descriptor; None where Python relays. Raises `NoTwin`."""
    wanted = os.environ.get(VARIABLE, "")
    if wanted == "python":
        return None
    if wanted not in ("", "c"):
        raise NoTwin(f'{VARIABLE} is "{wanted}"; it may be "c" or "python"')
    try:
        from penstock.net.relay import _twin

        if not hasattr(_twin.Twin, "step"):
            raise ImportError("it was built for an older version")
    except ImportError:
        if not wanted:
            return None
        raise NoTwin(
            f"{VARIABLE}=c, but this installation has no compiled relay: install a C compiler and Python's headers "
            "(Debian: gcc python3-dev), then install penstock again"
        ) from None
    twin: Twin = _twin.Twin(epoll)
    return twin


def describe() -> str:
    """Name the relay that would run, for people."""
    try:
        twin = make(-1)
    except NoTwin as error:
        return f"none: {error}"
    return "python" if twin is None else "c"

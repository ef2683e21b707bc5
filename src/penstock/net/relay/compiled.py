"""The compiled twin of the relay, where the package was built with one.

`_twin.c` polls in the selector's place and carries the bytes of plain tunnels without Python; everything unusual
comes back. Both relays behave alike, and all tests hold for both. PENSTOCK_RELAY=python leaves the twin out,
PENSTOCK_RELAY=c insists on it.
"""

from __future__ import annotations

import os
from typing import Protocol

from penstock.shared.compiled import VARIABLE

NOTHING, SHORT, FULL, END, FAILED, OVER = range(6)
"""Why the twin gave a tunnel back, as `dismiss` tells: an event it does not know, a short write, a peer that takes no
more, the end of what the peer says, an error from reading, the end after a close frame from each side."""


class Twin(Protocol):
    """What `_twin.Twin` does; descriptors are those of sockets that the epoll it was made with watches."""

    def poll(self, timeout: float, most: int, /) -> list[tuple[int, int]]:
        """Poll as epoll does: what is not engaged, or has just stopped to be. Below 0, `timeout` is for ever."""

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

    def figures(self, fd: int, /) -> tuple[int, float]:
        """Count the bytes read from an engaged socket, and say when the last came."""

    def dismiss(self, fd: int, /) -> tuple[int, float, int, int, bytes]:
        """Give a socket back: bytes read, when last, the trouble, its errno, and what the peer did not take."""

    def over(self, fd: int, other: int, /) -> tuple[int, int] | None:
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

        if not hasattr(_twin, "OVER"):
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

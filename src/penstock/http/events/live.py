"""What is known of an event stream while it lives: its figures, and how it is told to end."""

from __future__ import annotations

import enum
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Callable

    from penstock.http.events.scanner import StreamScanner
    from penstock.http.request import Attempt, Request


class StreamEnd(enum.Enum):
    """Why an event stream ended, as metrics name it."""

    CLOSED = "closed"
    """The backend has ended it."""
    CLIENT_CLOSED = "client_closed"
    BACKEND_LOST = "backend_lost"
    DRAIN = "drain"
    SHUTDOWN = "shutdown"
    KILLED = "killed"
    OTHER = "other"


class StreamTap(Protocol):
    """Whoever looks at what passes."""

    def passed(self, data: bytes) -> None:
        """Take note of bytes that go to the client, as they are."""
        ...


class LiveEventStream(Protocol):
    """An event stream that is open. `opened` and `last` are on the loop's clock: when it began, and when something was
    last passed on. `reason` is None while it lives. `events` is None where they can not be seen (a coding)."""

    number: int
    opened: float
    last: float
    reason: StreamEnd | None
    bytes_out: int
    pings: int
    redials: int
    paused: bool
    tap: StreamTap | None
    scanner: StreamScanner | None

    @property
    def request(self) -> Request:
        """Return the request whose answer it is."""
        ...

    @property
    def events(self) -> int | None:
        """Count the events that were passed on; None where they can not be seen."""
        ...

    @property
    def ending(self) -> bool:
        """Return whether it has been told to end."""
        ...

    @property
    def address(self) -> tuple[str | int, ...]:
        """Return where its backend is: host and port, or a path; nothing while there is none."""
        ...

    @property
    def attempt(self) -> Attempt:
        """Return what is known of who serves it: its backend, or the one that it has lost."""
        ...

    @property
    def may_move(self) -> bool:
        """Return whether another backend may go on with it."""
        ...

    @property
    def moving(self) -> bool:
        """Return whether it is being given another backend."""
        ...

    @property
    def place(self) -> tuple[str, tuple[str | int, ...], bool]:
        """Return the group and the address of its backend (host and port, or a path; nothing while there is none), and
        whether the configuration names that."""
        ...

    def change_backend(
        self, avoided: frozenset[tuple[str | int, ...]], instead: Callable[[], None] | None = None
    ) -> bool:
        """Begin to let another backend go on, which is at none of these addresses; `instead` is done if there is none.
        Return whether it has begun."""
        ...

    def dismiss(self, why: StreamEnd) -> None:
        """Let it end after the event that is under way."""
        ...

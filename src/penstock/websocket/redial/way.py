"""The directions of a WebSocket that may be redialled: frames as `Direction` reads them, and what a loss means for
them. No extension is agreed on there, and nobody who breaks the protocol is let through: what can not be read as frames
could not be cut between two messages either."""

from __future__ import annotations

from penstock.websocket.direction import CLOSED, PASS, Direction
from penstock.websocket.frames import CLOSE, PING, PONG, FrameSender, content
from penstock.websocket.terms import NO_LIMITS, DirectionLimits

LEFT = 16
"""News, beside those of `Direction`: the backend says goodbye, and the client is not to hear of it."""

ANY: frozenset[int] = frozenset(range(1000, 5000))
"""Every code: whatever a backend says that we have said goodbye to, the client is not to hear of it."""


class RedialWay(Direction):
    """Either direction."""

    __slots__ = ()

    @property
    def between(self) -> bool:
        """Return whether what was passed on so far ended with a message."""
        return not (self.left or self._fragmented)


class ClientWay(RedialWay):
    """What comes from the client. `owed` is the payload of its last ping, as long as no pong has come for it."""

    __slots__ = ("owed",)

    def __init__(self, limits: DirectionLimits = NO_LIMITS) -> None:
        super().__init__(FrameSender.CLIENT, 0, limits)
        self.owed: bytes | None = None

    def _control(
        self, data: bytes | bytearray | memoryview, at: int, header: int, length: int, have: int, now: float
    ) -> tuple[int, bool | bytes]:
        found = super()._control(data, at, header, length, have, now)
        if found[0] and data[at] & 0x0F == PING:
            self.owed = content(data, at, header, length)
        return found


class BackendWay(RedialWay):
    """What comes from the backend. `leaves` are the close codes that mean: another backend shall go on; `other` is what
    comes from the client, `left_with` is the code of such a goodbye.

    Such a close frame is not passed on. It is the news LEFT, and what comes behind it is dropped.
    """

    __slots__ = ("leaves", "left_with", "other")

    def __init__(self, other: ClientWay, leaves: frozenset[int], limits: DirectionLimits = NO_LIMITS) -> None:
        super().__init__(FrameSender.SERVER, 0, limits)
        self.other = other
        self.leaves = leaves
        self.left_with = 0

    def begin_anew(self) -> None:
        """Read another backend's frames from now on. What was counted goes on."""
        self.mode = PASS
        self.news = 0
        self.left = 0
        self.close_code = self.awaited = None
        self._held = b""
        self._fragmented = False
        self._message = 0
        self.update_busy()

    def _control(
        self, data: bytes | bytearray | memoryview, at: int, header: int, length: int, have: int, now: float
    ) -> tuple[int, bool | bytes]:
        mode = self.mode
        found = super()._control(data, at, header, length, have, now)
        opcode = data[at] & 0x0F
        if opcode == PONG and found[1] and content(data, at, header, length) == self.other.owed:
            self.other.owed = None
        elif opcode == CLOSE and self.news & CLOSED and mode == PASS and self._is_meant():
            self.left_with, self.close_code = self.close_code or 0, None
            self.news = self.news & ~CLOSED | LEFT
            return found[0], False
        return found

    def _is_meant(self) -> bool:
        return self.close_code in self.leaves and not self._fragmented and self.other.close_code is None

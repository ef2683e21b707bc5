"""The figures of a conversation, as logs and lists want them: readable while it lives, and when it is over."""

from __future__ import annotations

from penstock.server.heartbeat import Heartbeat
from penstock.websocket.direction import Direction


class Tally:
    """"in" is from the client (`up`), "out" to it (`down`)."""

    __slots__ = ("down", "heart", "up")

    up: Direction
    down: Direction
    heart: Heartbeat

    @property
    def frames_in(self) -> int:
        return self.up.frames

    @property
    def frames_out(self) -> int:
        return self.down.frames

    @property
    def messages_in(self) -> int:
        return self.up.messages

    @property
    def messages_out(self) -> int:
        return self.down.messages

    @property
    def bytes_in(self) -> int:
        """Payload bytes of data frames, as they are on the wire."""
        return self.up.payload

    @property
    def bytes_out(self) -> int:
        return self.down.payload

    @property
    def pings(self) -> int:
        """Those that we sent, to both sides."""
        return self.heart.sent

    @property
    def rtt(self) -> float | None:
        """What the client took to answer our last ping, in seconds; else what the backend took."""
        return self.heart.rtt

"""The figures of a conversation, as logs and lists want them: readable while it lives, and when it is over."""

from __future__ import annotations

from penstock.server.websocket.heartbeat import Heartbeat
from penstock.websocket.direction import Direction


class SessionFigures:
    """"in" is from the client (`up`), "out" to it (`down`)."""

    __slots__ = ("down", "heart", "up")

    up: Direction
    down: Direction
    heart: Heartbeat
    redials: int = 0
    """The backends after the first one."""

    def _counted(self, way: Direction) -> Direction:
        """Return a direction with what is not known here yet."""
        return way

    @property
    def held(self) -> bool:
        """Return whether there is no backend for the moment."""
        return False

    @property
    def frames_in(self) -> int:
        """Count the frames from the client."""
        return self._counted(self.up).frames

    @property
    def frames_out(self) -> int:
        """Count the frames to the client."""
        return self._counted(self.down).frames

    @property
    def messages_in(self) -> int:
        """Count the messages from the client."""
        return self._counted(self.up).messages

    @property
    def messages_out(self) -> int:
        """Count the messages to the client."""
        return self._counted(self.down).messages

    @property
    def bytes_in(self) -> int:
        """Count the payload bytes of data frames, as they are on the wire."""
        return self._counted(self.up).payload

    @property
    def bytes_out(self) -> int:
        """Count the payload bytes of data frames to the client, as they are on the wire."""
        return self._counted(self.down).payload

    @property
    def pings(self) -> int:
        """Count the pings that we sent, to both sides."""
        return self.heart.sent

    @property
    def rtt(self) -> float | None:
        """Return what the client took to answer our last ping, in seconds; else what the backend took."""
        return self.heart.rtt

"""What has come from one side of a WebSocket, counted."""

from __future__ import annotations


class FrameCounts:
    """`payload` are the bytes of data frames, as they are on the wire. `pongs` are those that were passed on, without
    the answers to our own pings. `singles` are messages of one frame, as nearly all are: only those are counted while
    they pass.
    """

    __slots__ = ("_others", "_whole_messages", "payload", "pings", "pongs", "singles")

    singles: int
    _others: int
    _whole_messages: int
    payload: int
    pings: int
    pongs: int

    @property
    def frames(self) -> int:
        """Return the number of all frames, those of control too."""
        return self.singles + self._others

    @property
    def costly(self) -> int:
        """Return the number of frames that were looked at by themselves: those of control, and parts of messages."""
        return self._others

    @property
    def messages(self) -> int:
        """Return the number of messages that have come to their end."""
        return self.singles + self._whole_messages

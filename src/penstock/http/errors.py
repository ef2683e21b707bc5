"""What the HTTP parsers raise: a message that cannot be used, and whose it was."""

from __future__ import annotations


class BadMessage(Exception):
    """Raised for a message, or a part of one, that must not be used.

    `status` answers the client; nginx's own numbers (494) are kept, `status.shown` turns them into what goes
    out. `reason` is the line for the error log, worded as nginx words it. Nothing after the bad bytes can be
    trusted: the connection is closed.
    """

    expected = True
    """As with `net.errors.NetError`."""

    def __init__(self, status: int, reason: str) -> None:
        super().__init__(status, reason)
        self.status = status
        self.reason = reason

    def __str__(self) -> str:
        return self.reason


class BadRequest(BadMessage):
    """The client is at fault. `line` is the request line as far as it is known, where the parser had to make it, and
    `method` what it begins with."""

    line = ""
    method = ""


class BadResponse(BadMessage):
    """Raised when the backend is at fault; the client gets `status`, normally 502."""


_LONGEST = 300


def excerpt(text: str) -> str:
    """Return a sender's text as it may stand in a log line: short, and on one line."""
    if len(text) > _LONGEST:
        text = text[:_LONGEST] + "..."
    if text.isprintable():
        return text
    return "".join(char if " " <= char != "\x7f" else f"\\x{ord(char):02x}" for char in text)

"""What can go wrong with a connection. Every error this floor raises on bad luck is a `NetError`."""

from __future__ import annotations

from errno import ETIMEDOUT

from penstock.config.os_errors import os_failure, os_reason


class NetError(Exception):
    """A connection failed, or was closed under the fiber that used it."""

    expected = True
    """It belongs to the life of a server: nobody asks in which line it was raised (see `net.fiber`)."""


class TimedOut(NetError):
    """A deadline passed. `errno` is what nginx would log: "(110: Connection timed out)"."""

    errno = ETIMEDOUT

    def __str__(self) -> str:
        return super().__str__() or f"({os_reason(ETIMEDOUT)})"


class PeerGone(NetError):
    """The peer reset the connection, or closed it while something was being sent to it."""

    def __init__(self, errno: int, call: str = "recv") -> None:
        super().__init__(errno, call)
        self.errno = errno
        self.call = call

    def __str__(self) -> str:
        return os_failure(f"{self.call}()", self.errno)


class DialFailed(NetError):
    """A connection could not be made; the text is nginx's, `connect() failed (111: Connection refused)`."""

    def __init__(self, errno: int, call: str = "connect") -> None:
        super().__init__(errno, call)
        self.errno = errno
        self.call = call

    def __str__(self) -> str:
        call = self.call if self.call.endswith(")") else f"{self.call}()"
        return os_failure(call, self.errno)


class TlsFailed(NetError):
    """A TLS handshake or record was refused. `reason` is OpenSSL's word for it, e.g.
    `WRONG_VERSION_NUMBER`."""

    def __init__(self, text: str, reason: str = "") -> None:
        super().__init__(text)
        self.reason = reason

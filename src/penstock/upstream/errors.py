"""What goes wrong between us and a backend: whose fault it is, and whether another peer may be tried."""

from __future__ import annotations

from enum import Enum
from typing import Literal

from penstock.net.errors import PeerGone

Retry = Literal[
    "",
    "error",
    "timeout",
    "denied",
    "invalid_header",
    "http_500",
    "http_502",
    "http_503",
    "http_504",
    "http_403",
    "http_404",
    "http_429",
]
"""The word of `proxy_next_upstream` under which another peer may be tried; "" for never."""


class FaultSide(Enum):
    """The side whose fault a failure is."""

    CLIENT = "client"
    UPSTREAM = "upstream"
    INTERNAL = "internal"


class ProxyError(Exception):
    """Raised for an exchange that failed.

    `status` is what the client gets if nothing else can be done, `retry` says under which condition another peer may
    be tried, `text` is the line for the error log in nginx's words ("" if it has been written already), `cause` the
    error below.
    """

    expected = True
    """As with `NetError`."""

    def __init__(
        self,
        side: FaultSide,
        status: int,
        retry: Retry,
        text: str,
        cause: BaseException | None = None,
        level: str = "error",
    ) -> None:
        super().__init__(text)
        self.side = side
        self.status = status
        self.retry: Retry = retry
        self.text = text
        self.cause = cause
        self.level = level


class ClientGone(PeerGone):
    """Raised when the client hung up while its answer was being made."""


class AnswerCut(PeerGone):
    """The backend's answer broke off after part of it had gone to the client: all that is left is to hang up."""


def failed(text: str, *, retry: Retry = "error", status: int = 502, cause: BaseException | None = None) -> ProxyError:
    """Make the error for a failure that is the backend's."""
    return ProxyError(FaultSide.UPSTREAM, status, retry, text, cause)


def timed_out(doing: str, cause: BaseException | None = None) -> ProxyError:
    """Make nginx's "upstream timed out", with what was being done."""
    return failed(
        f"upstream timed out (110: Connection timed out) while {doing}", retry="timeout", status=504, cause=cause
    )

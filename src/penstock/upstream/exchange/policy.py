"""What a location says about exchanges with its backends, in the form the exchange wants it."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, TypeAlias

from penstock.http.response import ResponseHead
from penstock.upstream.errors import Retry
from penstock.upstream.exchange.temp_file import TempFolder
from penstock.upstream.exchange.wire import HTTP1, BackendProtocol

if TYPE_CHECKING:
    from penstock.http.request import Request

Log: TypeAlias = "Callable[[Request, str, str], None]"
"""Writes a line to the error log: request, level ("error", "warn", ...), text."""

Hint: TypeAlias = "Callable[[Request, ResponseHead], Coroutine[object, None, None]]"
"""Passes a 103 on: request, its head. Raises what the client's side raises."""

CONDITIONS = (
    "error",
    "timeout",
    "denied",
    "invalid_header",
    "non_idempotent",
    "http_500",
    "http_502",
    "http_503",
    "http_504",
    "http_403",
    "http_404",
    "http_429",
)
"""Words of `proxy_next_upstream`, besides `off`, and `updating` which is the cache's."""

RETRIED: dict[int, Retry] = {
    500: "http_500",
    502: "http_502",
    503: "http_503",
    504: "http_504",
    403: "http_403",
    404: "http_404",
    429: "http_429",
}
"""Statuses of an answer that may send a request to another peer, and the condition under which each does."""

NOT_IDEMPOTENT = frozenset({"POST", "LOCK", "PATCH"})
"""Methods of requests that are sent again only where `non_idempotent` allows it."""

UNWANTED = frozenset({"http_403", "http_404"})
"""Reasons to try another peer that say nothing against this one."""


def _silent(request: Request, level: str, text: str) -> None:
    """Do nothing: nobody listens."""


@dataclass(frozen=True, slots=True)
class Policy:
    """The policy of a location for its exchanges. Times are seconds, sizes bytes. `next` holds the conditions under
    which another peer is tried.

    `memory` is how much of an answer may wait in memory for a slow client, `spill` how much in a temporary file, which
    is made in `folder` (None only where `spill` is 0). `module` begins the names of the directives that say all this,
    `wire` is the protocol of the backends, `log` takes what is to be said, `hint` passes a 103 on. `owner` tells
    connections of this location from those of others; it is equal in a later plan where nothing has changed that
    connections are made by. `basis` stands for the contents of the files that backends are judged by, b"" without any.
    """

    connect_timeout: float = 60.0
    send_timeout: float = 60.0
    read_timeout: float = 60.0
    head_size: int = 4096
    memory: int = 32768
    spill: int = 1 << 30
    folder: TempFolder | None = None
    next: frozenset[str] = frozenset({"error", "timeout"})
    next_tries: int = 0
    next_timeout: float = 0.0
    ignore_client_abort: bool = False
    socket_keepalive: bool = False
    rcvbuf: int | None = None
    sndbuf: int | None = None
    module: str = "proxy"
    wire: BackendProtocol = HTTP1
    log: Log = _silent
    hint: Hint | None = None
    owner: object = field(default_factory=object)
    basis: bytes = b""

    def allows(self, retry: Retry, method: str, *, sent: bool) -> bool:
        """Return whether another peer may be tried for that reason, where a request has been `sent` to one or not."""
        if not retry or retry not in self.next:
            return False
        return not sent or method not in NOT_IDEMPOTENT or "non_idempotent" in self.next

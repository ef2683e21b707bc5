"""What a location says about exchanges with its backends, in the form the exchange wants it."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from dataclasses import dataclass, field
from typing import Any, TypeAlias

from penstock.http.response import ResponseHead
from penstock.upstream.temp_file import TempFolder
from penstock.upstream.wire import HTTP1, Wire

Log: TypeAlias = Callable[[Any, str, str], None]
"""Writes a line to the error log: request, level ("error", "warn", ...), text."""

Hint: TypeAlias = Callable[[Any, ResponseHead], Coroutine[Any, Any, None]]
"""Passes a 103 on: request, its head. Raises what the client's side raises."""

CONDITIONS = (
    "error",
    "timeout",
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


def _silent(request: Any, level: str, text: str) -> None:
    """Where nobody listens."""


@dataclass(frozen=True, slots=True)
class Policy:
    """Times are seconds, sizes bytes. `next` holds the conditions under which another peer is tried.

    `memory` is how much of an answer may wait in memory for a slow client, `spill` how much in a temporary file, which
    is made in `folder` (None only where `spill` is 0). `module` begins the names of the directives that say all this,
    `wire` is the protocol of the backends, `log` takes what is to be said, `hint` passes a 103 on. `owner` tells
    connections of this location from those of others; it is equal in a later plan where nothing has changed that
    connections are made by.
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
    wire: Wire = HTTP1
    log: Log = _silent
    hint: Hint | None = None
    owner: object = field(default_factory=object)

"""One `health_check` of a location: what is asked, how often, and what counts as well."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, TypeAlias

from penstock.upstream.checks.expected import DEFAULT, Expected

if TYPE_CHECKING:
    from penstock.http.request import Request
    from penstock.upstream.exchange.outgoing import Secure

Kind: TypeAlias = Literal["http", "websocket", "grpc", "tcp"]
Fields: TypeAlias = "tuple[tuple[str, str], ...]"
Prepare: TypeAlias = "Callable[[Fields], tuple[bytes, Request, Secure | None]]"
"""Makes the request of a check: from header fields that it needs, to the head as bytes (its fields in HPACK where it is
gRPC), the request that stands for it where variables are asked for, and what begins TLS if it goes over that."""


@dataclass(frozen=True, slots=True)
class Check:
    """Times are seconds. A peer is out of use after `fails` failures in a row, and in use again after as many `passes`.

    A check takes at most `limit` seconds; `keepalive` is for how long its connection is used again, 0 for a new one
    each time. `port` 0 is the peer's own. `ping`: a WebSocket has to answer one; `protocols` are what is offered to it.
    `service` is what a gRPC server is asked for, and `grpc_status` an answer that will do, too, if it is not 0.
    """

    prepare: Prepare
    kind: Kind = "http"
    interval: float = 5.0
    jitter: float = 0.0
    fails: int = 1
    passes: int = 1
    port: int = 0
    limit: float = 5.0
    keepalive: float = 0.0
    mandatory: bool = False
    ping: bool = False
    protocols: tuple[str, ...] = ()
    service: str = ""
    grpc_status: int = 0
    expected: Expected = DEFAULT

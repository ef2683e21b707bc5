"""A request that sets only what is asked for each time."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from penstock.http.request import NO_BODY, Held, Outcome, Request

if TYPE_CHECKING:
    from penstock.config.key import KeyedValues
    from penstock.config.regex.regex import Match
    from penstock.http.client import ClientConnection
    from penstock.http.head import RequestHead
    from penstock.plan.later import Later
    from penstock.plan.location import Server


class StraightRequest(Request):
    """A `Request` in which everything that is rare has its usual value in the class, and a place in `__dict__` once
    somebody changes it. To make one takes half the instructions."""

    __slots__ = ("__dict__",)

    body = NO_BODY
    expecting: Callable[[], None] | None = None
    parent: Request | None = None
    internal = False
    redirects = 0
    uri_changed = False
    valid_unparsed = True
    valid_location = True
    add_uri_to_alias = False
    error_status = 0
    error_paged = False
    kept_location: str | None = None
    kept_headers: list[tuple[str, str]] | None = None
    kept_type: str | None = None
    captures: Match | None = None
    pipelined = False
    upstream_url = ""
    limit_rate: int | None = None
    pace = None
    tunnel_event: str | None = None
    conversation = None
    endings: list[Callable[[], None]] | None = None
    held: list[Held | Request] | None = None
    contexts: KeyedValues | None = None
    later: Later[Outcome] | None = None
    """What a judge will say who is waited for."""

    def __init__(
        self, connection: ClientConnection, head: RequestHead, server: Server, started: float, length: int
    ) -> None:
        # Not through the base, which sets much more.
        self.connection = connection
        self.head = head
        self.server = server
        self.method = head.method
        self.host = head.host
        self.location = server.root
        self.started = started
        self.request_length = length
        self.keep_alive = head.keep_alive
        self.variables = {}
        self.cached = {}
        self.status = self.bytes_sent = self.body_bytes_sent = 0
        self.finished = 0.0
        self.completed = False
        self.answer = None
        self.attempts = None
        self.upstream_head = None

"""The body of an HTTP/2 request: what comes in DATA frames, held against the length that was announced."""

from __future__ import annotations

from typing import TYPE_CHECKING

from penstock.http.errors import BadRequest
from penstock.modules.core.http_core import HttpCore

if TYPE_CHECKING:
    from penstock.http.request import Request
    from penstock.net.h2.stream import Lane

WINDOW = 262144
"""How much a client may send ahead of who reads its body, once somebody does."""


class LaneBody:
    """`length` is what Content-Length says, None without one."""

    __slots__ = ("_lane", "_request", "done", "length", "received")

    def __init__(self, request: Request, lane: Lane, length: int | None) -> None:
        self.length = length
        self.received = 0
        self.done = False
        self._request = request
        self._lane = lane

    async def read(self) -> bytes:
        """Read the next piece; b"" at the end. Raises `BadRequest` for a length that lies (400) or too large a body
        (413), `PeerGone` when the stream is reset, `TimedOut` when it stalls."""
        if self.done:
            return b""
        request, lane = self._request, self._lane
        request.go_on()
        core = request.location[HttpCore]
        if lane.window < WINDOW:
            lane.window = WINDOW
        data = await lane.recv(65536, core.client_body_timeout)
        self.received += len(data)
        request.request_length += len(data)
        length = self.length
        if length is None:
            limit = core.client_max_body_size
            if limit and self.received > limit:
                self.done = True  # whoever answers for it gets no more of it
                raise BadRequest(413, f"client intended to send too large chunked body: {self.received} bytes")
        elif self.received > length:
            self.done = True
            raise BadRequest(400, "client intended to send body data larger than declared")
        if lane.ended and not lane.inbox:
            self.done = True
            if length is not None and self.received < length:
                raise BadRequest(
                    400,
                    f"client prematurely closed stream: only {self.received} out of {length} bytes of request body "
                    "received",
                )
        return data

    async def discard(self) -> None:
        """Do nothing: a stream whose rest nobody wants is closed."""

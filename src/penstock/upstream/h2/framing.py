"""HTTP/2 as a protocol of backends: the stream says where a body ends, and its length has to agree."""

from __future__ import annotations

from typing import TYPE_CHECKING

from penstock.http.errors import BadResponse
from penstock.http.h2.response_head import trailer_fields
from penstock.http.response import ResponseHead
from penstock.upstream.exchange.framing import Framing
from penstock.upstream.exchange.wire import BODILESS

if TYPE_CHECKING:
    from penstock.http.fields import Headers
    from penstock.net.h2.client import ClientLane


class Http2ResponseHead(ResponseHead):
    """The head of an answer, and where what follows it comes from."""

    __slots__ = ("lane",)

    lane: ClientLane


class StreamFraming:
    """A body that ends with its stream; `left` bytes are still to come, where that is known."""

    __slots__ = ("_lane", "left", "surplus")

    def __init__(self, lane: ClientLane, length: int | None) -> None:
        self._lane = lane
        self.left = length
        self.surplus = ""

    @property
    def done(self) -> bool:
        """Return whether the end has been seen, and nothing is missing."""
        lane = self._lane
        return lane.ended and not lane.inbox and not self.left

    def feed(self, data: bytes) -> bytes:
        """Return the body in these bytes. Raises `BadResponse` if more comes than was announced."""
        if self.left is not None:
            self.left -= len(data)
            if self.left < 0:
                raise BadResponse(502, "upstream sent response body larger than indicated content length")
        return data

    def may_end(self) -> bool:
        """Return whether nothing is missing of what was announced."""
        return not self.left

    @property
    def trailers(self) -> Headers:
        """Return those trailers that are sound; the body is whole without them."""
        sent = self._lane.trailers
        if not sent:
            return []
        try:
            return trailer_fields(sent)
        except BadResponse:
            return []


class BackendWire:
    """The part of a `BackendProtocol` that HTTP/2 has: heads come by another way."""

    __slots__ = ()

    def read_head(self, data: bytes, seen: int) -> ResponseHead | None:
        raise NotImplementedError

    def framing(self, head: ResponseHead, method: str) -> Framing:
        assert isinstance(head, Http2ResponseHead)
        bodiless = method == "HEAD" or head.status in BODILESS
        return StreamFraming(head.lane, 0 if bodiless else head.content_length)


HTTP2 = BackendWire()

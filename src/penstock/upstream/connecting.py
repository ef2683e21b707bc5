"""An exchange that ends where others begin: all that is wanted of the backend is the connection (CONNECT)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from penstock.http.response import ResponseHead
from penstock.upstream.exchange import Exchange

if TYPE_CHECKING:
    from penstock.net.stream import Stream


class Connecting(Exchange):
    """Nothing is sent and nothing read: as soon as a peer is reached, the answer is 200 (RFC 9110, section 9.3.6).

    Always a fresh connection: a kept one has had another conversation.
    """

    __slots__ = ()
    reuses = False

    def _send(self, stream: Stream) -> bool:
        return False

    async def _head(self, stream: Stream) -> ResponseHead:
        return ResponseHead(200, "OK", 11, [], {})

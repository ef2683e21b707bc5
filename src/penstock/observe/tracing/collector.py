"""One batch to a collector, over HTTP/1.1 or over TLS, on a connection that is kept.

Everything is bounded: the time of all of it, the head, and the body of the answer. Nobody but the exporter waits.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from penstock.http.errors import BadResponse
from penstock.net.dial import connect
from penstock.net.errors import NetError, PeerGone, TimedOut
from penstock.net.tls.client import is_for
from penstock.net.tls.tls import connect as connect_tls
from penstock.upstream.exchange.wire import HTTP1
from penstock.upstream.timed import TimedConnection

if TYPE_CHECKING:
    from penstock.net.dial import Address
    from penstock.net.stream import Stream
    from penstock.net.tls.client import Context

LIMIT = 10.0
"""Seconds for one batch."""
HEAD, BODY = 32768, 65536
AGAIN = (429, 502, 503, 504)
"""Answers after which a batch may be sent once more (OTLP, section "Retryable Response Codes")."""


class Undelivered(Exception):
    """A batch was not taken; the text says why. `again`: it may be sent once more."""

    def __init__(self, words: str, *, again: bool) -> None:
        super().__init__(words)
        self.again = again


@dataclass(frozen=True, slots=True)
class CollectorPlace:
    """Where spans go. `addresses` are tried in their order; `name` is what a certificate has to be for."""

    url: str
    name: str
    path: str
    host: str
    addresses: tuple[Address, ...]
    context: Context | None
    headers: tuple[tuple[str, str], ...]


class Collector(TimedConnection):
    """A connection to a collector, made when there is something to send."""

    __slots__ = ("_head", "_place")

    def __init__(self, place: CollectorPlace, agent: str) -> None:
        super().__init__()
        self._place = place
        lines = [f"POST {place.path} HTTP/1.1", f"Host: {place.host}", f"User-Agent: {agent}"]
        lines += ["Content-Type: application/x-protobuf", *(f"{name}: {value}" for name, value in place.headers)]
        self._head = "\r\n".join(lines)

    async def deliver(self, batch: bytes) -> bytes:
        """Send a batch; return what the collector says to it, 64 KiB at most. Raises `Undelivered`."""
        self.begin(LIMIT)
        try:
            kept = self.stream
            if kept is not None:
                before = kept.received
                try:
                    return await self._post(kept, batch)
                except (PeerGone, BadResponse):
                    if kept.received != before:
                        raise
                    self.close()  # it was closed while nobody used it: on a new one
            return await self._post(await self._connect(), batch)
        except (NetError, BadResponse) as error:
            self.close()
            raise Undelivered("no answer in time" if isinstance(error, TimedOut) else str(error), again=True) from None
        except BaseException:
            self.close()
            raise

    async def _connect(self) -> Stream:
        place = self._place
        failed: NetError | None = None
        for address in place.addresses:
            try:
                stream = await connect(address, self.left())
                if place.context is not None:
                    stream = await self._secured(stream, place.context)
            except NetError as error:
                failed = error
                continue
            self.stream = stream
            return stream
        assert failed is not None, "a name has addresses"
        raise failed

    async def _secured(self, stream: Stream, context: Context) -> Stream:
        name = self._place.name
        secured = await connect_tls(stream, context, name, None, self.left())
        if not is_for(secured.ssl.getpeercert(), name):
            secured.close()
            raise Undelivered(f'its certificate is not for "{name}"', again=False)
        return secured

    async def _post(self, stream: Stream, batch: bytes) -> bytes:
        head_out = f"{self._head}\r\nContent-Length: {len(batch)}\r\n\r\n".encode("latin-1")
        await stream.send_all(head_out + batch, self.left())
        head, rest = await self.head(stream, HEAD)
        framing = HTTP1.framing(head, "POST")
        body = await self.body(stream, framing, rest, BODY)
        taken = 200 <= head.status < 300
        if not taken or not framing.done or framing.surplus or not head.keep_alive:
            self.close()
        if not taken:
            raise Undelivered(f"it answered {head.status}", again=head.status in AGAIN)
        return body

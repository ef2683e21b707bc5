"""Reading the head of a backend's answer, which may come before the request has been sent."""

from __future__ import annotations

from typing import TYPE_CHECKING

from penstock.http.errors import BadResponse
from penstock.net.errors import DialFailed, NetError, PeerGone, TimedOut
from penstock.net.stream import wait
from penstock.upstream.errors import ClientGone, FaultSide, ProxyError, failed, timed_out

if TYPE_CHECKING:
    from penstock.http.response import ResponseHead
    from penstock.net.fiber import Fiber
    from penstock.net.stream import Stream
    from penstock.upstream.exchange.exchange import Exchange

EARLY_HINTS = 103
DOING = "reading response header from upstream"


async def read_head(exchange: Exchange, stream: Stream, data: bytes) -> ResponseHead:
    """Read on from `data` until a whole head has come that is no interim one. Raises `ProxyError`."""
    policy = exchange.policy
    attempt = exchange.attempt
    parse = policy.wire.read_head
    seen = hinted = 0
    while True:
        if not data:
            data = await receive(exchange, stream, policy.head_size)
            attempt.bytes_received += len(data)
        while data:
            try:
                head = parse(data, seen)
            except BadResponse as error:
                text = f"{error.reason} while {DOING}"
                raise failed(text, retry="invalid_header", cause=error) from None
            if head is None:
                break
            length = head.length
            if head.status >= 200 or head.status == 101:
                exchange.rest = data[length:] if len(data) > length else b""
                return head
            data = data[length:]
            seen = 0
            if head.status == EARLY_HINTS and policy.hint is not None:
                hinted += length
                if hinted <= policy.head_size:
                    await policy.hint(exchange.request, head)
                else:
                    exchange.log("info", "upstream sent too big early hints")
        if data:
            seen = len(data)
            room = policy.head_size - seen
            if room <= 0:
                raise failed(f"upstream sent too big header while {DOING}", retry="invalid_header")
            got = await receive(exchange, stream, room)
            attempt.bytes_received += len(got)
            data += got


async def receive(exchange: Exchange, stream: Stream, limit: int) -> bytes:
    """Read what comes next; while the request is still being sent, however long that takes. Raises `ProxyError`, and
    what reading a body from the client raises: a client that goes, or stalls, is no failure of the backend."""
    while exchange.sender is not None:
        sender = exchange.sender
        if sender.done:
            exchange.sender = None
            _sent(sender, stream)
            break
        try:
            await wait([stream], [], None)
            early = stream.recv_now(limit) if stream.ready else None
        except ClientGone:
            raise
        except NetError as error:
            raise failed(f"{error} while {DOING}", cause=error) from None
        if early:
            return early
        if early is not None:
            raise failed("upstream prematurely closed connection while sending request to upstream")
    try:
        data = await stream.recv(limit, exchange.policy.read_timeout)
    except TimedOut as error:
        raise timed_out(DOING, error) from None
    except ClientGone:
        raise
    except NetError as error:
        raise failed(f"{error} while {DOING}", cause=error) from None
    if not data:
        raise failed(f"upstream prematurely closed connection while {DOING}")
    return data


def not_read(error: NetError) -> NetError | ProxyError:
    """Return what to raise for a failure to read the head: the client's is passed on."""
    if isinstance(error, ClientGone):
        return error
    if isinstance(error, TimedOut):
        return timed_out(DOING, error)
    unsent = isinstance(error, PeerGone) and error.call == "send"
    return failed(f"{error} while {'sending request to upstream' if unsent else DOING}", cause=error)


def not_reached(error: DialFailed) -> ProxyError:
    """Return what to raise for a connection that could not be made."""
    text = f"{error} while connecting to upstream"
    if error.call != "connect":
        return ProxyError(FaultSide.INTERNAL, 500, "", text, error, "crit")
    return failed(text, cause=error)


def _sent(sender: Fiber[None], stream: Stream) -> None:
    """Return whether all is sent, or sending failed. A backend that refuses a body may have said why before it closed.
    """
    try:
        sender.take()
    except ProxyError as error:
        if error.retry != "error":
            raise
        try:
            data = stream.recv_now()
        except NetError:
            raise error from None
        if not data:
            raise
        stream.unread(data)

"""The body of a backend's answer, as it comes in."""

from __future__ import annotations

from typing import TYPE_CHECKING

from penstock.http.errors import BadResponse
from penstock.net.errors import NetError, TimedOut
from penstock.upstream.errors import AnswerCut, ClientGone, ProxyError, failed, timed_out

if TYPE_CHECKING:
    from penstock.http.response import ResponseHead
    from penstock.upstream.exchange.exchange import Exchange
    from penstock.upstream.exchange.framing import Framing

PIECE = 65536


class Incoming:
    """The body of an answer. It is read to its end, and the backend given back then. `rest` came with the head.

    Read by one fiber. `framing.trailers` are known when it is done.
    """

    __slots__ = ("exchange", "framing", "head", "rest")

    def __init__(self, exchange: Exchange, head: ResponseHead, rest: bytes) -> None:
        self.exchange = exchange
        self.head = head
        self.rest = rest
        self.framing: Framing = exchange.policy.wire.framing(head, exchange.plan.asked)

    def now(self) -> bytes:
        """Return what came with the head, decoded. If that is all of it, the backend is given back. Raises
        `ProxyError`."""
        rest, self.rest = self.rest, b""
        piece = self._feed(rest) if rest else b""
        if self.framing.done:
            self._done()
        return piece

    @property
    def done(self) -> bool:
        """Return whether the end of the body has been seen."""
        return self.framing.done

    async def read(self, most: int = PIECE) -> bytes:
        """Read the next piece, of at most so many bytes from the socket; b"" at the end. Raises `ProxyError`."""
        exchange = self.exchange
        framing = self.framing
        if self.rest:
            piece = self.now()
            if piece:
                return piece
        timeout = exchange.policy.read_timeout
        while not framing.done:
            line = exchange.line
            if line is None:
                raise self._broken(failed(""))
            try:
                data = await line.stream.recv(most, timeout)
            except TimedOut as error:
                raise self._broken(timed_out("reading upstream", error)) from None
            except ClientGone:
                raise
            except NetError as error:
                raise self._broken(failed(f"{error} while reading upstream", cause=error)) from None
            if not data:
                if framing.may_end():
                    break
                raise self._broken(failed("upstream prematurely closed connection while reading upstream"))
            exchange.attempt.bytes_received += len(data)
            piece = self._feed(data)
            if piece:
                if framing.done:
                    self._done()
                return piece
        self._done()
        return b""

    def drop(self) -> None:
        """Drop the body, which nobody wants. The connection is kept if all of it is here already."""
        try:
            self.now()
        except ProxyError:
            return  # it has been logged, and the connection closed
        if not self.framing.done:
            self.close()

    def close(self) -> None:
        """Close the connection and give the peer back: nobody wants the rest."""
        self.exchange.release(reusable=False)

    def _feed(self, data: bytes) -> bytes:
        exchange = self.exchange
        exchange.attempt.length += len(data)
        try:
            return self.framing.feed(data)
        except BadResponse as error:
            raise self._broken(failed(f"{error.reason} while reading upstream", cause=error)) from None

    def _done(self) -> None:
        surplus = self.framing.surplus
        exchange = self.exchange
        for name, value in self.framing.trailers:
            exchange.request.variables["upstream_trailer_" + name.lower().replace("-", "_")] = value
        if surplus and exchange.line is not None:
            exchange.log("warn", f"{surplus} while reading upstream")
        exchange.release(reusable=self.head.keep_alive and not surplus)

    def _broken(self, error: ProxyError) -> ProxyError:
        """End an answer that breaks off: the peer has not failed (its head was good), the connection is of no use."""
        exchange = self.exchange
        if error.text:
            exchange.log(error.level, error.text)
            error.text = ""
        exchange.release(reusable=False)
        return error


class Unbuffered:
    """An answer's body, each piece passed on before the next is read (`proxy_buffering off`)."""

    __slots__ = ("_first", "_incoming")
    flushes = True
    """No filter may hold pieces back."""

    def __init__(self, incoming: Incoming, first: bytes) -> None:
        self._incoming = incoming
        self._first = first

    def __aiter__(self) -> Unbuffered:
        return self

    async def __anext__(self) -> bytes:
        first = self._first
        if first:
            self._first = b""
            return first
        try:
            piece = await self._incoming.read()
        except ProxyError as error:
            raise AnswerCut(error.status, "recv") from error
        if not piece:
            raise StopAsyncIteration
        return piece

    def close(self) -> None:
        """Give the backend back, if that has not happened yet."""
        self._incoming.close()

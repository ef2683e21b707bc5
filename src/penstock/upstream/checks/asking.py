"""One check of one peer, over the network: a connection, an answer to a request or of gRPC, or a WebSocket that lives.

Everything is bounded: the time of all of it, the head, how much of a body or of frames is looked at. A check is not one
of the peer's requests or tunnels; nobody counts it there.
"""

from __future__ import annotations

import os
from base64 import b64encode
from typing import TYPE_CHECKING

from penstock.config.addresses import address_text
from penstock.http.errors import BadResponse
from penstock.http.request import Attempt
from penstock.net.dial import connect
from penstock.net.errors import NetError, PeerGone, TimedOut
from penstock.net.fiber import current
from penstock.net.loop import running_loop
from penstock.net.timers import Alarm
from penstock.upstream.checks.expected import BODY
from penstock.upstream.checks.grpc import BadHealth, ask_health
from penstock.upstream.errors import ProxyError
from penstock.upstream.exchange.wire import HTTP1
from penstock.upstream.timed import TimedConnection
from penstock.websocket.client import Ask, FrameReader, ask
from penstock.websocket.frames import CLOSE, PONG, close_frame, ping_frame
from penstock.websocket.handshake import check_response

if TYPE_CHECKING:
    from penstock.http.request import Request
    from penstock.net.dial import Address
    from penstock.net.stream import Stream
    from penstock.upstream.checks.check import Check
    from penstock.upstream.exchange.outgoing import Secure

HEAD = 65536
FRAMES = 1 << 20
"""Bytes that may come before a pong."""

FAREWELL = 1.0
"""Seconds for which a backend's close frame is waited for."""


class Unwell(Exception):
    """Raised where a backend is reached and is not as it should be; the text says how."""


class Stale(Exception):
    """Raised where a connection that was kept has been closed meanwhile, which says nothing about the backend."""


class Asking(TimedConnection):
    """The checks of one kind at one address. It keeps its connection, if the check says so."""

    __slots__ = ("_address", "_check", "_opened")

    def __init__(self, check: Check, address: Address) -> None:
        super().__init__()
        self._check = check
        self._address = elsewhere(address, check.port)
        self._opened = 0.0

    async def ask(self) -> str:
        """Check once. Return in a few words what is wrong, "" if nothing is."""
        check = self._check
        self.begin(check.limit)
        try:
            if check.kind == "tcp":
                await self._connect()
            elif check.kind == "websocket":
                await self._websocket()
            elif check.kind == "grpc":
                await self._grpc()
            else:
                await self._http()
        except Stale:
            self.close()
            return await self.ask()  # on a new connection, which is never stale
        except TimedOut:
            self.close()
            return "no answer in time"
        except (NetError, BadResponse, BadHealth, Unwell) as error:
            self.close()
            return str(error)
        except ProxyError as error:
            self.close()
            return error.text.partition(" while ")[0]
        except BaseException:
            self.close()
            raise
        if not check.keepalive:
            self.close()
        return ""

    # -- steps

    async def _connect(self) -> Stream:
        """Use the connection that was kept, or make one."""
        stream = self.stream
        now = running_loop().timers.now
        if stream is not None:
            if not stream.ready and stream.fd >= 0 and now - self._opened < self._check.keepalive:
                return stream
            self.close()
        stream = self.stream = await connect(self._address, self.left())
        self._opened = now
        return stream

    async def _reach(self, secure: Secure | None, request: Request) -> Stream:
        kept = self.stream
        stream = await self._connect()
        if secure is None or stream is kept:
            return stream
        me = current()
        late = Alarm(stream.loop.timers, lambda: me.interrupt(TimedOut()))
        late.set(self.left())
        try:
            secured = await secure(stream, request)
        finally:
            late.close()
        self.stream = secured
        return secured

    async def _http(self) -> None:
        check = self._check
        head_out, request, secure = check.prepare(() if check.keepalive else (("Connection", "close"),))
        attempt = Attempt(address_text(self._address), running_loop().timers.now)
        request.attempts = [attempt]
        kept = self.stream
        stream = await self._reach(secure, request)
        before = stream.received
        try:
            await stream.send_all(head_out, self.left())
            head, rest = await self.head(stream, HEAD)
        except (PeerGone, BadResponse):
            if stream is kept and stream.received == before:
                raise Stale from None
            raise
        request.upstream_head = head
        request.status = attempt.status = head.status
        body = b""
        framing = HTTP1.framing(head, "GET")
        if check.expected.body is not None or check.keepalive:
            body = await self.body(stream, framing, rest, BODY)
            if not framing.done and len(body) < BODY and not framing.may_end():
                raise Unwell("the answer is cut off")
        if not framing.done or framing.surplus or not head.keep_alive:
            self.close()
        wrong = check.expected.wrong(head, body.decode("latin-1"), request)
        if wrong:
            raise Unwell(wrong)

    async def _grpc(self) -> None:
        check = self._check
        fields, request, secure = check.prepare(())
        stream = await self._reach(secure, request)
        self.stream = None  # it is the session's now
        await ask_health(stream, fields, check.service, check.grpc_status, self.left)

    async def _websocket(self) -> None:
        check = self._check
        key = b64encode(os.urandom(16)).decode("ascii")
        offered = ", ".join(check.protocols) or None
        fields = ask("/", "", key, protocols=offered, compression=False).headers[1:]
        head_out, request, secure = check.prepare(fields)
        stream = await self._reach(secure, request)
        await stream.send_all(head_out, self.left())
        head, rest = await self.head(stream, HEAD)
        if head.status != 101:
            raise Unwell(f"the handshake was answered with {head.status}")
        wrong = check_response(head, Ask("/", fields))
        if not wrong and check.protocols and head.joined("sec-websocket-protocol") is None:
            wrong = ["no subprotocol was chosen"]
        if wrong:
            raise Unwell(wrong[0])
        reader = FrameReader(deflate=False, limit=125)
        if check.ping:
            await self._ping(stream, reader, rest)
        await self._goodbye(stream, reader)
        self.close()

    async def _ping(self, stream: Stream, reader: FrameReader, data: bytes) -> None:
        payload = os.urandom(8)
        await stream.send_all(ping_frame(payload, os.urandom(4)), self.left())
        count = 0
        while True:
            for frame in reader.feed(data) if data else ():
                if frame.opcode == PONG and frame.payload == payload:
                    return
                if frame.opcode == CLOSE:
                    raise Unwell(f"it closed with {frame.close_code} instead of a pong")
            if reader.error:
                raise Unwell(reader.error)
            count += len(data)
            if count > FRAMES:
                raise Unwell("too much came before the pong")
            try:
                data = await stream.recv(65536, self.left())
            except TimedOut:
                raise Unwell("no pong in time") from None
            if not data:
                raise Unwell("the connection was closed instead of a pong")

    async def _goodbye(self, stream: Stream, reader: FrameReader) -> None:
        """Close as a client does that has what it wanted. Whatever comes of that: the backend has passed."""
        try:
            await stream.send_all(close_frame(1000, mask=os.urandom(4)), FAREWELL)
            until = running_loop().timers.now + FAREWELL
            count = 0
            while count < FRAMES:
                left = until - running_loop().timers.now
                data = await stream.recv(65536, left) if left > 0 else b""
                if not data or any(frame.opcode == CLOSE for frame in reader.feed(data)):
                    return
                count += len(data)
        except NetError:
            return


def elsewhere(address: Address, port: int) -> Address:
    """Return a peer's address with another port, if there is one to take its place."""
    if not port or isinstance(address, str):
        return address
    return (address[0], port) if len(address) == 2 else (address[0], port, *address[2:])

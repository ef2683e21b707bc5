"""One name put to one name server after the other, until every question about it has its answer."""

from __future__ import annotations

import struct
from collections.abc import Callable, Sequence
from secrets import randbits

from penstock.config.addresses import address_text
from penstock.net.datagram import datagrams
from penstock.net.dial import Address, connect
from penstock.net.errors import NetError, TimedOut
from penstock.net.loop import Loop
from penstock.net.stream import Stream
from penstock.upstream.names import dns
from penstock.upstream.names.dns import BadAnswer, Reply
from penstock.upstream.names.unresolved import NXDOMAIN, Unresolved

TCP_TIMEOUT = 5.0
_LARGEST = 65535

Log = Callable[[str], None]


class Inquiry:
    """The questions about one name, and the answers so far, by kind of record."""

    __slots__ = ("_questions", "log", "name", "replies")

    def __init__(self, name: str, kinds: Sequence[int], log: Log) -> None:
        self.name = name
        self.log = log
        self.replies: dict[int, Reply] = {}
        self._questions: dict[int, bytes] = {}
        try:
            for kind in kinds:
                self._questions[kind] = dns.question(randbits(16), name, kind)
        except ValueError:
            raise Unresolved(name, NXDOMAIN) from None

    @property
    def complete(self) -> bool:
        """Return whether each question has its reply."""
        return len(self.replies) == len(self._questions)

    async def put_to(self, server: Address, loop: Loop, seconds: float, again: Callable[[], object] = bool) -> None:
        """Ask one name server for what is missing; come back when all is there, or so many seconds are over.

        Where it is asked `again` then, that is from the same port: what comes late is an answer, too.
        """
        stream = None
        try:
            stream = datagrams(server, loop)
            while True:
                for kind, asked in self._questions.items():
                    if kind not in self.replies:
                        stream.send_now(asked)
                await self._listen(stream, server, loop, seconds)
                if self.complete or not again():
                    return
        except NetError as error:
            self.log(f"{error} while resolving {self.name}, resolver: {address_text(server)}")
        finally:
            if stream is not None:
                stream.close()

    async def _listen(self, stream: Stream, server: Address, loop: Loop, seconds: float) -> None:
        end = loop.hot.now + seconds
        try:
            while not self.complete:
                left = end - loop.hot.now
                if left <= 0:
                    return
                await self._read_reply(await stream.recv(_LARGEST, left), server)
        except TimedOut:
            return

    async def _read_reply(self, data: bytes, server: Address) -> None:
        number = dns.number_of(data)
        for kind, asked in self._questions.items():
            if dns.number_of(asked) != number:
                continue
            if kind in self.replies:
                return  # it was asked twice
            try:
                reply = dns.read(data, self.name, kind)
                if reply.truncated:
                    reply = dns.read(await _over_tcp(server, asked), self.name, kind, "tcp")
                self.replies[kind] = reply
            except BadAnswer as error:
                self.log(f"{error}, resolver: {address_text(server)}")
            return
        self.log(f"unexpected DNS response {number} for {self.name}, resolver: {address_text(server)}")


async def _over_tcp(server: Address, asked: bytes) -> bytes:
    """Ask over TCP, where the answer has room (RFC 7766). Raises `NetError`, `BadAnswer`."""
    stream = await connect(server, TCP_TIMEOUT)
    try:
        await stream.send_all(struct.pack("!H", len(asked)) + asked, TCP_TIMEOUT)
        data = b""
        while len(data) < 2 or len(data) < 2 + (data[0] << 8 | data[1]):
            more = await stream.recv(_LARGEST, TCP_TIMEOUT)
            if not more:
                raise BadAnswer("name server closed the connection before its answer")
            data += more
        data = data[2 : 2 + (data[0] << 8 | data[1])]
    finally:
        stream.close()
    if dns.number_of(data) != dns.number_of(asked):
        raise BadAnswer("unexpected DNS response over TCP")
    return data

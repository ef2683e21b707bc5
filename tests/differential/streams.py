"""The backend of streams, and what is seen of them: bytes and datagrams, of which nothing is looked at as HTTP.

Proxies connect to it from the address of the client (`proxy_bind`), by which it knows the case.
"""

import asyncio
import re
import socket
from collections import defaultdict
from collections.abc import Mapping, Sequence

from differential.cases import Case, Step
from differential.client import Heard
from differential.observe import Message, Normal, Observation

_CAPITALS = [Step("tunnel")]
_PROXIED = re.compile(rb"^(PROXY TCP4 \S+ \S+) \d+ ", re.MULTILINE)


class StreamBackend:
    """`received[address]` holds what each connection of a case said, and how it ended; datagrams each by itself."""

    def __init__(self, cases: Mapping[str, Case]) -> None:
        self.cases = cases
        self.received: dict[str, list[tuple[str, bytes]]] = defaultdict(list)
        self._tasks: set[asyncio.Task[None]] = set()
        self._datagrams: socket.socket | None = None

    async def start(self, listener: socket.socket) -> None:
        listener.setblocking(False)
        self._datagrams = socket.socket(type=socket.SOCK_DGRAM)
        self._datagrams.setblocking(False)
        self._datagrams.bind(listener.getsockname())
        self._spawn(self._accept(listener))
        self._spawn(self._hear(self._datagrams))

    async def stop(self) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        assert self._datagrams is not None
        self._datagrams.close()

    def _spawn(self, work: "asyncio._CoroutineLike[None]") -> None:
        task = asyncio.ensure_future(work)
        self._tasks.add(task)

    def _script(self, address: str, number: int) -> list[Step]:
        case = self.cases.get(address)
        if case is None or not case.backend:
            return _CAPITALS
        return case.backend[min(number, len(case.backend) - 1)]

    async def _accept(self, listener: socket.socket) -> None:
        loop = asyncio.get_running_loop()
        with listener:
            while True:
                connection, (address, _) = await loop.sock_accept(listener)
                owner = address if address in self.cases else ""
                records = self.received[owner]
                records.append(("open", b""))
                self._spawn(self._serve(connection, records, self._script(address, len(records) - 1)))

    async def _serve(self, connection: socket.socket, records: list[tuple[str, bytes]], script: list[Step]) -> None:
        loop = asyncio.get_running_loop()
        at = len(records) - 1

        async def read() -> bytes:
            data = await loop.sock_recv(connection, 65536)
            records[at] = ("open" if data else "ended", records[at][1] + data)
            return data

        with connection:
            try:
                for step in script:
                    if step.verb == "send":
                        await loop.sock_sendall(connection, step.data)
                    elif step.verb == "pause":
                        await asyncio.sleep(step.seconds)
                    elif step.verb == "read":
                        await read()
                    elif step.verb == "end":
                        connection.shutdown(socket.SHUT_WR)
                    elif step.verb == "tunnel":
                        while data := await read():
                            await loop.sock_sendall(connection, data.upper())
                    elif step.verb == "reset":
                        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
                        return
                    elif step.verb == "close":
                        return
            except ConnectionError:
                records[at] = ("reset", records[at][1])

    async def _hear(self, sock: socket.socket) -> None:
        loop = asyncio.get_running_loop()
        while True:
            data, who = await loop.sock_recvfrom(sock, 65536)
            owner = who[0] if who[0] in self.cases else ""
            records = self.received[owner]
            records.append(("datagram", data))
            self._spawn(self._answer(sock, who, data, self._script(who[0], len(records) - 1)))

    async def _answer(self, sock: socket.socket, who: tuple[str, int], data: bytes, script: list[Step]) -> None:
        loop = asyncio.get_running_loop()
        for step in script:
            if step.verb == "send":
                await loop.sock_sendto(sock, step.data, who)
            elif step.verb == "pause":
                await asyncio.sleep(step.seconds)
            elif step.verb == "tunnel":
                await loop.sock_sendto(sock, data.upper(), who)


def observe_stream(
    heard: Heard, passed: Sequence[tuple[str, bytes]], log: Sequence[str], normal: Normal
) -> Observation:
    """Put together what was seen of a case."""
    return Observation(
        rest=normal.data(_without_ports(heard.data)),
        end=heard.end,
        passed=[Message(ended, [], body=normal.data(_without_ports(data))) for ended, data in passed],
        log=[normal.text(line) for line in log],
    )


def _without_ports(data: bytes) -> bytes:
    """What a proxy tells of a client, without the port that the client has by chance."""
    return _PROXIED.sub(rb"\1 PORT ", data)

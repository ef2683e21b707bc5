"""One chat backend of the demo: `python backends.py NAME PORT BUS_DIRECTORY`.

Every backend binds a datagram socket in the bus directory and sends what its clients say to all the others
there, so that two tabs talk whichever backends the proxy chose for them. WebSocket and HTTP share the port:

    GET /chat         the chat; messages are JSON objects with a `type`
    GET /api/status   who answered and how many clients it has, as JSON

From a client: `say` (name, text), `ping` (at), `close` (code). To a client: `welcome` (backend, history),
`said` (name, text, backend, at), `people` (per backend), `pong` (at).
"""

import asyncio
import json
import signal
import socket
import sys
import time
from collections import deque
from http import HTTPStatus
from pathlib import Path
from typing import Any, cast

from websockets.asyncio.server import ServerConnection, broadcast, serve
from websockets.datastructures import Headers
from websockets.exceptions import ConnectionClosed
from websockets.http11 import Request, Response

_HISTORY = 30
_LONGEST_TEXT = 2000
_LONGEST_NAME = 40
_COUNT_SECONDS = 2.0
_CLOSE_CODES = range(3000, 5000)
_NAMED_CLOSE_CODES = (1000, 1001, 1008, 1011, 1012, 1013)


class Bus(asyncio.DatagramProtocol):
    """Carries messages between the backends: one datagram socket each, found by its file name."""

    def __init__(self, room: "Room", directory: Path) -> None:
        self._room = room
        self._directory = directory
        self._own = directory / f"{room.name}.socket"
        self._transport: asyncio.DatagramTransport | None = None

    async def open(self) -> None:
        """Bind the socket, in place of one that an earlier process left."""
        self._own.unlink(missing_ok=True)
        # typeshed knows addresses as (host, port) only; for AF_UNIX an address is a path.
        path: Any = str(self._own)
        loop = asyncio.get_running_loop()
        await loop.create_datagram_endpoint(lambda: self, local_addr=path, family=socket.AF_UNIX)

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        # asyncio's own datagram transport is no DatagramTransport before 3.12.
        self._transport = cast(asyncio.DatagramTransport, transport)

    def datagram_received(self, data: bytes, address: object) -> None:
        self._room.heard(json.loads(data))

    def error_received(self, error: Exception) -> None:
        """A backend that has ended leaves its socket's file behind: nobody to tell."""

    def send(self, message: dict[str, Any]) -> None:
        """Tell every other backend."""
        assert self._transport is not None
        for other in self._directory.glob("*.socket"):
            if other != self._own:
                path: Any = str(other)
                self._transport.sendto(json.dumps(message).encode(), path)


class Room:
    """The clients of this backend, and what was said anywhere."""

    def __init__(self, name: str, directory: Path) -> None:
        self.name = name
        self.clients: set[ServerConnection] = set()
        self.history: deque[dict[str, Any]] = deque(maxlen=_HISTORY)
        self._counts: dict[str, tuple[int, float]] = {}
        self._bus = Bus(self, directory)

    async def open(self) -> None:
        await self._bus.open()

    async def talk(self, client: ServerConnection) -> None:
        """One client, from its welcome to its end."""
        self.clients.add(client)
        welcome = {"type": "welcome", "backend": self.name, "history": list(self.history)}
        try:
            await client.send(json.dumps(welcome))
            self.count()
            async for text in client:
                await self._answer(client, text)
        except ConnectionClosed:
            pass
        finally:
            self.clients.discard(client)
            self.count()

    def heard(self, message: dict[str, Any]) -> None:
        """Something came over the bus."""
        if message["type"] == "count":
            self._counts[message["backend"]] = (message["count"], time.monotonic())
            self._tell_people()
        else:
            self._tell(message)

    def count(self) -> None:
        """Tell the other backends and the clients how many are here."""
        self._bus.send({"type": "count", "backend": self.name, "count": len(self.clients)})
        self._tell_people()

    def _tell_people(self) -> None:
        fresh = time.monotonic() - 3 * _COUNT_SECONDS
        people = {name: count for name, (count, at) in self._counts.items() if at > fresh}
        people[self.name] = len(self.clients)
        broadcast(self.clients, json.dumps({"type": "people", "people": people}))

    def _tell(self, message: dict[str, Any]) -> None:
        self.history.append(message)
        broadcast(self.clients, json.dumps(message))

    async def _answer(self, client: ServerConnection, text: str | bytes) -> None:
        try:
            message = json.loads(text)
        except ValueError:
            message = None
        match message:
            case {"type": "say", "name": str(name), "text": str(words)} if words.strip():
                said = {
                    "type": "said",
                    "name": name.strip()[:_LONGEST_NAME] or "Somebody",
                    "text": words.strip()[:_LONGEST_TEXT],
                    "backend": self.name,
                    "at": round(time.time() * 1000),
                }
                self._bus.send(said)
                self._tell(said)
            case {"type": "ping", "at": int() | float() as at}:
                await client.send(json.dumps({"type": "pong", "at": at}))
            case {"type": "close", "code": int(code)} if code in _CLOSE_CODES or code in _NAMED_CLOSE_CODES:
                await client.close(code, "asked for by the page")
            case _:
                await client.close(1008, "not a message of this chat")


def _plain_http(room: Room, client: ServerConnection, request: Request) -> Response | None:
    if "Upgrade" in request.headers:
        return None
    if request.path != "/api/status":
        return client.respond(HTTPStatus.NOT_FOUND, "there is only /api/status here\n")
    status = {"backend": room.name, "clients": len(room.clients)}
    body = json.dumps(status).encode()
    headers = Headers({"Content-Type": "application/json", "Cache-Control": "no-store"})
    headers["Content-Length"] = str(len(body))
    headers["Connection"] = "close"
    return Response(HTTPStatus.OK.value, HTTPStatus.OK.phrase, headers, body)


async def _main(name: str, port: int, directory: Path) -> None:
    room = Room(name, directory)
    await room.open()
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)

    def plain(client: ServerConnection, request: Request) -> Response | None:
        return _plain_http(room, client, request)

    async with serve(room.talk, "127.0.0.1", port, process_request=plain, server_header=None, max_size=16384):
        while not stop.is_set():
            room.count()
            try:
                await asyncio.wait_for(stop.wait(), _COUNT_SECONDS)
            except TimeoutError:
                pass


if __name__ == "__main__":
    asyncio.run(_main(sys.argv[1], int(sys.argv[2]), Path(sys.argv[3])))

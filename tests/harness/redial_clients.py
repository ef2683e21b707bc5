"""Clients that chat through backends which are killed and started again, and what each of them may have lost: those of
the library `websockets` here, those of npm's `ws` and of a browser in `redial_clients.js`.

    python -m harness.redial_clients PORT NAME      a backend: answers each message with its name before it
"""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from websockets.asyncio.client import connect
from websockets.asyncio.server import ServerConnection, serve
from websockets.exceptions import ConnectionClosed

if TYPE_CHECKING:
    from harness.browser import Page

AGAIN = "another backend"
"""What the proxy is configured to announce."""


async def talk(connection: ServerConnection, name: str) -> None:
    with suppress(ConnectionClosed):  # a client may go before it has its answer
        async for message in connection:
            await connection.send(f"{name} {message!s}")


async def backend(port: int, name: str) -> None:
    async with serve(lambda connection: talk(connection, name), "127.0.0.1", port, compression=None):
        print("ready", flush=True)
        await asyncio.Event().wait()


class Chatter:
    """A client that says numbers. `back` are those that were answered, in order; `doubtful` those that had no answer
    yet when another backend came; `redials` counts those."""

    def __init__(self) -> None:
        self.said = 0
        self.back: list[int] = []
        self.doubtful: set[int] = set()
        self.redials = 0

    def check(self) -> int:
        """Return how many were lost: only such as a backend had taken when it was killed. Order, and once."""
        assert self.back == sorted(set(self.back)), "in order, and none twice"
        lost = set(range(self.back[-1])) - set(self.back)
        assert lost <= self.doubtful, sorted(lost - self.doubtful)
        return len(lost)


class Kept(Chatter):
    """One of `websockets`, which says one every `pause` seconds."""

    def __init__(self, pause: float) -> None:
        super().__init__()
        self.pause = pause
        self.stop = asyncio.Event()

    async def run(self, url: str) -> None:
        """Chat until `stop`, and until the last number has come back. Raises what ends a connection."""
        async with connect(url, compression=None, open_timeout=60) as socket:
            listening = asyncio.ensure_future(self._listen(socket))
            while not self.stop.is_set():
                await socket.send(str(self.said))
                self.said += 1
                await asyncio.sleep(self.pause)
            seen = -1
            while not self.back or self.back[-1] < self.said - 1:
                if seen != self.redials:
                    # The last one may have been lost, too: only one that comes back tells that all others have.
                    seen = self.redials
                    await socket.send(str(self.said))
                    self.said += 1
                await asyncio.sleep(self.pause)
                if listening.done():
                    await listening
            await socket.close()
            await listening

    async def _listen(self, socket) -> None:  # type: ignore[no-untyped-def]
        async for message in socket:
            if message == AGAIN:
                self.redials += 1
                answered = self.back[-1] if self.back else -1
                self.doubtful |= set(range(answered + 1, self.said))
            else:
                self.back.append(int(str(message).split()[1]))


class Scripted:
    """Clients that are written in JavaScript. `ask` sends them a command, and returns what they are like."""

    def __init__(self, count: int, ask: Callable[[dict[str, object]], Awaitable[Any]]) -> None:
        self.clients = [Chatter() for _ in range(count)]
        self._ask = ask

    async def begin(self, url: str, pause: float) -> None:
        """Let them chat, with so many seconds between two messages."""
        count = len(self.clients)
        await self._ask({"do": "begin", "count": count, "url": url, "pause": pause * 1000, "again": AGAIN})

    async def look(self) -> list[int]:
        """Look how they are; returned are the codes with which they were closed, 0 where they are open."""
        told = await self._ask({})
        for client, state in zip(self.clients, told, strict=True):
            client.said, client.back, client.redials = state["said"], state["back"], state["redials"]
            client.doubtful = set(state["doubtful"])
        return [state["code"] for state in told]

    async def finish(self) -> None:
        """Let all of them come to their end, and say goodbye."""
        await self._ask({"do": "stop"})
        while any(client.back[-1:] != [client.said - 1] for client in self.clients):
            assert not any(await self.look()), "one was closed"
            await asyncio.sleep(0.05)
        await self._ask({"do": "close"})
        while not all(codes := await self.look()):
            await asyncio.sleep(0.05)
        assert set(codes) == {1000}, codes


SCRIPT = Path(__file__).with_suffix(".js")
PACKAGES = (Path(__file__).parents[2] / "build" / "npm" / "node_modules", Path("/usr/share/nodejs"))
"""Where npm's packages are looked for, beside the places that node knows."""


def ws_is_missing() -> str | None:
    """Why there are no clients of npm's `ws`, or None."""
    node = shutil.which("node")
    if node is None:
        return "node is not installed (Debian: apt-get install nodejs node-ws)"
    found = subprocess.run([node, "-e", 'require("ws").WebSocket.name'], env=_environment(), capture_output=True)
    if found.returncode:
        return "node has no package ws (Debian: apt-get install node-ws; or npm install --prefix build/npm ws)"
    return None


def _environment() -> dict[str, str]:
    given = os.environ.get("NODE_PATH", "")
    return {**os.environ, "NODE_PATH": ":".join([*map(str, PACKAGES), *filter(None, [given])])}


@asynccontextmanager
async def ws_clients(count: int) -> AsyncIterator[Scripted]:
    """Give clients of npm's `ws`, in a process of their own."""
    made = await asyncio.create_subprocess_exec(
        "node", str(SCRIPT), stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=_environment(), limit=1 << 26
    )
    sender, receiver = made.stdin, made.stdout
    assert sender is not None and receiver is not None

    async def ask(command: dict[str, object]) -> Any:
        sender.write(json.dumps(command).encode() + b"\n")
        return json.loads(await receiver.readline())

    try:
        yield Scripted(count, ask)
    finally:
        sender.close()
        await made.wait()


def page_clients(count: int, page: Page) -> Scripted:
    """Return clients in a page that has `redial_clients.js`."""

    async def ask(command: dict[str, object]) -> Any:
        return await asyncio.to_thread(page.script, "return told(arguments[0], WebSocket)", command)

    return Scripted(count, ask)


class Restarted:
    """Two backends as processes of their own."""

    def __init__(self, ports: list[int]) -> None:
        self.ports = ports
        self._processes: dict[int, asyncio.subprocess.Process] = {}

    async def start(self, which: int) -> None:
        """Start one, and wait until it listens."""
        made = await asyncio.create_subprocess_exec(
            sys.executable, __file__, str(self.ports[which]), f"b{which}", stdout=asyncio.subprocess.PIPE
        )
        self._processes[which] = made
        assert made.stdout is not None
        assert await made.stdout.readline() == b"ready\n"

    async def kill(self, which: int) -> None:
        """Kill one, and wait until it is gone."""
        made = self._processes.pop(which)
        made.send_signal(signal.SIGKILL)
        await made.wait()

    async def stop(self) -> None:
        """Kill all."""
        for which in list(self._processes):
            await self.kill(which)


class Crowd:
    """Clients that chat at the same time: so many of `websockets`, and `others`."""

    def __init__(self, url: str, clients: int, pause: float, others: Sequence[Scripted] = ()) -> None:
        self._kept = [Kept(pause) for _ in range(clients)]
        self._running = [asyncio.ensure_future(each.run(url)) for each in self._kept]
        self._others = others
        self.clients: list[Chatter] = [*self._kept, *(client for each in others for client in each.clients)]
        self._begins = url, pause

    async def begin(self) -> None:
        """Let all have their first answers."""
        for each in self._others:
            await each.begin(*self._begins)
        await self.hears()

    async def until(self, found: Callable[[], bool]) -> None:
        """Wait for that. Raises what ends the connection of a client."""
        while not found():
            for task in self._running:
                if task.done():
                    task.result()
            for each in self._others:
                assert not any(await each.look()), "one was closed"
            await asyncio.sleep(0.05)

    async def hears(self, count: int = 2) -> None:
        """Wait until each has had so many more answers."""
        wanted = [(each, len(each.back) + count) for each in self.clients]
        await self.until(lambda: all(len(each.back) >= least for each, least in wanted))

    async def finish(self) -> tuple[int, int, int]:
        """Let all come to their end: messages said, lost, and redials."""
        for client in self._kept:
            client.stop.set()
        await asyncio.gather(*self._running, *(each.finish() for each in self._others))
        lost = sum(client.check() for client in self.clients)
        return sum(client.said for client in self.clients), lost, sum(client.redials for client in self.clients)


async def chat(
    url: str, backends: Restarted, clients: int, restarts: int, pause: float, others: Sequence[Scripted] = ()
) -> tuple[int, int, int]:
    """Let clients chat while each backend is killed and started again so often: messages said, lost, and redials."""
    crowd = Crowd(url, clients, pause, others)
    await crowd.begin()
    for _ in range(restarts):
        for which in range(len(backends.ports)):
            await crowd.hears()
            await backends.kill(which)
            await asyncio.sleep(pause)
            await backends.start(which)
    return await crowd.finish()


if __name__ == "__main__":
    asyncio.run(backend(int(sys.argv[1]), sys.argv[2]))

"""Clients that chat through backends which are killed and started again, and what each of them may have lost.

    python -m harness.redial_clients PORT NAME      a backend: answers each message with its name before it
"""

from __future__ import annotations

import asyncio
import signal
import sys
from collections.abc import Callable

from websockets.asyncio.client import connect
from websockets.asyncio.server import ServerConnection, serve

AGAIN = "another backend"
"""What the proxy is configured to announce."""


async def talk(connection: ServerConnection, name: str) -> None:
    async for message in connection:
        await connection.send(f"{name} {message!s}")


async def backend(port: int, name: str) -> None:
    async with serve(lambda connection: talk(connection, name), "127.0.0.1", port, compression=None):
        print("ready", flush=True)
        await asyncio.Event().wait()


class Kept:
    """A client that says numbers every `pause` seconds. `back` are those that were answered, in order; `doubtful` those
    that had no answer yet when another backend came; `redials` counts those."""

    def __init__(self, pause: float) -> None:
        self.pause = pause
        self.said = 0
        self.back: list[int] = []
        self.doubtful: set[int] = set()
        self.redials = 0
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

    def check(self) -> int:
        """Return how many were lost: only such as a backend had taken when it was killed. Order, and once."""
        assert self.back == sorted(set(self.back)), "in order, and none twice"
        lost = set(range(self.back[-1])) - set(self.back)
        assert lost <= self.doubtful, sorted(lost - self.doubtful)
        return len(lost)


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
    """Clients that chat at the same time."""

    def __init__(self, url: str, clients: int, pause: float) -> None:
        self.clients = [Kept(pause) for _ in range(clients)]
        self._running = [asyncio.ensure_future(each.run(url)) for each in self.clients]

    async def until(self, found: Callable[[], bool]) -> None:
        """Wait for that. Raises what ends the connection of a client."""
        while not found():
            for each in self._running:
                if each.done():
                    each.result()
            await asyncio.sleep(0.05)

    async def hears(self, count: int = 2) -> None:
        """Wait until each has had so many more answers."""
        wanted = [(each, len(each.back) + count) for each in self.clients]
        await self.until(lambda: all(len(each.back) >= least for each, least in wanted))

    async def finish(self) -> tuple[int, int, int]:
        """Let all come to their end: messages said, lost, and redials."""
        for client in self.clients:
            client.stop.set()
        await asyncio.gather(*self._running)
        lost = sum(client.check() for client in self.clients)
        return sum(client.said for client in self.clients), lost, sum(client.redials for client in self.clients)


async def chat(url: str, backends: Restarted, clients: int, restarts: int, pause: float) -> tuple[int, int, int]:
    """Let clients chat while each backend is killed and started again so often: messages said, lost, and redials."""
    crowd = Crowd(url, clients, pause)
    for _ in range(restarts):
        for which in range(len(backends.ports)):
            await crowd.hears()
            await backends.kill(which)
            await asyncio.sleep(pause)
            await backends.start(which)
    return await crowd.finish()


if __name__ == "__main__":
    asyncio.run(backend(int(sys.argv[1]), sys.argv[2]))

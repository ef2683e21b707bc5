"""WebSockets that are given another backend on purpose: both are healthy, and nothing at all is lost."""

from __future__ import annotations

import asyncio
import io
import json
from contextlib import redirect_stderr, redirect_stdout

import pytest
from websockets.asyncio.client import connect
from websockets.asyncio.server import ServerConnection, serve

from harness.proxy import in_http
from penstock.cli.main import main
from penstock.cli.upstreams.ask import NOT_THERE

SITE = """
    websocket_drain 500ms;
    upstream app {{ server 127.0.0.1:{{port:one}}{mark}; server 127.0.0.1:{{port:two}}; {method} }}
    server {{
        listen 127.0.0.1:{{port:front}};
        websocket auto;
        location / {{ websocket_redial 10s quiet=100ms; proxy_pass http://app; }}
        location /plain {{ proxy_pass http://app; }}
    }}
"""


class Backend:
    """Answers each message a moment later with its own name before it, as an application does that has work."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.open: set[ServerConnection] = set()
        self.headers: list[str] = []
        self.heard = 0

    async def talk(self, connection: ServerConnection) -> None:
        assert connection.request is not None
        self.headers.append(connection.request.headers.get("Penstock-Redial", ""))
        self.open.add(connection)
        try:
            async for message in connection:
                self.heard += 1
                await asyncio.sleep(0.005)
                await connection.send(f"{self.name} {message}")
        finally:
            self.open.discard(connection)


class Chatter:
    """A client that says numbers, and knows what has come back."""

    def __init__(self) -> None:
        self.said = 0
        self.back: list[int] = []
        self.names: list[str] = []
        self.stop = asyncio.Event()

    async def run(self, url: str) -> None:
        async with connect(url) as socket:

            async def listen() -> None:
                async for message in socket:
                    name, number = str(message).split()
                    self.names.append(name)
                    self.back.append(int(number))

            listening = asyncio.ensure_future(listen())
            while not self.stop.is_set():
                await socket.send(str(self.said))
                self.said += 1
                await asyncio.sleep(0.01)
            while len(self.back) < self.said:
                assert not listening.done(), "the client was disconnected"
                await asyncio.sleep(0.01)
            await socket.close()
            await listening


async def command(front, *words: str) -> str:
    """What a command of the command line says, once there is a worker to ask."""
    said = io.StringIO()

    def run() -> int:
        said.truncate(0)
        with redirect_stdout(said), redirect_stderr(said):
            return main([words[0], "--socket", f"{front.directory}/nginx.control", *words[1:]])

    for _ in range(500):
        code = await asyncio.to_thread(run)
        if code != NOT_THERE:
            break
        await asyncio.sleep(0.02)
    assert code == 0, said.getvalue()
    return said.getvalue()


async def until(found) -> None:
    for _ in range(3000):
        if found():
            return
        await asyncio.sleep(0.01)
    raise AssertionError("it does not come to that")


@pytest.mark.parametrize("how", ["command", "reload", "two reloads"])
def test_a_server_is_emptied_and_nothing_is_lost(proxy, how: str) -> None:
    async def main() -> None:
        one, two = Backend("one"), Backend("two")
        async with serve(one.talk, "127.0.0.1", 0) as first, serve(two.talk, "127.0.0.1", 0) as second:
            ports = {"one": first.sockets[0].getsockname()[1], "two": second.sockets[0].getsockname()[1]}
            text = in_http(SITE.format(mark="", method=""))
            front = await asyncio.to_thread(proxy, text, ports=ports)
            clients = [Chatter() for _ in range(6)]
            running = [asyncio.ensure_future(each.run(f"ws://127.0.0.1:{front.port()}/")) for each in clients]
            await until(lambda: len(one.open) == 3 and len(two.open) == 3 and one.heard > 10)
            if how == "command":
                said = await command(front, "drain", f"app/127.0.0.1:{ports['one']}", "--redial", "--spread", "500ms")
                assert "3 tunnels move to other servers" in said
            else:
                front.configure(in_http(SITE.format(mark=" drain", method="")))
                await asyncio.to_thread(front.reload)
            if how == "two reloads":
                # The second one comes while they are on their way.
                await asyncio.to_thread(front.logged, "moving servers that go", 30.0, "error.log")
                await asyncio.to_thread(front.reload)
            await until(lambda: not one.open and len(two.open) == 6)
            for each in clients:
                each.stop.set()
            await asyncio.gather(*running)
            for each in clients:
                assert each.back == list(range(each.said)), "every answer, once, in order"
            assert sum("two" in each.names and each.names[0] == "one" for each in clients) == 3
            assert sum(header.endswith("count=1, reason=moved") for header in two.headers) == 3

    asyncio.run(main())


def test_a_group_is_evened_out(proxy) -> None:
    async def main() -> None:
        one, two = Backend("one"), Backend("two")
        async with serve(one.talk, "127.0.0.1", 0) as first, serve(two.talk, "127.0.0.1", 0) as second:
            ports = {"one": first.sockets[0].getsockname()[1], "two": second.sockets[0].getsockname()[1]}
            front = await asyncio.to_thread(proxy, in_http(SITE.format(mark="", method="")), ports=ports)
            target = f"app/127.0.0.1:{ports['two']}"
            await command(front, "upstreams", "set", target, "down")
            clients = [Chatter() for _ in range(6)]
            running = [asyncio.ensure_future(each.run(f"ws://127.0.0.1:{front.port()}/")) for each in clients]
            plain = await connect(f"ws://127.0.0.1:{front.port()}/plain")
            await until(lambda: len(one.open) == 7)
            await command(front, "upstreams", "set", target, "up")
            assert "3 of 7 tunnels too many" in await command(front, "rebalance", "app", "--dry-run")
            said = await command(front, "rebalance", "app", "--spread", "300ms")
            assert "3 tunnels move" in said
            assert "1 that may have no other stays" in said
            await until(lambda: len(one.open) == 4 and len(two.open) == 3)
            assert "even" in await command(front, "rebalance", "app")
            for each in clients:
                each.stop.set()
            await asyncio.gather(*running)
            assert all(each.back == list(range(each.said)) for each in clients)
            await plain.close()

    asyncio.run(main())


def test_one_that_finds_nobody_stays(proxy) -> None:
    async def main() -> None:
        one, two = Backend("one"), Backend("two")
        async with serve(one.talk, "127.0.0.1", 0) as first, serve(two.talk, "127.0.0.1", 0) as second:
            ports = {"one": first.sockets[0].getsockname()[1], "two": second.sockets[0].getsockname()[1]}
            front = await asyncio.to_thread(proxy, in_http(SITE.format(mark="", method="")), ports=ports)
            second.close()
            await second.wait_closed()
            client = Chatter()
            running = asyncio.ensure_future(client.run(f"ws://127.0.0.1:{front.port()}/"))
            await until(lambda: one.heard > 5)
            await command(front, "drain", f"app/127.0.0.1:{ports['one']}", "--redial", "--spread", "0s")
            await asyncio.to_thread(front.logged, "a WebSocket stays where it is", 30.0, "error.log")
            told = json.loads(await command(front, "tunnels", "--json"))
            assert [each["peer"] for each in told["tunnels"]] == [f"127.0.0.1:{ports['one']}"], "who serves it"
            heard = one.heard
            await until(lambda: one.heard > heard + 5)
            client.stop.set()
            await running
            assert client.back == list(range(client.said))

    asyncio.run(main())




@pytest.mark.parametrize("other", ["none", "drained"])
def test_one_whose_upstream_has_no_other_server_stays(proxy, other: str) -> None:
    """It does not come back to the server that is to be left, and not to one that everybody is to leave."""

    async def main() -> None:
        one, two = Backend("one"), Backend("two")
        async with serve(one.talk, "127.0.0.1", 0) as first, serve(two.talk, "127.0.0.1", 0) as second:
            port, port_two = (each.sockets[0].getsockname()[1] for each in (first, second))
            drained = " server 127.0.0.1:{port:two} drain;" if other == "drained" else ""
            text = in_http(SITE.format(mark="", method="").replace(" server 127.0.0.1:{port:two};", drained))
            front = await asyncio.to_thread(proxy, text, ports={"one": port, "two": port_two})
            client = Chatter()
            running = asyncio.ensure_future(client.run(f"ws://127.0.0.1:{front.port()}/"))
            await until(lambda: one.heard > 5)
            await command(front, "drain", f"app/127.0.0.1:{port}", "--redial", "--spread", "0s")
            await asyncio.to_thread(front.logged, "a WebSocket stays where it is", 30.0, "error.log")
            client.stop.set()
            await running
            assert client.back == list(range(client.said))
            assert len(one.headers) == 1 and not two.headers

    asyncio.run(main())

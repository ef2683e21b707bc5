"""Nothing is lost, doubled or changed with every WebSocket feature switched on."""

import asyncio
import hashlib
import random
import time

import pytest
from websockets.asyncio.client import connect as connect_async
from websockets.sync.client import connect

from harness.backends import HttpEcho, WebSocketEcho, hold
from harness.proxy import in_http
from harness.wire import PING, PONG, TEXT, WireClient, masked, plain, switch

ALL = """
    log_format ws "$websocket_messages_in/$websocket_messages_out pings=$websocket_pings";
    access_log access.log ws;
    websocket_drain 10s;
    upstream back { server 127.0.0.1:{port:back}; }
    server {
        listen 127.0.0.1:{port:front};
        location / {
            websocket on;
            proxy_pass http://back;
            websocket_ping 50ms timeout=60s to=both;
            websocket_max_message 64m from=both;
            websocket_max_frame 64m from=both;
            websocket_max_lifetime 1h jitter=10%;
            websocket_reauth 1s /auth;
        }
        location /rate {
            websocket on;
            proxy_pass http://back;
            websocket_rate 100000r/s burst=100000 from=both;
            websocket_max_frame 1m from=both;
        }
        location = /auth { proxy_pass http://127.0.0.1:{port:auth}; }
    }
"""


@pytest.fixture
def front(proxy):
    with HttpEcho() as judge, WebSocketEcho(max_size=None) as echo:
        yield proxy(in_http(ALL), ports={"back": echo.port, "auth": judge.port})


def test_two_hundred_tunnels(front) -> None:
    def parts(chance: random.Random) -> list[bytes]:
        sizes = (0, 1, 125, 126, 127, 1000, 65535, 65536, chance.randrange(3000))
        return [chance.randbytes(chance.choice(sizes)) for _ in range(chance.choice((1, 1, 2, 5)))]

    async def tunnel(number: int) -> tuple[int, int]:
        chance = random.Random(number)
        sent, got = hashlib.sha256(), hashlib.sha256()
        count = total = 0
        where = front.url(chance.choice(("/", "/rate")), "ws")
        compression = chance.choice((None, None, "deflate"))
        async with connect_async(where, compression=compression, ping_interval=None, max_size=None) as client:

            async def receive() -> None:
                for _ in range(10):
                    message = await client.recv()
                    got.update(f"{len(message)} ".encode() + message)

            receiving = asyncio.ensure_future(receive())
            for _ in range(10):
                message = parts(chance)
                await client.send(message if len(message) > 1 else message[0])
                whole = b"".join(message)
                sent.update(f"{len(whole)} ".encode() + whole)
                count += 1
                total += len(whole)
                if not chance.randrange(5):
                    await (await client.ping(chance.randbytes(chance.randrange(125))))
                if not chance.randrange(8):
                    await asyncio.sleep(0.1)
            await receiving
        assert got.digest() == sent.digest()
        return count, total

    async def main() -> list[tuple[int, int]]:
        gate = asyncio.Semaphore(50)

        async def one(number: int) -> tuple[int, int]:
            async with gate:
                return await tunnel(number)

        return await asyncio.wait_for(asyncio.gather(*(one(number) for number in range(200))), 120)

    told = asyncio.run(main())
    assert [count for count, _ in told] == [10] * 200
    front.logged(r"(?:10/10 .*\n){200}")


def test_sixteen_mebibytes(front) -> None:
    message = random.Random(1).randbytes(16 << 20)
    with connect(front.url("/", "ws"), compression=None, max_size=None) as client:
        client.send(message)
        assert client.recv() == message
        client.send([message[at : at + 100_000] for at in range(0, len(message), 100_000)])
        assert client.recv() == message
        client.send("")
        assert client.recv() == ""


def test_control_frames_between_fragments(proxy, raw_backend) -> None:
    """Cut byte by byte, in both directions: every frame comes out as it went in."""
    chance = random.Random(3)
    from_backend = (
        plain(b"", TEXT)[:1].replace(b"\x81", b"\x01") + b"\x03abc" + plain(b"ping", PING) + b"\x00\x00"
        + plain(b"", PONG) + b"\x80\x7e\x01\x00" + b"z" * 256 + plain(b"")
    )  # fmt: skip
    backend = raw_backend([switch, *(bytes((byte,)) for byte in from_backend), hold])
    with HttpEcho() as judge:
        front = proxy(in_http(ALL.replace("50ms", "1h")), ports={"back": backend.port, "auth": judge.port})
        with WireClient(front.port()) as client:
            sent = b"\x01" + masked(b"abc", TEXT)[1:] + masked(b"x" * 125, PING) + b"\x80" + masked(b"d" * 300)[1:]
            sent += masked(b"") + masked(b"y" * 70000)
            at = 0
            while at < len(sent):
                size = chance.choice((1, 1, 2, 7, 9000))
                client.send(sent[at : at + size])
                at += size
            assert client.recv_exactly(len(from_backend)) == from_backend
            deadline = time.monotonic() + 10
            talk = backend.conversations[0]
            while not talk.received.endswith(sent) and time.monotonic() < deadline:
                time.sleep(0.02)
            assert talk.received.partition(b"\r\n\r\n")[2] == sent

"""What a fleet costs: the processor time of a handshake, measured, and a fleet of any size, computed from it.

    python experiments/fleet.py measure                     a redis-server and a Penstock are started: seconds
    python experiments/fleet.py simulate --machines 50 --workers 8 --tunnels 1000000 --handshakes 10000 --zones 2

`simulate` goes through ten seconds of a fleet's messages, drawn by chance, on one Redis that serves one at a time: how
busy it is, how long answers take, what goes over the wire, what it stores. Figures are in docs/internals/scale.md.
"""

from __future__ import annotations

import argparse
import heapq
import os
import random
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))

from penstock.modules.fleet import lease as brings
from penstock.modules.fleet import scripts
from penstock.modules.fleet.holdings import BATCH, Holdings
from penstock.modules.fleet.lease import Lease
from penstock.modules.fleet.membership import FleetOptions
from penstock.net.redis.opening import RedisAddress

HANDSHAKES, ROUNDS = 4000, 3
NODE = """
{{value:fleet}}
http {{
    access_log off;
    limit_conn_zone $arg_user zone=users:10m {sync};
    limit_conn_zone $server_name zone=all:10m {sync};
    server {{
        listen 127.0.0.1:{{port:front}};
        location / {{
            {limits}
            proxy_pass http://127.0.0.1:{{port:ws}};
            proxy_http_version 1.1;
            proxy_set_header Upgrade $http_upgrade;
            proxy_set_header Connection upgrade;
        }}
    }}
}}
"""
LIMITS = "limit_conn users 60000; limit_conn all 60000;"

# By `measure`, with redis-server 7.0.15 on two cores that two dozen other programs wanted, too: microseconds of Redis's
# processor time for two places, a place that is left (20 in one message), a renewal, a place of the truth; bytes.
ENTER, LEAVE, RENEWAL, PLACE_TOLD = 74.2, 7.1, 59.4, 5.0
BYTES_ENTER, BYTES_ENTER_REPLY, BYTES_PLACE_LEFT = 290, 9, 16
BYTES_PLACE = 166


def measure() -> None:
    """Measure the worker's side and Redis's."""
    from harness.redis_server import RedisServer

    with RedisServer() as redis:
        in_redis(redis)
        in_library(redis)
        in_worker(redis)


def in_redis(redis: object) -> None:
    """Print what each script costs Redis, and what a place takes of its memory."""
    client = redis.client()  # type: ignore[attr-defined]
    options = FleetOptions(RedisAddress("x", 1), node="n1")
    lease, holdings = Lease(options), Holdings()
    base = options.base
    keys = [base, base + b":l", base + b":l:" + lease.own, base + b":t"]
    for script in scripts.ALL:
        client.script_load(script.text)

    def call(script: scripts.Script, packed: bytes, left: bytes = b"") -> object:
        return client.evalsha(script.sha, len(keys), *keys, packed, left if script is scripts.enter else lease.own)

    process = client.info("server")["process_id"]

    def busy() -> float:
        return spent(process) * 1e6  # of a processor: Redis's own figures are of the clock on the wall

    call(scripts.renew, lease.renewal(brings.ALL, b""))
    client.hset(base, "sure", 0)
    for name, zones, count in (("one place", 1, 20_000), ("two places", 2, 20_000)):
        before = busy()
        for number in range(count):
            digests = [(number * 7 + zone).to_bytes(16, "big") for zone in range(zones)]
            packed = bytes((zones, 0)) + b"".join(each + b"\xff\xff\0\0" for each in digests)
            assert call(scripts.enter, packed)[0] == 1  # type: ignore[index]
        print(f"enter, {name}: {(busy() - before) / count:.1f} us of Redis")
    before = busy()
    digests = [number.to_bytes(16, "big") for number in (1, 2)]
    packed = bytes((2, 0)) + b"".join(each + b"\xff\xff\0\0" for each in digests)
    for number in range(20_000):
        assert call(scripts.enter, packed, b"".join(digests) if number else b"")[0] == 1  # type: ignore[index]
    print(f"the same, with two that are left: {(busy() - before) / 20_000:.1f} us of Redis")
    before = busy()
    for number in range(0, 20_000, 20):
        call(scripts.leave_places, b"".join(((number + at) * 7).to_bytes(16, "big") for at in range(20)))
    print(f"leave, 20 at once: {(busy() - before) / 20_000:.1f} us of Redis for each")
    before = busy()
    for _ in range(2000):
        call(scripts.renew, lease.renewal(brings.RENEW, b""))
    print(f"renewal: {(busy() - before) / 2000:.1f} us of Redis")
    client.flushall()
    call(scripts.renew, lease.renewal(brings.ALL, b""))
    before_bytes = client.info("memory")["used_memory"]
    told = 100_000
    before = busy()
    for first in range(0, told, BATCH):
        for number in range(first, first + BATCH):
            holdings.hold((number.to_bytes(16, "big"),))
        packed = holdings.pack([number.to_bytes(16, "big") for number in range(first, first + BATCH)])
        call(scripts.renew, lease.renewal(brings.MORE, packed))
    print(f"truth: {(busy() - before) / told:.1f} us of Redis for each place")
    print(f"memory: {(client.info('memory')['used_memory'] - before_bytes) / told:.0f} bytes for each key that is held")
    client.close()


def in_library(redis: object) -> None:
    """Print what the same question costs who asks by the library's own client, and what packing it and reading its
    answer cost here: sockets are in the first figures alone."""
    import asyncio

    from redis.asyncio import Redis

    from penstock.net.redis.replies import EMPTY, ReplyReader, argument

    lease = Lease(FleetOptions(RedisAddress("x", 1), node="n1"))
    packed = bytes((2, 0)) + b"".join(bytes([zone] * 16) + b"\xff\xff\0\0" for zone in (1, 2))
    client = redis.client(protocol=3)  # type: ignore[attr-defined]
    sha = client.script_load("return {1}")
    count = 5000

    def each(began: float) -> str:
        return f"{(time.process_time() - began) / count * 1e6:.0f} us"

    began = time.process_time()
    for _ in range(count):
        client.evalsha(sha, 4, b"a", b"b", b"c", b"d", packed)
    print(f"a question by the library, waiting: {each(began)} of who asks")

    async def ask() -> str:
        waiting = Redis(host="127.0.0.1", port=redis.port, protocol=3)  # type: ignore[attr-defined]
        await waiting.ping()
        began = time.process_time()
        for _ in range(count):
            await waiting.evalsha(sha, 4, b"a", b"b", b"c", b"d", packed)  # type: ignore[misc]
        took = each(began)
        await waiting.aclose()
        return took

    print(f"by its asyncio client: {asyncio.run(ask())}")
    reader = ReplyReader()
    began = time.process_time()
    for _ in range(count):
        lease.command(scripts.enter, argument(packed) + EMPTY)
        reader.feed(b"*1\r\n:1\r\n")
    print(f"written and read here: {each(began)}")
    client.close()


def in_worker(redis: object) -> None:
    """Print what a handshake costs the worker, with zones of its own and of the fleet."""
    import socket
    import threading

    from harness.machines import HANDSHAKE, joined
    from harness.proxy import Proxy
    from harness.waiting import eventually

    backend = socket.create_server(("127.0.0.1", 0), backlog=512)

    def serve() -> None:
        while True:
            sock, _ = backend.accept()
            data = b""
            while b"\r\n\r\n" not in data:
                data += sock.recv(4096)
            sock.sendall(
                b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
                b"Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n"
            )
            sock.close()

    threading.Thread(target=serve, daemon=True).start()
    ports = {"ws": backend.getsockname()[1]}
    fleet = f"fleet {redis.address};"  # type: ignore[attr-defined]
    found: dict[str, list[float]] = {}
    for _ in range(ROUNDS):
        for name, sync, given in (("local zones", "", ""), ("fleet, no sync zone", "", fleet), ("sync", "sync", fleet)):
            text = NODE.format(sync=sync, limits=LIMITS)
            with Proxy(text, ports=ports, values={"fleet": given}) as front:
                if given:
                    joined(redis, 1)  # type: ignore[arg-type]
                (worker,) = eventually(front.children)
                shake = HANDSHAKE.format(target="/?user=a", more="").encode()
                for count in (HANDSHAKES // 10, HANDSHAKES):
                    began = spent(worker)
                    for _ in range(count):
                        with socket.create_connection(("127.0.0.1", front.port())) as client:
                            client.sendall(shake)
                            assert client.recv(1000).startswith(b"HTTP/1.1 101")
                found.setdefault(name, []).append((spent(worker) - began) / HANDSHAKES * 1e6)
    for name, each in found.items():
        print(f"handshake, {name}: {min(each):.0f} us of the worker (of {', '.join(f'{one:.0f}' for one in each)})")


def spent(pid: int) -> float:
    """Return the seconds that a process has had of a processor."""
    return int(Path(f"/proc/{pid}/schedstat").read_text().split()[0]) / 1e9


def simulate(given: argparse.Namespace) -> None:
    """Print what one Redis has to do for a fleet."""
    chance = random.Random(1)
    workers, seconds = given.machines * given.workers, 10.0
    events: list[tuple[float, float, bool]] = []
    enter = ENTER * (0.5 + 0.25 * given.zones)  # one place takes three quarters of what two take
    for _ in range(int(given.handshakes * seconds)):
        events.append((chance.random() * seconds, enter, True))
    # As many tunnels end as begin. What ends on one worker within 20 ms leaves in one message.
    for _ in range(int(min(given.handshakes, workers / 0.02) * seconds)):
        each = max(1.0, given.handshakes * 0.02 / workers)
        events.append((chance.random() * seconds, 8 + LEAVE * each * given.zones, False))
    for _ in range(workers):
        moment = chance.random() * given.lease / 3
        while moment < seconds:
            events.append((moment, RENEWAL + workers * 0.12, False))
            moment += given.lease / 3
    heapq.heapify(events)
    free, busy, waits = 0.0, 0.0, []
    while events:
        moment, cost, asked = heapq.heappop(events)
        begin = max(free, moment)
        free = begin + cost / 1e6
        busy += cost / 1e6
        if asked:
            waits.append(free - moment)
    waits.sort()
    wire = given.handshakes * (BYTES_ENTER + 20 * (given.zones - 1) + BYTES_ENTER_REPLY)
    wire += given.handshakes * BYTES_PLACE_LEFT * given.zones
    listing = workers * workers / (given.lease / 3) * 35
    recover = given.tunnels * given.zones * PLACE_TOLD / 1e6
    print(f"Redis is busy {busy / seconds:.0%} of the time")
    half, most = (waits[len(waits) * part // 100] * 1e6 for part in (50, 99))
    print(f"an answer takes {half:.0f} us in Redis, 99 of 100 {most:.0f} us")
    print(f"over the wire: {wire / 1e6:.1f} MB/s of questions, {listing / 1e6:.1f} MB/s of leases")
    print(f"memory of Redis: {given.tunnels * given.zones * BYTES_PLACE / 1e6:.0f} MB if every key is held once")
    print(f"after a flush, the truth takes {recover:.1f} s of Redis")
    print(f"most handshakes a second, at 70 %: {0.7 / (busy / seconds) * given.handshakes:.0f}")


def main() -> None:
    """Read the arguments."""
    reader = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    reader.add_argument("what", choices=("measure", "simulate"))
    reader.add_argument("--machines", type=int, default=50)
    reader.add_argument("--workers", type=int, default=8, help="of each machine")
    reader.add_argument("--tunnels", type=int, default=1_000_000)
    reader.add_argument("--handshakes", type=int, default=10_000, help="a second")
    reader.add_argument("--zones", type=int, default=2)
    reader.add_argument("--lease", type=float, default=15.0)
    given = reader.parse_args()
    if given.what == "measure":
        os.environ.setdefault("CI", "true")
        began = time.monotonic()
        measure()
        print(f"took {time.monotonic() - began:.0f} s")
    else:
        simulate(given)


if __name__ == "__main__":
    main()

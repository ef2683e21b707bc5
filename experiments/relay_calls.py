"""What does one relayed message cost in each way of writing the handler?

    python experiments/relay_calls.py

A message goes through a relay in this process (one socket pair in, one out) and is read at the far end by a second hot
handler; the figure is for the whole way, so only differences mean something. Lowest of three runs, on 2 shared cores
that were not idle (add_reader varied up to twofold between runs), Python 3.11, Linux 6.18, microseconds:

    message                                  64 B    16 KiB    64 KiB and a head
    recv_into + send of a slice              6.7       9.3       18.5    <- net/relay/side.py
    recv(16384) + send                       6.6       8.8       32      (five turns)
    os.read(16384) + os.write                6.7       9.1       33      (five turns)
    recv_into + send, through add_reader     7.7      10.3       20

Behind TCP and a C load generator (bench/loadgen.c, 100 tunnels, 64 bytes; CPU of the relay per echo, median of seven
interleaved runs): nginx 9.6, recv_into 11.6, recv 11.7, os.read 11.4, recv_into without any bookkeeping 11.6. The
counters and the clock cannot be measured; perf says 88 % of the time is the kernel's and 9 % the interpreter's.

What did matter:
    buffer of 80 KiB instead of 64   a message of 64 KiB has a head, and so took two turns: 40.2 -> 30.6 us per echo
    edge-triggered epoll             3 % less for short messages (the kernel does not look again at what was reported).
                                     Not taken: level-triggered needs no proof that everything was read
"""

from __future__ import annotations

import asyncio
import os
import socket
from collections.abc import Callable
from time import perf_counter

from penstock.net.loop import IN, Loop, new_loop

ROUNDS = 20000
BUFFER = bytearray(81920)
VIEW = memoryview(BUFFER)


def into(source: socket.socket, sink: socket.socket) -> Callable[[int], None]:
    receive, send = source.recv_into, sink.send

    def handler(_mask: int) -> None:
        count = receive(BUFFER)
        send(VIEW[:count])

    return handler


def fresh(source: socket.socket, sink: socket.socket) -> Callable[[int], None]:
    receive, send = source.recv, sink.send

    def handler(_mask: int) -> None:
        send(receive(16384))

    return handler


def system(source: socket.socket, sink: socket.socket) -> Callable[[int], None]:
    read, write, fd, out = os.read, os.write, source.fileno(), sink.fileno()

    def handler(_mask: int) -> None:
        write(out, read(fd, 16384))

    return handler


def measure(loop: Loop, make: Callable[..., Callable[[int], None]], size: int, through_asyncio: bool) -> float:
    near, source = socket.socketpair()
    sink, far = socket.socketpair()
    for sock in (near, source, sink, far):
        sock.setblocking(False)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 1 << 20)
    message = os.urandom(size)
    left = ROUNDS
    got = 0
    drain = bytearray(1 << 18)
    pump = make(source, sink)

    def arrived(_mask: int) -> None:
        nonlocal left, got
        got += far.recv_into(drain)
        if got < size:
            return
        got = 0
        left -= 1
        if left:
            near.send(message)
        else:
            loop.stop()

    if through_asyncio:
        loop.add_reader(source.fileno(), pump, IN)
    else:
        loop.hot.watch(source.fileno(), IN, pump)
    loop.hot.watch(far.fileno(), IN, arrived)
    near.send(message)
    begun = perf_counter()
    loop.run_forever()
    taken = perf_counter() - begun
    loop.hot.forget(far.fileno())
    loop.remove_reader(source.fileno())
    loop.hot.forget(source.fileno())
    for sock in (near, source, sink, far):
        sock.close()
    return taken / ROUNDS * 1e6


def main() -> None:
    loop = new_loop()
    asyncio.set_event_loop(loop)
    sizes = (64, 16384, 65550)
    print(f"{'':42}" + "".join(f"{size:>10}" for size in sizes))
    for name, make, through_asyncio in (
        ("recv_into + send of a slice", into, False),
        ("recv + send", fresh, False),
        ("os.read + os.write", system, False),
        ("recv_into + send, through add_reader", into, True),
    ):
        figures = [min(measure(loop, make, size, through_asyncio) for _ in range(3)) for size in sizes]
        print(f"{name:42}" + "".join(f"{figure:10.2f}" for figure in figures))
    loop.close()


if __name__ == "__main__":
    main()

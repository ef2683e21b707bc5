"""Random traffic through the twin, with whoever reads slowly, leaves, or is dismissed and engaged again: every byte
arrives once and in order, whatever it hands back. Run it under the sanitizers with `make sanitize`."""

import os
import random
import select
import socket

import pytest

from penstock.net.relay.compiled import END, FAILED, FULL, SHORT, Twin

twin_module = pytest.importorskip("penstock.net.relay._twin", reason="no compiled relay in this installation")

WATCHED = select.EPOLLIN | select.EPOLLRDHUP
ROUNDS = int(os.environ.get("TWIN_ROUNDS", "400"))


class Way:
    """One direction: what was sent, what has arrived, what waits to be passed on by hand."""

    def __init__(self, source: socket.socket, sink: socket.socket, reads: socket.socket, writes: socket.socket) -> None:
        self.source, self.sink, self.reads, self.writes = source, sink, reads, writes
        self.sent = bytearray()
        self.arrived = bytearray()
        self.kept = b""


class Pair:
    """client - left | right - backend."""

    def __init__(self, epoll: select.epoll, twin: Twin, dice: random.Random) -> None:
        self.client, self.left = socket.socketpair()
        self.right, self.backend = socket.socketpair()
        self.twin = twin
        self.engaged = False
        for sock in (self.client, self.left, self.right, self.backend):
            sock.setblocking(False)
            if dice.random() < 0.5:
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, dice.choice((2048, 8192, 65536)))
        epoll.register(self.left, WATCHED)
        epoll.register(self.right, WATCHED)
        self.ways = (
            Way(self.client, self.backend, self.left, self.right),
            Way(self.backend, self.client, self.right, self.left),
        )
        self.engage()

    def engage(self) -> None:
        assert not self.engaged
        self.twin.engage(self.left.fileno(), 0, 0.0, self.right.fileno(), 0, 0.0)
        self.engaged = True

    def dismiss(self) -> None:
        """By hand from here on; both descriptors are given back."""
        if not self.engaged:
            return
        self.engaged = False
        for way in self.ways:
            _, _, trouble, errno, kept = self.twin.dismiss(way.reads.fileno())
            assert trouble not in (FULL, FAILED, END) or not kept
            assert (trouble == SHORT) == bool(kept)
            assert not errno
            way.kept = kept

    def push(self) -> bool:
        """Pass on by hand what was kept; whether nothing is any more."""
        for way in self.ways:
            if way.kept:
                try:
                    way.kept = way.kept[way.writes.send(way.kept) :]
                except BlockingIOError:
                    pass
        return not any(way.kept for way in self.ways)

    def close(self) -> None:
        self.dismiss()
        for sock in (self.client, self.left, self.right, self.backend):
            sock.close()


def _send(way: Way, dice: random.Random) -> None:
    data = dice.randbytes(dice.choice((1, 60, 3000, 100_000)))
    try:
        way.sent += data[: way.source.send(data)]
    except BlockingIOError:
        pass


def _receive(way: Way, most: int) -> None:
    try:
        way.arrived += way.sink.recv(most)
    except BlockingIOError:
        pass


def _serve(pairs: list[Pair], told: list[tuple[int, int]]) -> None:
    owners = {sock.fileno(): pair for pair in pairs for sock in (pair.left, pair.right)}
    for fd, _ in told:
        owners[fd].dismiss()


@pytest.mark.parametrize("seed", range(3))
def test_random_traffic(seed: int) -> None:
    dice = random.Random(seed)
    with select.epoll() as epoll:
        twin: Twin = twin_module.Twin(epoll.fileno())
        pairs = [Pair(epoll, twin, dice) for _ in range(8)]
        for _ in range(ROUNDS * 25):
            pair = dice.choice(pairs)
            way = dice.choice(pair.ways)
            match dice.randrange(8):
                case 0 | 1 | 2:
                    _send(way, dice)
                case 3 | 4:
                    _receive(way, dice.choice((10, 5000, 200_000)))
                case 5:
                    pair.dismiss()
                case 6:
                    if not pair.engaged and pair.push():
                        pair.engage()
                case _:
                    if dice.random() < 0.05:
                        pairs.remove(pair)
                        pair.close()
                        pairs.append(Pair(epoll, twin, dice))
            _serve(pairs, twin.poll(0, 256))
        for pair in pairs:
            _drain(pair, pairs, twin)
            for way in pair.ways:
                assert way.arrived == way.sent
        for pair in pairs:
            pair.close()


def _drain(pair: Pair, pairs: list[Pair], twin: Twin) -> None:
    for _ in range(20_000):
        if all(len(way.arrived) == len(way.sent) for way in pair.ways):
            return
        if not pair.engaged and pair.push():
            pair.engage()
        for way in pair.ways:
            _receive(way, 200_000)
        _serve(pairs, twin.poll(0, 256))
    pytest.fail("bytes are missing")

"""Names asked for at name servers that answer, keep silent, lie, or cut their answers short."""

import asyncio
import socket
import struct
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest

from penstock.net.fiber import Fiber, spawn
from penstock.net.loop import new_loop
from penstock.upstream.names import resolver as under_test
from penstock.upstream.names.dns import AAAA, CNAME, A, encoded
from penstock.upstream.names.resolver import FoundAddresses, Resolver
from penstock.upstream.names.unresolved import Unresolved

Records = list[tuple[int, int, bytes]]
Answering = Callable[[str, int, int], "Records | int | None"]
"""Name, kind, how often it was asked -> records (kind, ttl, data), an error code, or silence."""


class Server:
    """A name server over UDP in a thread; counts what it is asked."""

    def __init__(self, answering: Answering) -> None:
        self.answering = answering
        self.asked: Counter[tuple[str, int]] = Counter()
        self.socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.socket.bind(("127.0.0.1", 0))
        self.address: tuple[str, int] = self.socket.getsockname()
        self.thread = threading.Thread(target=self.serve, daemon=True)
        self.thread.start()

    def serve(self) -> None:
        while True:
            data, sender = self.socket.recvfrom(512)
            if not data:
                return
            reply = self.reply(data)
            if reply is not None:
                self.socket.sendto(reply, sender)

    def reply(self, data: bytes, flags: int = 0x8180) -> bytes | None:
        labels, at = [], 12
        while data[at]:
            labels.append(data[at + 1 : at + 1 + data[at]].decode())
            at += 1 + data[at]
        name, kind = ".".join(labels), int.from_bytes(data[at + 1 : at + 3], "big")
        self.asked[name, kind] += 1
        said = self.answering(name, kind, self.asked[name, kind])
        if said is None:
            return None
        code, records = (said, []) if isinstance(said, int) else (0, said)
        head = data[:2] + struct.pack("!5H", flags | code, 1, len(records), 0, 0)
        body = b"".join(b"\xc0\x0c" + struct.pack("!2HIH", of, 1, ttl, len(rd)) + rd for of, ttl, rd in records)
        return head + data[12 : at + 5] + body

    def stop(self) -> None:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
            sock.sendto(b"", self.address)
        self.thread.join(5)
        self.socket.close()


@contextmanager
def serving(*answering: Answering) -> Iterator[list[Server]]:
    servers = [Server(each) for each in answering]
    try:
        yield servers
    finally:
        for each in servers:
            each.stop()


@pytest.fixture(autouse=True)
def soon(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(under_test, "RESEND", 0.1)


def ask(resolver: Resolver, *names: str, timeout: float = 3.0, at_once: bool = False) -> list[list[str] | str]:
    """What each name leads to; the text of the failure where it leads nowhere."""

    async def one(name: str) -> list[str] | str:
        try:
            return list((await resolver.addresses(name, timeout)).addresses)
        except Unresolved as error:
            return str(error)

    async def every() -> list[list[str] | str]:
        if not at_once:
            return [await one(name) for name in names]
        fibers: list[Fiber[list[str] | str]] = [spawn(one(name)) for name in names]
        return [await fiber.join() for fiber in fibers]

    loop = new_loop()
    try:
        return loop.run(every())
    finally:
        loop.close()


def v4(*last: int, ttl: int = 60) -> Records:
    return [(A, ttl, bytes((127, 0, 0, each))) for each in last]


def only_v4(*last: int, ttl: int = 60) -> Answering:
    return lambda name, kind, times: v4(*last, ttl=ttl) if kind == A else []


def test_a_late_answer_of_the_only_server_is_one() -> None:
    def slow(name: str, kind: int, times: int) -> Records:
        time.sleep(0.15)
        return v4(1) if kind == A else []

    with serving(slow) as (server,):
        assert ask(Resolver([server.address], kinds=[A]), "slow.example") == [["127.0.0.1"]]
    assert server.asked["slow.example", A] == 2, "asked again meanwhile"


def test_both_families_and_the_memory_for_them() -> None:
    def answering(name: str, kind: int, times: int) -> Records:
        return v4(1) if kind == A else [(AAAA, 60, bytes(15) + b"\1")]

    with serving(answering) as (server,):
        resolver = Resolver([server.address])
        assert ask(resolver, "app.test", "APP.test.") == [["127.0.0.1", "::1"]] * 2
        assert server.asked == {("app.test", A): 1, ("app.test", AAAA): 1}
        assert ask(Resolver([server.address], kinds=[AAAA]), "app.test") == [["::1"]]


def test_many_that_want_one_name_ask_once() -> None:
    with serving(only_v4(1)) as (server,):
        assert ask(Resolver([server.address]), *["app.test"] * 20, at_once=True) == [["127.0.0.1"]] * 20
        assert server.asked["app.test", A] == 1


def test_an_answer_holds_as_long_as_it_says_or_as_valid_says() -> None:
    with serving(only_v4(1, ttl=0)) as (server,):
        ask(Resolver([server.address], kinds=[A]), "app.test", "app.test")
        assert server.asked["app.test", A] == 2
        ask(Resolver([server.address], kinds=[A], valid=30), "app.test", "app.test")
        assert server.asked["app.test", A] == 3


def test_aliases_are_followed_and_never_in_a_circle() -> None:
    def answering(name: str, kind: int, times: int) -> Records:
        if name == "web.test":
            return v4(7) if kind == A else []
        return [(CNAME, 60, encoded("web.test" if name == "app.test" else "round.test"))]

    with serving(answering) as (server,):
        resolver = Resolver([server.address])
        assert ask(resolver, "app.test", "app.test", "web.test") == [["127.0.0.7"]] * 3
        assert server.asked["web.test", A] == 1
        assert ask(resolver, "round.test") == ["round.test could not be resolved (3: Host not found)"]


def test_no_is_an_answer_that_is_not_remembered() -> None:
    with serving(lambda name, kind, times: 3 if times == 1 else v4(1)) as (server,):
        resolver = Resolver([server.address], kinds=[A])
        assert ask(resolver, "app.test", "app.test") == [
            "app.test could not be resolved (3: Host not found)",
            ["127.0.0.1"],
        ]


def test_failure_of_one_family_is_failure() -> None:
    with serving(lambda name, kind, times: v4(1) if kind == A else 2) as (server,):
        assert ask(Resolver([server.address]), "app.test") == ["app.test could not be resolved (2: Server failure)"]


def test_silence_and_refusal_move_on_to_the_next_server() -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as closed:
        closed.bind(("127.0.0.1", 0))
        nobody = closed.getsockname()
    with serving(lambda name, kind, times: None, only_v4(1)) as (silent, server):
        said: list[str] = []
        resolver = Resolver([silent.address, nobody, server.address], log=said.append)
        assert ask(resolver, "app.test") == [["127.0.0.1"]]
        assert any("(111: Connection refused) while resolving app.test" in line for line in said)


def test_a_server_that_says_nothing_costs_no_more_than_the_timeout() -> None:
    with serving(lambda name, kind, times: None) as (silent,):
        resolver = Resolver([silent.address], kinds=[A])
        assert ask(resolver, "app.test", timeout=0.35) == ["app.test could not be resolved (110: Operation timed out)"]
        assert 2 <= silent.asked["app.test", A] <= 5


def test_servers_take_turns() -> None:
    with serving(only_v4(1), only_v4(2)) as servers:
        resolver = Resolver([each.address for each in servers], kinds=[A])
        assert ask(resolver, "a.test", "b.test", "c.test") == [["127.0.0.1"], ["127.0.0.2"], ["127.0.0.1"]]


def test_a_wrong_number_and_a_format_error_are_not_believed() -> None:
    with serving(only_v4(1)) as (server,):
        honest = server.reply

        def lying(data: bytes, flags: int = 0x8180) -> bytes | None:
            reply = honest(data, flags)
            assert reply is not None
            if sum(server.asked.values()) == 1:
                return bytes((reply[0] ^ 1,)) + reply[1:]
            return reply[:3] + bytes((reply[3] | 1,)) + reply[4:] if sum(server.asked.values()) == 2 else reply

        server.reply = lying  # type: ignore[method-assign]
        said: list[str] = []
        assert ask(Resolver([server.address], kinds=[A], log=said.append), "app.test") == [["127.0.0.1"]]
        assert "unexpected DNS response" in said[0]
        assert "DNS error (1: Format error)" in said[1]


@contextmanager
def serving_twice(answering: Answering) -> Iterator[tuple[Server, socket.socket]]:
    """A server over UDP, and a listener on the port of that number over TCP: another one, if somebody has that."""
    for attempt in range(20):
        with serving(answering) as (server,):
            try:
                listener = socket.create_server(server.address)
            except OSError:
                assert attempt < 19
                continue
            with listener:
                yield server, listener
            return


def test_what_was_cut_short_is_asked_for_over_tcp() -> None:
    with serving_twice(only_v4(1, 2, 3)) as (server, listener):
        whole = server.reply
        server.reply = lambda data, flags=0x8180: whole(data, 0x8380)[:12] + data[12:]  # type: ignore[method-assign,index]

        def answer() -> None:
            sock, _ = listener.accept()
            with sock:
                data = sock.recv(512)
                reply = whole(data[2:])
                assert reply is not None
                framed = struct.pack("!H", len(reply)) + reply
                sock.sendall(framed[:5])
                sock.sendall(framed[5:])

        thread = threading.Thread(target=answer)
        thread.start()
        assert ask(Resolver([server.address], kinds=[A]), "app.test") == [["127.0.0.1", "127.0.0.2", "127.0.0.3"]]
        thread.join(5)


def test_what_is_no_name_is_not_asked_for() -> None:
    resolver = Resolver([("127.0.0.1", 9)])
    assert ask(resolver, "a..b") == ["a..b could not be resolved (3: Host not found)"]


def test_names_that_are_known_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(under_test, "MOST_KNOWN", 4)
    with serving(only_v4(1)) as (server,):
        resolver = Resolver([server.address], kinds=[A])
        ask(resolver, *(f"n{number}.test" for number in range(9)))
        assert len(resolver._known) == 4


def test_who_goes_away_leaves_nothing_behind() -> None:
    async def scenario(resolver: Resolver) -> int:
        async def wants() -> FoundAddresses:
            return await resolver.addresses("app.test", 30)

        fiber = spawn(wants())
        await asyncio.sleep(0.02)
        fiber.cancel()
        await asyncio.sleep(0.25)
        return len(resolver._asked)

    with serving(lambda name, kind, times: None) as (silent,):
        loop = new_loop()
        assert loop.run(scenario(Resolver([silent.address]))) == 0
        loop.close()

"""The same conversation through both relays: whatever is said, and however it is cut, the compiled one, which steps
over data by itself, passes on the same bytes, counts the same, and ends in the same way."""

from __future__ import annotations

import asyncio
import os
import random
import socket
import struct
from collections.abc import Callable
from contextlib import closing
from types import SimpleNamespace
from typing import Any

import pytest

from penstock.net.loop import Loop, new_loop
from penstock.net.relay.relay import relay
from penstock.net.relay.tunnel import End, Tunnel
from penstock.net.stream import Stream
from penstock.server.websocket.session import Conversation
from penstock.shared.compiled import VARIABLE
from penstock.websocket.frames import FrameSender, close_frame
from penstock.websocket.terms import DirectionLimits, Terms
from unit.net.conftest import tcp_pair
from unit.websocket.streams import MASK, frame, good_frames, pieces

pytest.importorskip("penstock.net.relay._twin", reason="no compiled relay in this installation")

SEEDS = int(os.environ.get("TWIN_ROUNDS", "400")) // 20
CLIENT, SERVER = FrameSender.CLIENT, FrameSender.SERVER
LIMITS = DirectionLimits(message=3000, frame=1500)


class Talk:
    """A tunnel with a conversation, its far ends, and what has arrived there."""

    def __init__(self, loop: Loop, terms: Terms, rsv: int = 0) -> None:
        self.loop = loop
        (self.client, near), (self.backend, far) = tcp_pair(), tcp_pair()
        self.arrived = {self.client: bytearray(), self.backend: bytearray()}
        for sock in self.arrived:
            sock.setblocking(False)
        self.ending: Any = SimpleNamespace(leaving=False, subject=None, service=SimpleNamespace(meters=None))
        self.talk = self.ending.conversation = Conversation(terms, self.ending, rsv=rsv)
        self.reason: End | None = None
        self.tunnel = relay(
            Stream(near, loop),
            Stream(far, loop),
            idle_timeout=60,
            on_end=self._ended,
            owner=self.ending,
            watch=self.talk.attach,
            steps=self.talk.steps,
            websocket=True,
        )

    def _ended(self, tunnel: Tunnel, reason: End) -> None:
        self.talk.over(tunnel, reason)
        self.reason = reason

    def drain(self) -> None:
        for sock, got in self.arrived.items():
            try:
                while data := sock.recv(1 << 16):
                    got += data
            except (BlockingIOError, ConnectionResetError, OSError):
                pass

    async def turn(self, *, drains: bool = True) -> None:
        """Let everything happen that can."""
        for _ in range(6):
            await asyncio.sleep(0)
            if drains:
                self.drain()

    async def say(self, sock: socket.socket, data: bytes, *, drains: bool = True) -> bytes:
        """Say it, as far as it can be said: the rest."""
        for _ in range(40):
            try:
                data = data[sock.send(data) :]
            except BlockingIOError:
                pass
            except OSError:
                return b""
            await self.turn(drains=drains)
            if not data:
                break
        return data

    @property
    def figures(self) -> tuple[object, ...]:
        talk, tunnel = self.talk, self.tunnel
        return (
            (talk.frames_in, talk.messages_in, talk.bytes_in, talk.up.pings, talk.up.pongs),
            (talk.frames_out, talk.messages_out, talk.bytes_out, talk.down.pings, talk.down.pongs),
            (tunnel.from_client, tunnel.from_backend, talk.close_code, talk.close_from, talk.close_state),
        )

    @property
    def end(self) -> tuple[object, ...]:
        return self.reason, self.talk.end_reason, [bytes(each) for each in self.arrived.values()]

    def close(self) -> None:
        self.tunnel.close()
        for sock in self.arrived:
            sock.close()


def both(monkeypatch: pytest.MonkeyPatch, play: Any, terms: Terms, rsv: int = 0) -> int:
    """Let it play through either relay, and compare; how often the compiled one has had the tunnel at a look."""
    told: list[list[object]] = []
    had = 0
    monkeypatch.setattr(os, "urandom", bytes)
    for name in ("python", "c"):
        monkeypatch.setenv(VARIABLE, name)
        with closing(new_loop()) as loop:
            failures: list[BaseException] = []
            loop.hot.on_error = lambda _, exc, failures=failures: failures.append(exc)  # type: ignore[misc]
            told.append([])
            with closing(Talk(loop, terms, rsv)) as one:

                async def main(one: Talk = one) -> None:
                    nonlocal had
                    async for seen in play(one):
                        told[-1].append(seen)
                        had += one.tunnel.engaged

                loop.call_later(60, loop.stop)
                loop.run(main())
            assert not failures
    for seen in zip(*told, strict=True):
        assert seen[0] == seen[1]
    return had


def other(side: FrameSender) -> FrameSender:
    return SERVER if side else CLIENT


ODD: tuple[Callable[[FrameSender], bytes], ...] = (
    lambda side: frame(0x82, b"a length", side, length=8),
    lambda side: frame(0x82, b"b" * 125, side, length=125),
    lambda side: frame(0x82, bytes(60_000), side, length=60_000),
    lambda side: bytes((0x82, side | 126, 0, 125)) + MASK * bool(side) + bytes(125),
    lambda side: frame(0x82, b"never ends", side, length=1 << 63),
    lambda side: frame(0x82, b"ends late", side, length=(1 << 63) - 1),
    lambda side: frame(0x82, b"of the other", other(side)),
    lambda side: frame(0x8A, b"of the other", other(side)),
    lambda side: frame(0xC1, b"a bit", side) + frame(0x81, b"more", side),
    lambda side: frame(0x41, b"a bit", side) + frame(0x80, b"more", side),
    lambda side: frame(0x01, b"first", side) + frame(0xC0, b"a bit", side) + frame(0x81, b"more", side),
    lambda side: frame(0xA2, b"another", side) + frame(0x81, b"more", side),
    lambda side: frame(0x83, b"unknown", side),
    lambda side: frame(0x80, b"continues nothing", side),
    lambda side: frame(0x01, b"first", side) + frame(0x81, b"inside", side),
    lambda side: frame(0x09, b"a part", side),
    lambda side: frame(0x89, bytes(126), side),
    lambda side: frame(0x88, b"\x03", side),
    lambda side: frame(0x88, b"\x03\xed", side),
    lambda side: frame(0x02, bytes(1400), side) * 2 + frame(0x00, bytes(1400), side),
    lambda side: frame(0x02, bytes(1400), side) + frame(0x00, bytes(1400), side) * 3,
    lambda side: frame(0x82, bytes(1501), side),
)


def spoiled(data: bytes, chance: random.Random) -> bytes:
    changed = bytearray(data)
    if chance.random() < 0.1:
        changed[chance.randrange(len(changed))] = chance.randrange(256)
    return bytes(changed)


def traffic(seed: int, count: int) -> list[tuple[FrameSender, bytes]]:
    """Both sides' streams, cut anywhere and shuffled into each other."""
    chance = random.Random(seed)
    ways = {side: list(pieces(b"".join(good_frames(seed, count, side)), seed)) for side in FrameSender}
    order = [side for side, each in ways.items() for _ in each]
    chance.shuffle(order)
    return [(side, ways[side].pop(0)) for side in order]


@pytest.mark.parametrize("seed", range(SEEDS))
def test_good_streams(monkeypatch: pytest.MonkeyPatch, seed: int) -> None:
    chance = random.Random(seed)
    terms = Terms(strict=chance.random() < 0.5, from_client=LIMITS if chance.random() < 0.3 else DirectionLimits())
    rsv = chance.choice((0, 0, 0x40, 0x70))
    said = traffic(seed, chance.choice((5, 40)))

    async def play(one: Talk) -> Any:
        for side, data in said:
            await one.say(one.client if side else one.backend, data)
            yield one.figures
        await one.say(one.client, close_frame(1000, mask=MASK))
        yield one.figures
        await one.say(one.backend, close_frame(1000))
        for sock in (one.backend, one.client):
            sock.shutdown(socket.SHUT_WR)
            await one.turn()
        yield one.figures, one.end

    both(monkeypatch, play, terms, rsv)


@pytest.mark.parametrize("seed", range(SEEDS))
def test_spoiled_streams(monkeypatch: pytest.MonkeyPatch, seed: int) -> None:
    """With a frame that is none, or with bytes changed, in the middle of which somebody leaves, or is reset."""
    chance = random.Random(seed)
    terms = Terms(strict=chance.random() < 0.6, from_client=LIMITS if chance.random() < 0.3 else DirectionLimits())
    said = traffic(seed, 20)
    odd = chance.choice(list(FrameSender))
    if chance.random() < 0.5:
        frames = good_frames(seed, chance.randrange(8), odd)
        said = [*((odd, piece) for piece in pieces(b"".join(frames) + chance.choice(ODD)(odd), seed)), *said]
    else:
        said = [(side, spoiled(data, chance)) for side, data in said]
        del said[chance.randrange(len(said)) :]
    resets, last = chance.random() < 0.3, chance.choice(list(FrameSender))

    async def play(one: Talk) -> Any:
        for side, data in said:
            await one.say(one.client if side else one.backend, data)
            yield one.figures
        leaver, stayer = (one.client, one.backend) if last else (one.backend, one.client)
        if resets:
            leaver.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            del one.arrived[leaver]
            leaver.close()
        else:
            leaver.shutdown(socket.SHUT_WR)
        await one.turn()
        yield one.figures
        stayer.shutdown(socket.SHUT_WR)
        await one.turn()
        yield one.figures, one.end

    both(monkeypatch, play, terms, chance.choice((0, 0, 0x40, 0x70)))


@pytest.mark.parametrize("side", list(FrameSender))
@pytest.mark.parametrize("odd", ODD)
def test_every_odd_frame(
    monkeypatch: pytest.MonkeyPatch, odd: Callable[[FrameSender], bytes], side: FrameSender
) -> None:
    async def play(one: Talk) -> Any:
        sock = one.client if side else one.backend
        await one.say(sock, frame(0x81, b"hello", side))
        yield one.figures
        await one.say(sock, odd(side))
        yield one.figures
        for each in (one.client, one.backend):
            each.shutdown(socket.SHUT_WR)
            await one.turn()
        yield one.figures, one.end

    for rsv in (0, 0x40, 0x70):
        for limits in (DirectionLimits(), LIMITS, DirectionLimits(message=3000), DirectionLimits(frame=1500)):
            for strict in (True, False):
                both(monkeypatch, play, Terms(strict=strict, from_client=limits, from_backend=limits), rsv)


@pytest.mark.parametrize("seed", range(max(1, SEEDS // 2)))
def test_slow_readers(monkeypatch: pytest.MonkeyPatch, seed: int) -> None:
    """What the peer does not take waits in Python, and the twin has the tunnel again after it."""

    async def play(one: Talk) -> Any:
        chance = random.Random(seed)
        sent = 0
        for _ in range(6):
            rest = b"".join(frame(0x82, bytes(chance.randrange(70_000)), CLIENT) for _ in range(30))
            sent += len(rest)
            for _ in range(100):
                rest = await one.say(one.client, rest, drains=False)
                if not rest or chance.random() < 0.5:
                    break
            while rest:
                rest = await one.say(one.client, rest)
            while len(one.arrived[one.backend]) < sent:
                await one.turn()
            yield one.figures, bytes(one.arrived[one.backend])

    assert both(monkeypatch, play, Terms(strict=True)) == 6


def test_it_is_the_twin_s_but_for_what_is_no_data(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is left behind in Python by a ping, or by half a header."""

    async def play(one: Talk) -> Any:
        await one.say(one.client, frame(0x81, b"hello") + frame(0x01, b"be"))
        yield one.figures
        await one.say(one.client, frame(0x89, b"in between"))
        yield one.figures
        await one.say(one.backend, frame(0x8A, b"in between", SERVER) + frame(0x82, bytes(300), SERVER)[:200])
        yield one.figures
        if one.loop.hot.twin is not None:
            assert one.tunnel._limits is not None, "there are no sides"
        await one.say(one.client, frame(0x80, b"gun")[:3])
        yield one.figures
        if one.loop.hot.twin is not None:
            assert not one.tunnel.engaged, "who has half a header"
        await one.say(one.client, frame(0x80, b"gun")[3:])
        yield one.figures
        assert one.talk.messages_in == 2

    assert both(monkeypatch, play, Terms(strict=True)) == 4


def test_what_looks_like_a_goodbye_is_none(monkeypatch: pytest.MonkeyPatch) -> None:
    """Both were in the middle of a message, with a byte that begins a close frame elsewhere."""

    async def play(one: Talk) -> Any:
        for side, sock in ((CLIENT, one.client), (SERVER, one.backend)):
            message = frame(0x82, b"\x88" * 200, side)
            await one.say(sock, message[:100])
            await one.say(sock, b"\x88" + message[101:150])
        yield one.figures
        one.client.shutdown(socket.SHUT_WR)
        await one.turn()
        yield one.figures
        one.backend.shutdown(socket.SHUT_WR)
        await one.turn()
        yield one.figures, one.end
        assert one.talk.end_reason == "client_lost"

    assert both(monkeypatch, play, Terms(strict=True, close_timeout=0.1)) == 1


async def heard(one: Talk, sock: socket.socket) -> bytes:
    """What arrives at one end next."""
    await one.turn()
    while not one.arrived[sock]:
        await asyncio.sleep(0.005)
        one.drain()
    got = bytes(one.arrived[sock])
    one.arrived[sock].clear()
    return got


def test_who_is_silent_is_pinged_while_the_other_talks(monkeypatch: pytest.MonkeyPatch) -> None:
    """What the twin has heard counts, and it has the tunnel again behind the ping, and behind the pong."""

    async def play(one: Talk) -> Any:
        loop = one.loop
        until = loop.time() + 0.5
        while loop.time() < until:
            await one.say(one.client, frame(0x81, b"still here"))
            await asyncio.sleep(0.02)
        assert one.talk.heart.client.sent == 0
        ping = bytes(one.arrived[one.backend]).partition(b"\x89")[2]
        yield one.talk.heart.backend.sent > 0
        await one.say(one.backend, frame(0x8A, bytes(8), SERVER))
        yield one.talk.rtt is not None, ping[:1]
        assert await heard(one, one.client) == b"\x89\x08" + bytes(8), "now it is silent, too"
        yield one.talk.close_state
        one.tunnel.close()

    terms = Terms(ping=0.15, ping_timeout=5.0, ping_client=True, ping_backend=True)
    assert both(monkeypatch, play, terms) == 3


def test_what_counts_messages_stays_in_python(monkeypatch: pytest.MonkeyPatch) -> None:
    async def play(one: Talk) -> Any:
        await one.say(one.client, frame(0x81, b"hello"))
        yield one.figures

    assert both(monkeypatch, play, Terms(from_client=DirectionLimits(rate=5.0, burst=5))) == 0

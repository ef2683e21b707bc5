"""How the proxy says goodbye, and what it makes of a client that does not wait for an answer."""

from __future__ import annotations

import asyncio
import socket
import struct
from collections.abc import Callable
from contextlib import suppress

import pytest

from penstock.net.loop import Loop
from penstock.net.stream import Stream
from penstock.server.websocket.losses import FINS
from penstock.server.websocket.session import Conversation
from penstock.websocket.close_reasons import Why
from penstock.websocket.frames import close_frame
from penstock.websocket.terms import Terms
from unit.server.websocket.test_session import Run, Talk, loop, run
from unit.websocket.streams import MASK, frame

__all__ = ["loop", "run"]

GOODBYE = close_frame(1000, mask=MASK)
HELLO = b"\x81\x05hello"


def talking(loop: Loop, close_timeout: float) -> Talk:
    return Talk(loop, lambda ending: Conversation(Terms(strict=True, close_timeout=close_timeout), ending))


async def all_from(stream: Stream) -> bytes:
    got = b""
    while piece := await stream.recv(1 << 16, 5):
        got += piece
    return got


def unread(one: Talk) -> None:
    """Bytes of the backend lie at the client unread: its close makes a reset."""
    one.client.sock.send(GOODBYE)
    one.client.sock.close()


def while_written_to(one: Talk) -> None:
    """The reset is met by a write to the client, and not by a read."""
    one.client.sock.send(GOODBYE)
    one.client.sock.close()
    one.backend.sock.send(HELLO * 1000)


def much_held(one: Talk) -> None:
    """The client has taken nothing for long, so that bytes are kept for it."""
    with suppress(BlockingIOError):
        while True:
            one.backend.sock.send(b"\x82\x7e\x20\x00" + bytes(8192))
    one.client.sock.send(GOODBYE)
    one.client.sock.close()


def at_once(one: Talk) -> None:
    """A reset on purpose."""
    one.client.sock.send(GOODBYE)
    one.client.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    one.client.sock.close()


def orderly(one: Talk) -> None:
    """FIN, and no reset."""
    one.client.sock.send(GOODBYE)
    one.client.sock.shutdown(socket.SHUT_WR)


WAYS = [unread, while_written_to, much_held, at_once, orderly]


@pytest.mark.parametrize("way", WAYS)
def test_a_client_that_says_goodbye_and_goes_is_no_lost_client(
    loop: Loop, run: Run, way: Callable[[Talk], None]
) -> None:
    """The backend gets the close frame and FIN behind it; one that ends then is not held until the time is over."""

    async def main() -> None:
        one = talking(loop, close_timeout=30.0)
        await one.backend.send_all(HELLO)
        await asyncio.sleep(0.02)
        way(one)
        assert await all_from(one.backend) == GOODBYE
        one.backend.close()
        await one.ended()
        assert (one.talk.end_reason, one.talk.close_code, one.talk.close_from) == ("closed", 1000, "client")
        assert one.reasons[0] in FINS, "and that is what the error log calls it"

    run(main())


@pytest.mark.parametrize("way", WAYS)
def test_the_backend_may_answer_a_client_that_is_gone(loop: Loop, run: Run, way: Callable[[Talk], None]) -> None:
    """Its answer is read: a close on it would reset the backend."""

    async def main() -> None:
        one = talking(loop, close_timeout=30.0)
        await one.backend.send_all(HELLO)
        await asyncio.sleep(0.02)
        way(one)
        assert await all_from(one.backend) == GOODBYE
        await asyncio.sleep(0.05)
        await one.backend.send_all(close_frame(1000))
        assert await all_from(one.backend) == b""
        one.backend.close()
        await one.ended()
        assert one.talk.end_reason == "closed"
        assert one.talk.down.close_code == 1000 or way is while_written_to

    run(main())


@pytest.mark.parametrize("way", WAYS)
def test_a_backend_that_does_not_answer_has_the_close_timeout(
    loop: Loop, run: Run, way: Callable[[Talk], None]
) -> None:
    async def main() -> None:
        one = talking(loop, close_timeout=0.3)
        await one.backend.send_all(HELLO)
        await asyncio.sleep(0.02)
        began = loop.timers.now
        way(one)
        await one.ended()
        assert loop.timers.now - began < 8.0, "and not the tunnel's own timeout, which is a minute"
        assert one.talk.end_reason == "closed"

    run(main())


def test_a_close_frame_waits_for_the_end_of_a_frame(loop: Loop, run: Run) -> None:
    long = frame(0x82, b"z" * 1000)

    async def main() -> None:
        one = talking(loop, close_timeout=5.0)
        await one.client.send_all(long[:500])
        got = await one.backend.recv(1 << 16, 2)
        one.talk.end(Why.DRAIN)
        assert await one.client.recv(100, 2) == close_frame(1012)
        await one.client.send_all(long[500:])
        while len(got) < len(long) + 8:
            got += await one.backend.recv(1 << 16, 2)
        assert got[: len(long)] == long
        assert got[len(long) : len(long) + 2] == b"\x88\x82", "a close frame with a mask, right behind it"
        one.tunnel.close()

    run(main())


def test_who_has_broken_the_protocol_gets_fin_behind_the_close_frame(loop: Loop, run: Run) -> None:
    """What it says after that does not count, and is read all the same: unread, it would make a reset."""

    async def main() -> None:
        one = talking(loop, close_timeout=0.4)
        await one.client.send_all(b"\x83\x80\0\0\0\0")
        assert (await all_from(one.client))[2:4] == b"\x03\xea", "1002"
        await one.client.send_all(b"noise" * 100)
        one.client.close()
        await one.ended()
        assert one.talk.end_reason == "protocol_error"

    run(main())


def test_it_is_over_when_both_have_answered(loop: Loop, run: Run) -> None:
    async def main() -> None:
        one = talking(loop, close_timeout=30.0)
        one.talk.end(Why.KILLED, 4000)
        assert await one.client.recv(100, 2) == close_frame(4000)
        assert len(await one.backend.recv(100, 2)) == 8
        await one.client.send_all(close_frame(4000, mask=MASK))
        await one.backend.send_all(close_frame(4000))
        await one.ended()
        assert one.talk.end_reason == "killed"

    run(main())

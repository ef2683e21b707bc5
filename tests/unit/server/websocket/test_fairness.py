"""Small frames without end are read a little at a time, whoever sends them, and what is long is not."""

from __future__ import annotations

from typing import Any

import pytest

from penstock.net.loop import Loop
from penstock.net.relay.side import LITTLE, LITTLE_READS
from penstock.server.websocket.fairness import COSTLY, share
from penstock.server.websocket.session import Conversation
from penstock.websocket.frames import ping_frame
from penstock.websocket.terms import Terms
from unit.server.websocket.test_session import Run, Talk, loop, run
from unit.websocket.streams import MASK, frame

__all__ = ["loop", "run"]


class FakeSide:
    def __init__(self) -> None:
        self.little = 0

    def read_little(self) -> None:
        assert not self.little
        self.little = 3


def test_who_is_read_little_of() -> None:
    side: Any = FakeSide()
    share(side, COSTLY)
    assert not side.little
    share(side, COSTLY + 1)
    share(side, COSTLY + 1)
    assert side.little == 3


MANY = 3 * COSTLY


@pytest.mark.parametrize(
    ("begin", "unit", "end"),
    [(b"", ping_frame(b"", MASK), b""), (frame(0x01), frame(0x00), frame(0x80))],
    ids=["pings", "empty parts of a message"],
)
def test_a_conversation_is_read_little_while_it_is_work(
    loop: Loop, run: Run, begin: bytes, unit: bytes, end: bytes
) -> None:
    """All of it arrives, whatever it was read by, and then as much is read at a time as before."""

    async def main() -> None:
        made = Talk(loop, lambda ending: Conversation(Terms(strict=True), ending))
        side = made.tunnel.client

        async def passes(data: bytes) -> None:
            await made.client.send_all(data)
            found = b""
            while len(found) < len(data):
                found += await made.backend.recv(timeout=5)
            assert found == data

        twin_steps = made.tunnel.engaged and bool(begin)
        await passes(begin + unit * MANY)
        if twin_steps:
            assert made.tunnel.engaged, "parts are little work for the compiled relay"
            made.tunnel.close()
            return
        assert side.little
        sizes: list[int] = []
        receive = side.receive

        def noted(buffer: bytearray) -> int:
            sizes.append(receive(buffer))
            return sizes[-1]

        side.receive = noted
        await passes(unit * MANY + end)
        assert side.little and max(sizes) <= LITTLE
        for _ in range(8):
            await passes(frame(0x82, bytes(LITTLE_READS // 7 * LITTLE)))
        assert not side.little and max(sizes) <= LITTLE
        sizes.clear()
        await passes(frame(0x82, bytes(10 * LITTLE)))
        assert not sizes
        made.tunnel.close()

    run(main())

"""Tunnels that are ended one after the other, spread over a window."""

from __future__ import annotations

import asyncio

import pytest

from harness.fibers import until
from penstock.net.loop import Loop
from penstock.net.relay.relay import relay
from penstock.net.relay.tunnel import End, Tunnel
from penstock.net.stream import Stream
from penstock.server.websocket import drain
from penstock.server.websocket.drain import Drain, dismiss
from penstock.server.websocket.session import Conversation
from penstock.websocket.close_reasons import Why
from penstock.websocket.frames import close_frame
from penstock.websocket.terms import Terms
from unit.net.conftest import tcp_pair
from unit.server.websocket.test_session import Run, Talk, loop, run

__all__ = ["loop", "run"]


class Plain:
    """A tunnel that carries no WebSocket."""

    def __init__(self, loop: Loop) -> None:
        pairs = [[Stream(each, loop) for each in tcp_pair()] for _ in range(2)]
        self.far = [pair[0] for pair in pairs]
        self.moment = 0.0
        self.reasons: list[End] = []
        self.loop = loop
        self.tunnel = relay(pairs[0][1], pairs[1][1], idle_timeout=60, on_end=self._ended)

    def _ended(self, _: Tunnel, reason: End) -> None:
        self.moment = self.loop.timers.now
        self.reasons.append(reason)

    def close(self) -> None:
        self.tunnel.close()
        for each in self.far:
            each.close()


@pytest.fixture
def lines(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    said: list[str] = []
    monkeypatch.setattr(drain, "report", lambda _, __, text: said.append(text))
    return said


def test_all_go_within_the_window_and_not_at_once(loop: Loop, run: Run, lines: list[str]) -> None:
    async def main() -> None:
        tunnels = [Plain(loop) for _ in range(12)]
        began = loop.timers.now
        one = Drain(loop, [each.tunnel for each in tunnels], 0.6, 1012, what="all of them")
        assert one.left == 12
        await until(lambda: one.left == 0)
        moments = sorted(each.moment - began for each in tunnels)
        assert moments[-1] < 0.6 + 0.5
        assert moments[-1] - moments[0] > 0.2
        assert one.ended == 12
        await until(lambda: len(lines) > 1)
        assert lines[0] == "draining all of them: 12 tunnels, 0.6s"
        assert lines[-1].startswith("drained all of them: 12 tunnels in ")
        one.finish()
        assert len(lines) == 2, "that is said once"
        for each in tunnels:
            each.close()

    run(main())


def test_a_websocket_gets_the_code_and_any_other_tunnel_is_closed(loop: Loop, run: Run) -> None:
    async def main() -> None:
        talk = Talk(loop, lambda ending: Conversation(Terms(close_timeout=0.2), ending))
        plain = Plain(loop)
        for each in (talk.tunnel, plain.tunnel):
            dismiss(each, Why.DRAIN, 4010, "we move")
        assert plain.reasons == [End.SHUTDOWN]
        assert await talk.client.recv(100, 2) == close_frame(4010, "we move")
        await talk.ended()
        assert talk.talk.end_reason == "drain"
        plain.close()

    run(main())


def test_one_that_ends_by_itself_is_not_counted(loop: Loop, run: Run, lines: list[str]) -> None:
    async def main() -> None:
        tunnels = [Plain(loop) for _ in range(3)]
        tunnels[0].tunnel.close()
        one = Drain(loop, [each.tunnel for each in tunnels], 0.05, 1012, what="some")
        await until(lambda: any(line.startswith("drained") for line in lines))
        assert one.ended == 2
        for each in tunnels:
            each.close()

    run(main())


def test_what_opens_meanwhile_goes_too_where_everything_is_to_go(
    loop: Loop, run: Run, lines: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(drain, "SOONEST", 0.02)

    async def main() -> None:
        tunnels = [Plain(loop)]
        one = Drain(loop, [], 0.3, 1012, what="all", more=lambda: [each.tunnel for each in tunnels])
        await until(lambda: bool(tunnels[0].reasons))
        tunnels.append(Plain(loop))
        await until(lambda: bool(tunnels[1].reasons))
        assert one.ended == 2
        await until(lambda: any(line.startswith("drained") for line in lines))
        for each in tunnels:
            each.close()

    run(main())


def test_one_that_another_process_is_about_to_have_waits(
    loop: Loop, run: Run, lines: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(drain, "SOONEST", 0.02)

    async def main() -> None:
        only = Plain(loop)
        only.tunnel.pause()
        one = Drain(loop, [only.tunnel], 0.05, 1012, what="one")
        await asyncio.sleep(0.15)
        assert (one.ended, only.reasons) == (0, [])
        only.tunnel.resume()
        await until(lambda: bool(only.reasons))
        only.close()

    run(main())

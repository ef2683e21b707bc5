"""Tunnels that are given to another process, which a test plays."""

from __future__ import annotations

import asyncio
import os
import socket
from types import SimpleNamespace
from typing import Any

import pytest

from penstock.net.loop import new_loop
from penstock.net.relay.relay import relay
from penstock.net.relay.tunnel import Tunnel
from penstock.net.stream import Stream
from penstock.process.handover import sender as module
from penstock.process.handover.protocol import FrameKind, HandoverFrame, HandoverLink, greeting
from penstock.process.handover.sender import Giver
from penstock.server.tunnel.ending import Ending
from penstock.server.tunnel.provenance import Provenance
from penstock.server.websocket.session import Conversation
from penstock.websocket.close_reasons import Why
from penstock.websocket.frames import close_frame
from penstock.websocket.terms import Terms
from unit.net.conftest import tcp_pair


class End(Ending):
    """Of a tunnel without a request."""

    __slots__ = ("ended",)

    def __init__(self) -> None:
        self.ended: list[Any] = []
        self.conversation = Conversation(Terms(close_timeout=0.5), self)
        service: Any = SimpleNamespace(meters=None)
        self.provenance = Provenance(service, "", "")
        self.subject = None  # type: ignore[assignment]
        self.spans = None
        self.endings = None
        self.request = None
        taken: Any = SimpleNamespace(leave=lambda: self.ended.append("left"))
        self.upgraded = taken

    def over(self, tunnel: Tunnel, reason: Any) -> None:
        self.ended.append(reason)
        assert self.conversation is not None
        self.conversation.over(tunnel, reason)


class Taker:
    """The other process."""

    def __init__(self, sock: socket.socket) -> None:
        self.talk = HandoverLink(sock)
        self.heard: list[HandoverFrame] = []

    async def until(self, kind: FrameKind) -> HandoverFrame:
        for _ in range(400):
            self.heard += self.talk.hear()
            for frame in self.heard:
                if frame.kind is kind:
                    self.heard.remove(frame)
                    return frame
            await asyncio.sleep(0.005)
        raise AssertionError(f"{kind} does not come")

    def say(self, kind: FrameKind, fields: dict[str, Any]) -> None:
        self.talk.queue(kind, fields)
        assert self.talk.flush()


@pytest.mark.parametrize("when", ["asked", "ready"])
def test_one_that_has_to_end_meanwhile_ends_here_and_says_goodbye(monkeypatch, when: str) -> None:
    monkeypatch.setattr(module, "describe", lambda ending, tunnel, show: {})
    loop = new_loop()

    async def main() -> None:
        pairs = [[Stream(each, loop) for each in tcp_pair()] for _ in range(2)]
        (client, near), (backend, far) = pairs
        end = End()
        assert end.conversation is not None
        tunnel = relay(near, far, idle_timeout=60, on_end=end, owner=end, watch=end.conversation.attach)
        ours, theirs = socket.socketpair()
        giver = Giver(loop, ours, lambda each: None, lambda each: None)
        taker = Taker(theirs)
        taker.say(FrameKind.HELLO, greeting("test"))
        offered = await taker.until(FrameKind.TUNNEL)
        await taker.until(FrameKind.ASK)
        if when == "asked":
            end.conversation.end(Why.SHUTDOWN)
        taker.say(FrameKind.READY, {"ready": [1], "refused": []})
        if when == "ready":
            end.conversation.end(Why.SHUTDOWN)
        assert (await taker.until(FrameKind.GO)).fields.items("ids") == []
        for fd in offered.fds:
            os.close(fd)
        assert await client.recv(100, 2) == close_frame(1001)
        assert len(await backend.recv(100, 2)) == 8
        for _ in range(400):
            if end.ended:
                break
            await asyncio.sleep(0.005)
        assert end.ended
        assert "left" not in end.ended
        assert tunnel not in loop.tunnels
        giver.end()
        taker.talk.close()
        for each in (client, backend):
            each.close()

    loop.call_later(60, loop.stop)
    loop.run(main())
    loop.close()


def test_one_that_can_be_given_is_given_back_here(monkeypatch) -> None:
    monkeypatch.setattr(module, "describe", lambda ending, tunnel, show: {})
    loop = new_loop()

    async def main() -> None:
        pairs = [[Stream(each, loop) for each in tcp_pair()] for _ in range(2)]
        (client, near), (backend, far) = pairs
        end = End()
        assert end.conversation is not None
        relay(near, far, idle_timeout=60, on_end=end, owner=end, watch=end.conversation.attach)
        ours, theirs = socket.socketpair()
        giver = Giver(loop, ours, lambda each: None, lambda each: None)
        taker = Taker(theirs)
        taker.say(FrameKind.HELLO, greeting("test"))
        offered = await taker.until(FrameKind.TUNNEL)
        taker.say(FrameKind.READY, {"ready": [1], "refused": []})
        assert (await taker.until(FrameKind.GO)).fields.items("ids") == [1]
        assert end.ended == ["left"]
        assert not loop.tunnels
        giver.end()
        taker.talk.close()
        for fd in offered.fds:
            os.close(fd)
        for each in (client, backend):
            each.close()

    loop.call_later(60, loop.stop)
    loop.run(main())
    loop.close()

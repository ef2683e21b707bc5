"""Who is pinged, when, between which frames, and who is given up."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from penstock.server.websocket.heartbeat import AGAIN, Heartbeat
from penstock.websocket.direction import Direction
from penstock.websocket.frames import PING, FrameSender
from penstock.websocket.terms import Terms
from unit.websocket.streams import frame

BOTH = Terms(ping=10.0, ping_timeout=5.0, ping_client=True, ping_backend=True)


class End:
    """A side of a tunnel, as far as it is asked."""

    def __init__(self) -> None:
        self.last = 0.0
        self.unsent: bytes | None = None
        self.deaf = False
        self.taken = 0
        self.waiting = 0
        self.peer: Any = None

    def acknowledged(self) -> int:
        return self.taken

    def undelivered(self) -> int:
        return self.waiting


class Talk:
    """Two silent sides, and a heartbeat."""

    def __init__(self, terms: Terms = BOTH) -> None:
        self.up, self.down = Direction(FrameSender.CLIENT), Direction(FrameSender.SERVER)
        self.heart = Heartbeat(terms, self.up, self.down)
        self.client, self.backend = End(), End()
        self.client.peer, self.backend.peer = self.backend, self.client
        self.sent: list[tuple[End, bytes]] = []
        self.tunnel: Any = SimpleNamespace(
            client=self.client,
            backend=self.backend,
            inject=self._inject,
            heard=lambda *, of_client: (self.client if of_client else self.backend).last,
            dismiss=lambda: None,
            engage=lambda: None,
        )

    def _inject(self, side: End, data: bytes) -> None:
        self.sent.append((side, bytes(data)))


def test_both_are_asked_once_they_have_been_silent_for_so_long() -> None:
    one = Talk()
    assert one.heart.due(one.tunnel) == 10.0
    assert one.heart.check(one.tunnel, 9.9)[0] is None
    assert not one.sent
    one.heart.check(one.tunnel, 10.0)
    assert [side for side, _ in one.sent] == [one.client, one.backend]
    to_client, to_backend = (data for _, data in one.sent)
    assert to_client[0] == to_backend[0] == 0x80 | PING
    assert not to_client[1] & 0x80
    assert to_backend[1] & 0x80, "what goes to a backend has a mask"


def test_who_says_something_is_not_asked() -> None:
    one = Talk()
    one.client.last = 5.0
    one.heart.check(one.tunnel, 10.0)
    assert [side for side, _ in one.sent] == [one.backend]


@pytest.mark.parametrize(("client", "backend"), [(True, False), (False, True), (False, False)])
def test_only_who_is_to_be_asked_is_asked(client: bool, backend: bool) -> None:
    one = Talk(Terms(ping=10.0, ping_client=client, ping_backend=backend))
    one.heart.check(one.tunnel, 1000.0)
    assert [side for side, _ in one.sent] == [one.client] * client + [one.backend] * backend


def test_a_ping_waits_for_the_end_of_a_frame() -> None:
    one = Talk(Terms(ping=10.0, ping_client=True))
    long = frame(0x82, bytes(300), FrameSender.SERVER)
    one.down.feed(long[:100], 0.0)
    assert one.heart.check(one.tunnel, 10.0) == (None, AGAIN)
    assert not one.sent
    one.down.feed(long[100:], 0.0)
    one.heart.check(one.tunnel, 11.0)
    assert len(one.sent) == 1


def test_who_does_not_answer_is_given_up_after_the_timeout() -> None:
    one = Talk(Terms(ping=10.0, ping_timeout=5.0, ping_client=True))
    one.heart.check(one.tunnel, 10.0)
    asked = one.heart.client.since
    assert one.heart.check(one.tunnel, asked + 4.9) == (None, 0.0)
    assert one.heart.check(one.tunnel, asked + 5.0)[0] is one.client


def test_who_takes_slowly_what_it_was_sent_has_more_time() -> None:
    one = Talk(Terms(ping=10.0, ping_timeout=5.0, ping_client=True))
    one.client.waiting = 1000
    one.heart.check(one.tunnel, 10.0)
    asked = one.heart.client.since
    one.client.taken = 400
    assert one.heart.check(one.tunnel, asked + 5.0)[0] is None
    assert one.heart.check(one.tunnel, asked + 10.0)[0] is one.client


def test_an_answer_is_told_by_its_payload_and_stays_with_us() -> None:
    one = Talk(Terms(ping=10.0, ping_client=True))
    assert one.heart.ask(one.tunnel, one.tunnel.client)
    token = one.sent[0][1][2:]
    assert one.up.awaited == token
    assert one.up.feed(frame(0x8A, token), 0.0) == b""
    assert one.heart.answered(one.heart.client, 20.0) == 30.0
    assert one.heart.rtt is not None
    assert one.heart.rtt >= 0


def test_who_takes_nothing_can_not_be_asked() -> None:
    one = Talk()
    one.client.deaf = True
    one.backend.unsent = b"kept"
    assert not one.heart.ask(one.tunnel, one.tunnel.client)
    assert not one.heart.ask(one.tunnel, one.tunnel.backend)
    assert not one.sent


def test_who_is_not_read_is_not_judged() -> None:
    """Its answer may lie in the kernel: we do not read it while its peer takes nothing."""
    one = Talk(Terms(ping=10.0, ping_timeout=5.0, ping_client=True))
    one.heart.check(one.tunnel, 10.0)
    one.backend.unsent = b"the client's own bytes"
    asked = one.heart.client.since
    for later in range(60):
        assert one.heart.check(one.tunnel, asked + later)[0] is None


def test_silence_alone_ends_nothing_while_somebody_is_asked() -> None:
    one = Talk()
    assert one.heart.answers(one.tunnel)
    assert len(one.sent) == 2
    assert one.heart.answers(one.tunnel)
    assert len(one.sent) == 2, "a question is on its way already"
    assert not Talk(Terms()).heart.answers(Talk(Terms()).tunnel)


def test_it_goes_on_in_another_process() -> None:
    one, other = Talk(), Talk()
    one.heart.check(one.tunnel, 10.0)
    other.heart.restore(one.heart.state())
    assert other.heart.sent == 2
    assert other.heart.state() == one.heart.state()

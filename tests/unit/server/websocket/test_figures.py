"""Figures of a session: who said what, readable while it lives and after."""

from __future__ import annotations

from penstock.server.websocket.figures import SessionFigures
from penstock.server.websocket.heartbeat import Heartbeat
from penstock.websocket.direction import Direction
from penstock.websocket.frames import FrameSender
from penstock.websocket.terms import Terms
from unit.websocket.streams import frame

SERVER = FrameSender.SERVER


def figures() -> SessionFigures:
    made = SessionFigures()
    made.up, made.down = Direction(FrameSender.CLIENT), Direction(SERVER)
    made.heart = Heartbeat(Terms(ping=1.0, ping_client=True, ping_backend=True), made.up, made.down)
    return made


def test_in_is_from_the_client_and_out_is_to_it() -> None:
    one = figures()
    one.up.feed(frame(0x81, b"four") + frame(0x01, b"half") + frame(0x80, b"done") + frame(0x89), 0.0)
    one.down.feed(frame(0x82, b"seven77", SERVER), 0.0)
    assert (one.frames_in, one.messages_in, one.bytes_in) == (4, 2, 12)
    assert (one.frames_out, one.messages_out, one.bytes_out) == (1, 1, 7)


def test_pings_are_ours_to_both_sides() -> None:
    one = figures()
    one.up.feed(frame(0x89), 0.0)
    assert one.pings == 0, "a client's own ping is no ping of ours"
    one.heart.client.ask(1.0)
    one.heart.backend.ask(1.0)
    assert one.pings == 2


def test_rtt_is_the_client_s_where_it_is_known() -> None:
    one = figures()
    assert one.rtt is None
    one.heart.backend.ask(1.0)
    one.heart.backend.answered(1.5)
    assert one.rtt == 0.5
    one.heart.client.ask(2.0)
    one.heart.client.answered(2.25)
    assert one.rtt == 0.25

"""Heads of HTTP/2 that stand where they may, and where they may not."""

import pytest

from penstock.http.h2.events import (
    InformationalResponseReceived,
    RequestReceived,
    ResponseReceived,
    StreamReset,
    TrailersReceived,
)
from penstock.http.h2.wire import PREFACE, ConnectionFault, ErrorCodes, HeadLimits, SettingCodes, Wire
from unit.http.h2.test_wire import GET, frame

EARLY, OK, TRAILER = b"\x08\x03103", b"\x88", b"\x00\x01x\x01y"


def client() -> Wire:
    wire = Wire({SettingCodes.ENABLE_PUSH: 0}, HeadLimits(), client_side=True)
    wire.open()
    wire.take()
    return wire


def server() -> Wire:
    wire = Wire({}, HeadLimits())
    list(wire.receive(PREFACE + frame(4, 0, 0)))
    wire.take()
    return wire


def test_interim_answers_come_before_the_answer() -> None:
    data = frame(1, 4, 1, EARLY) + frame(1, 4, 1, OK) + frame(1, 5, 1, TRAILER)
    kinds = [type(event) for event in client().receive(data)]
    assert kinds == [InformationalResponseReceived, ResponseReceived, TrailersReceived]


@pytest.mark.parametrize(
    "data",
    [
        pytest.param(frame(1, 4, 1, OK) + frame(1, 4, 1, EARLY), id="behind the answer"),
        pytest.param(frame(1, 5, 1, EARLY), id="an interim answer that ends"),
        pytest.param(frame(1, 4, 1, OK) * 2, id="two answers"),
        pytest.param(frame(1, 4, 3, OK), id="nobody has asked"),
        pytest.param(frame(1, 4, 2, OK), id="a stream of the server's"),
    ],
)
def test_answers_where_none_may_be(data: bytes) -> None:
    with pytest.raises(ConnectionFault, match=r"broke the protocol|sent a request"):
        list(client().receive(data))


def test_a_head_behind_the_end_costs_its_stream() -> None:
    wire = server()
    events = list(wire.receive(frame(1, 5, 1, GET) + frame(1, 5, 1, TRAILER)))
    assert [type(event) for event in events] == [RequestReceived, StreamReset]
    assert wire.take() == frame(3, 0, 1, int(ErrorCodes.STREAM_CLOSED).to_bytes(4, "big"))


def test_trailers_of_a_stream_that_we_broke_off_are_on_their_way() -> None:
    wire = server()
    list(wire.receive(frame(1, 4, 1, GET)))
    wire.reset(wire.streams[1], ErrorCodes.CANCEL)
    assert list(wire.receive(frame(1, 5, 1, TRAILER))) == []
    (event,) = wire.receive(frame(1, 5, 3, GET))
    assert isinstance(event, RequestReceived) and event.ended


def test_a_block_that_comes_again_is_read_in_the_same_way() -> None:
    wire = server()
    first = b"\x82\x86\x84\x41\x09localhost"
    asked = [
        event.headers
        for number, block in ((1, first), (3, b"\x82\x86\x84\xbe"), (5, b"\x82\x86\x84\xbe"), (7, first))
        for event in wire.receive(frame(1, 5, number, block))
        if isinstance(event, RequestReceived)
    ]
    assert len(asked) == 4 and asked[0] == asked[1] == asked[2] == asked[3]
    (event,) = wire.receive(frame(1, 5, 9, b"\x82\x86\x84\x41\x05other"))
    (again,) = wire.receive(frame(1, 5, 11, b"\x82\x86\x84\xbe"))
    assert isinstance(event, RequestReceived) and isinstance(again, RequestReceived)
    assert again.headers[-1] == (b":authority", b"other")

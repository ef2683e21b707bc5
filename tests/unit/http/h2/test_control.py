"""Settings, pings, resets, farewells: what another implementation says, and what it makes of ours."""

import pytest
from h2.config import H2Configuration
from h2.connection import H2Connection
from h2.events import DataReceived, ResponseReceived, StreamEnded, StreamReset, TrailersReceived
from hypothesis import given
from hypothesis import strategies as st

from penstock.http.h2 import events as told
from penstock.http.h2.fields import field, status
from penstock.http.h2.wire import ConnectionFault, ErrorCodes, HeadLimits, SettingCodes, Wire

ASKED = [(":method", "POST"), (":scheme", "http"), (":path", "/"), (":authority", "localhost")]


class Pair:
    """A client on `h2` and a server of ours."""

    def __init__(self) -> None:
        self.client = H2Connection(H2Configuration(client_side=True, header_encoding="latin-1"))
        self.wire = Wire({SettingCodes.MAX_CONCURRENT_STREAMS: 10}, HeadLimits())
        self.wire.announce()
        self.client.initiate_connection()

    def hear(self) -> list[told.Event]:
        """What the server makes of all that the client has said."""
        return list(self.wire.receive(self.client.data_to_send()))

    def answer(self) -> list[object]:
        """What the client makes of all that the server has said."""
        return list(self.client.receive_data(bytes(self.wire.take())))


def test_a_whole_conversation() -> None:
    pair = Pair()
    pair.client.send_headers(1, ASKED)
    pair.client.send_data(1, b"body")
    pair.client.send_headers(1, [("x-sum", "1")], end_stream=True)
    pair.client.ping(b"12345678")
    kinds = [type(event) for event in pair.hear()]
    assert kinds == [
        told.RemoteSettingsChanged,
        told.RequestReceived,
        told.DataReceived,
        told.TrailersReceived,
        told.PingReceived,
    ]
    stream = pair.wire.streams[1]
    assert not stream.receives and stream.sends
    pair.wire.headers(stream, status(200), ended=False)
    pair.wire.data(stream, b"answer", 16384, ended=False)
    pair.wire.headers(stream, field("x-sum", "2"), ended=True)
    found = pair.answer()
    for kind in (ResponseReceived, DataReceived, TrailersReceived, StreamEnded):
        assert any(isinstance(event, kind) for event in found), kind
    assert stream.closed and [type(event) for event in pair.hear()] == [told.SettingsAcknowledged]


def test_resets_of_either_side() -> None:
    pair = Pair()
    for sid in (1, 3):
        pair.client.send_headers(sid, ASKED)
    pair.client.reset_stream(1, 8)
    reset = pair.hear()[-1]
    assert isinstance(reset, told.StreamReset) and (reset.stream_id, reset.error_code) == (1, 8)
    assert reset.remote_reset and pair.wire.streams[1].broken
    pair.wire.reset(pair.wire.streams[3], ErrorCodes.CANCEL)
    assert any(isinstance(event, StreamReset) and event.stream_id == 3 for event in pair.answer())


def test_settings_of_the_peer_hold_for_what_is_open() -> None:
    pair = Pair()
    pair.client.send_headers(1, ASKED)
    pair.client.update_settings({4: 1000, 5: 20000, 3: 7})
    pair.hear()
    assert (pair.wire.streams[1].may_send, pair.wire.peer_frame, pair.wire.peer_streams) == (1000, 20000, 7)
    pair.client.update_settings({4: 10})
    pair.hear()
    assert pair.wire.streams[1].may_send == 10


def test_goaway_says_what_was_not_looked_at() -> None:
    pair = Pair()
    pair.client.close_connection(error_code=2, last_stream_id=0)
    over = pair.hear()[-1]
    assert isinstance(over, told.ConnectionTerminated) and (over.error_code, over.last_stream_id) == (2, 0)


@pytest.mark.parametrize(("code", "value"), [(2, 2), (5, 100), (8, 2), (4, 1 << 31)])
def test_settings_that_can_not_be(code: int, value: int) -> None:
    pair = Pair()
    pair.hear()
    with pytest.raises(ConnectionFault):
        list(pair.wire.receive(b"\0\0\6\4\0\0\0\0\0" + code.to_bytes(2, "big") + value.to_bytes(4, "big")))


def test_a_server_that_would_push() -> None:
    wire = Wire({SettingCodes.ENABLE_PUSH: 0}, HeadLimits(), client_side=True)
    with pytest.raises(ConnectionFault):
        list(wire.receive(b"\0\0\6\4\0\0\0\0\0\0\2\0\0\0\1"))


@given(st.lists(st.tuples(st.sampled_from("hdrwpet"), st.integers(0, 3), st.integers(0, 300)), max_size=25))
def test_another_implementation_never_breaks_the_rules(steps: list[tuple[str, int, int]]) -> None:
    """Whatever `h2` lets its user say, in whatever order, is no fault, and all of it is there."""
    pair = Pair()
    pair.hear()
    pair.answer()
    sent: dict[int, bytes] = {}
    ended: set[int] = set()
    for what, which, amount in steps:
        sid = 2 * which + 1
        live = sid in sent and sid not in ended
        if what == "h" and sid > max(sent, default=0):
            pair.client.send_headers(sid, ASKED)
            sent[sid] = b""
        elif what == "d" and live:
            data = bytes(amount)
            pair.client.send_data(sid, data, pad_length=which or None)
            sent[sid] += data
        elif what == "r" and live:
            pair.client.reset_stream(sid)
            ended.add(sid)
        elif what == "w" and live and amount:
            pair.client.increment_flow_control_window(amount, sid)
        elif what == "p":
            pair.client.ping(bytes(8))
        elif what == "e" and live:
            pair.client.end_stream(sid)
            ended.add(sid)
        elif what == "t" and live:
            pair.client.send_headers(sid, [("x-a", "b")], end_stream=True)
            ended.add(sid)
    got = dict.fromkeys(sent, b"")
    for event in pair.hear():
        if isinstance(event, told.DataReceived):
            got[event.stream_id] += event.data
    assert got == sent
    assert {sid for sid, stream in pair.wire.streams.items() if not stream.receives} == ended

"""A bridge between a client, a backend that is lost, and another one, cut at every byte.

`Played` plays the relay: it feeds what the client sends, lets the backend take as much of it as a test says, and loses
it. What each backend had, and what the client got, is read again by a parser of its own.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from penstock.websocket.frames import FrameSender
from penstock.websocket.redial.bridge import Bridge, measure, message_at
from penstock.websocket.redial.states import CALLING, CONNECTED, HELD, JOINED, LEAVING, MOVE, OVER
from penstock.websocket.redial.terms import CODES
from penstock.websocket.redial.way import LEFT, BackendWay, ClientWay
from unit.websocket.streams import frame, good_frames, pieces

BOUND = 1 << 20


def of_server(first: int, payload: bytes = b"") -> bytes:
    assert len(payload) < 126
    return bytes((first, len(payload))) + payload


@dataclass
class Read:
    """What a stream of frames says. `rest` is what is not a whole message yet."""

    messages: list[bytes] = field(default_factory=list)
    controls: list[bytes] = field(default_factory=list)
    rest: bytes = b""


def read(data: bytes) -> Read:
    """Read frames strictly: each message as its frames are on the wire, without the controls in between."""
    found = Read()
    at = 0
    under_way: bytes | None = None
    while len(data) - at >= 2:
        second = data[at + 1] & 0x7F
        need = 2 + (2 if second == 126 else 8 if second == 127 else 0) + (4 if data[at + 1] & 0x80 else 0)
        if len(data) - at < need:
            break
        header, length = measure(data, at)
        if len(data) - at < header + length:
            break
        whole = data[at : at + header + length]
        opcode = whole[0] & 0x0F
        if opcode & 0x08:
            assert whole[0] & 0x80
            assert length < 126
            found.controls.append(whole)
        else:
            assert (opcode == 0) == (under_way is not None), "a message begins and goes on where it may"
            under_way = (under_way or b"") + whole
            if whole[0] & 0x80:
                found.messages.append(under_way)
                under_way = None
        at += header + length
    found.rest = (under_way or b"") + data[at:]
    return found


class Played:
    """A client, the backend that it has, and what both were told."""

    def __init__(self, bound: int = BOUND) -> None:
        self.up = ClientWay()
        self.bridge = Bridge(self.up, BackendWay(self.up, CODES), bound)
        self.backends = [bytearray()]
        self.client = bytearray()
        self.unsent = b""

    def client_says(self, data: bytes, room: int = 1 << 30) -> None:
        """The backend takes at most `room` bytes of it; with something unsent the client is not read."""
        assert not self.unsent
        bridge = self.bridge
        out = bytes(self.up.feed(data, 0.0))
        if bridge.holding:
            answer = bridge.hold(out)
            if bridge.state is HELD:
                self.client += bridge.pong()
            else:
                self.backends[-1] += answer
            return
        bridge.passing(out)
        self._send(out, room)

    def _send(self, out: bytes, room: int) -> None:
        self.backends[-1] += out[:room]
        self.unsent = out[room:]
        self.bridge.untaken_is(len(self.unsent))

    def backend_takes(self, room: int = 1 << 30) -> None:
        """Some of what was unsent; only the last of it is told."""
        self.backends[-1] += self.unsent[:room]
        self.unsent = self.unsent[room:]
        if not self.unsent:
            self.bridge.untaken_is(0)

    def backend_says(self, data: bytes) -> None:
        self.client += self.bridge.down.feed(data, 0.0)

    def lose(self) -> bool:
        goes_on = self.bridge.lose(len(self.unsent))
        self.unsent = b""
        if goes_on and self.bridge.state is HELD:
            self.client += self.bridge.pong()
        return goes_on

    def join(self, room: int = 1 << 30) -> None:
        first = self.bridge.join()
        self.backends.append(bytearray())
        self._send(first, room)

    @property
    def had(self) -> list[bytes]:
        """All messages that any backend had whole, in order."""
        return [message for each in self.backends for message in read(bytes(each)).messages]


PING, LAST_PING = frame(0x89, b"there?"), frame(0x89, b"still?")
SCRIPT = [
    frame(0x81, b"one"),
    PING,
    frame(0x01, b"frag"),
    frame(0x00, b"ment"),
    LAST_PING,
    frame(0x80, b"ed"),
    frame(0x82, b"x" * 130),
    frame(0x81),
    frame(0x82, b"last"),
]
ANSWERS = [
    of_server(0x81, b"hello"),
    of_server(0x89, b"you?"),
    of_server(0x01, b"par"),
    of_server(0x8A, b"there?"),
    of_server(0x80, b"ts"),
    of_server(0x82, b"end"),
]
SAID = b"".join(SCRIPT)
ALL = read(SAID).messages


@pytest.mark.parametrize("untaken", [0, 1, 3, 9, 40, 10_000])
@pytest.mark.parametrize("amid", [False, True], ids=["at once", "in a second read"])
def test_every_cut_of_what_the_client_says(untaken: int, *, amid: bool) -> None:
    """The proxy has read the client up to `cut`, and the backend has taken all but the last bytes of that."""
    for cut in range(len(SAID) + 1):
        played = Played()
        first = max(0, cut - 30) if amid else 0
        if first:
            played.client_says(SAID[:first])
        played.client_says(SAID[first:cut], max(0, cut - first - untaken))
        assert played.lose(), cut
        played.client_says(SAID[cut:])
        played.join()
        old, new = (read(bytes(each)) for each in played.backends)
        assert old.messages + new.messages == ALL, cut
        assert not new.rest
        assert played.bridge.size == 0


def test_every_cut_with_the_rest_sent_after_it() -> None:
    """The message that was under way is sent again from its beginning, and its end follows."""
    for cut in range(len(SAID) + 1):
        played = Played()
        played.client_says(SAID[:cut])
        assert played.lose()
        played.join()
        played.client_says(SAID[cut:])
        assert played.had == ALL, cut
        assert not read(bytes(played.backends[1])).rest


def test_half_written_bytes_are_half_taken_later() -> None:
    """Some of what was left goes in the meantime, without a word to the bridge until all has."""
    for cut in range(1, len(SAID) + 1):
        for later in (0, 1, 7, 50, cut):
            played = Played()
            played.client_says(SAID[:cut], cut // 2)
            if played.unsent:
                played.backend_takes(later)
            assert played.lose()
            if not played.unsent:
                played.client_says(SAID[cut:])
            played.join()
            assert played.had == ALL, (cut, later)


@pytest.mark.parametrize("then", ["lost", "closed"])
def test_every_cut_of_what_the_backend_says(then: str) -> None:
    """Between two messages the client sees another backend go on; amid one, nobody pretends that it was whole."""
    answers = b"".join(ANSWERS)
    borders = {sum(map(len, ANSWERS[:count])) for count in range(len(ANSWERS) + 1)}
    for cut in range(len(answers) + 1):
        played = Played()
        played.client_says(SAID)
        played.backend_says(answers[:cut])
        before = read(bytes(played.client))
        whole = not before.rest
        if then == "closed":
            if cut not in borders:
                continue  # a close frame may come between two frames alone
            played.backend_says(of_server(0x88, b"\x03\xf4"))
            assert bool(played.bridge.down.news & LEFT) is whole
            if not whole:
                continue
        assert played.lose() is whole, cut
        if not whole:
            assert played.bridge.state is OVER
            continue
        played.join()
        played.backend_says(answers)
        after = read(bytes(played.client))
        assert after.messages == before.messages + read(answers).messages
        assert not after.rest


def test_a_ping_that_nobody_answered_is_answered_by_us() -> None:
    played = Played()
    played.client_says(PING)
    played.backend_says(of_server(0x8A, b"there?"))
    assert played.lose()
    assert read(bytes(played.client)).controls == [of_server(0x8A, b"there?")]
    played.join()
    played.client_says(LAST_PING)
    assert played.lose()
    played.client_says(PING)
    assert read(bytes(played.client)).controls[1:] == [of_server(0x8A, b"still?"), of_server(0x8A, b"there?")]
    played.join()
    assert not read(bytes(played.backends[-1])).controls, "what was answered is not asked again"


def test_pings_in_a_message_that_comes_while_nobody_takes_it() -> None:
    played = Played()
    assert played.lose()
    for each in SCRIPT:
        for piece in pieces(each, 5):
            played.client_says(piece)
    assert read(bytes(played.client)).controls == [of_server(0x8A, b"there?"), of_server(0x8A, b"still?")]
    played.join()
    new = read(bytes(played.backends[1]))
    assert new.messages == read(SAID.replace(PING, b"").replace(LAST_PING, b"")).messages
    assert not new.controls


def test_a_goodbye_is_delivered_behind_what_came_before_it() -> None:
    played = Played()
    assert played.lose()
    goodbye = frame(0x88, b"\x03\xe8")
    played.client_says(SAID + goodbye)
    assert played.bridge.up.close_code == 1000
    played.join()
    new = read(bytes(played.backends[1]))
    assert len(new.messages) == len(ALL)
    assert new.controls == [goodbye]


def test_a_message_longer_than_the_bound_can_not_be_sent_again() -> None:
    long = frame(0x82, b"y" * 5000)
    played = Played(bound=1000)
    played.client_says(long[:900])
    assert played.bridge.size == 900
    played.client_says(long[900:2000])
    assert played.bridge.size == 0
    assert not played.lose()
    played = Played(bound=1000)
    played.client_says(long)
    played.client_says(frame(0x81, b"after it")[:5])
    assert played.lose(), "it is over, and the next one is kept"


def test_no_more_is_read_than_may_be_kept() -> None:
    played = Played(bound=200)
    assert played.lose()
    played.client_says(frame(0x82, b"z" * 150))
    assert not played.bridge.full
    played.client_says(frame(0x82, b"z" * 150))
    assert played.bridge.full
    played.join()
    assert not played.bridge.full


def test_one_that_is_left_gets_no_message_of_later_and_is_heard_to_its_end() -> None:
    for cut in range(len(SAID) + 1):
        played = Played()
        bridge = played.bridge
        bridge.happened(MOVE)
        played.client_says(SAID[: cut // 2])
        bridge.happened(CONNECTED)
        assert bridge.state is LEAVING
        played.client_says(SAID[cut // 2 : cut])
        if bridge.rested:
            bridge.hold_back()
        had = len(played.backends[0])
        played.client_says(SAID[cut:])
        if bridge.holding:
            assert not read(bytes(played.backends[0][had:])).messages
        played.backend_says(b"".join(ANSWERS))
        assert played.lose()
        assert bridge.state is JOINED
        played.join()
        assert played.had == ALL
        assert read(bytes(played.client)).messages == read(b"".join(ANSWERS)).messages


def test_one_that_was_to_be_left_may_keep_its_client() -> None:
    played = Played()
    bridge = played.bridge
    bridge.happened(MOVE)
    bridge.happened(CONNECTED)
    bridge.hold_back()
    played.client_says(SAID)
    first = bridge.stay()
    played._send(first, 1 << 30)
    assert bridge.state is JOINED
    assert played.had == ALL


def test_lost_while_another_is_called() -> None:
    played = Played()
    played.bridge.happened(MOVE)
    assert played.bridge.state is CALLING
    assert played.lose()
    assert played.bridge.state is HELD
    played.client_says(SAID)
    played.join()
    assert played.had == ALL


@settings(max_examples=300, deadline=None)
@given(st.data())
def test_any_number_of_losses_anywhere(data: st.DataObject) -> None:
    """Frames of every length, cut in pieces, taken in part, and lost at any moment: each message comes whole, once, in
    order."""
    stream = b"".join(good_frames(data.draw(st.integers(0, 10_000)), 30, FrameSender.CLIENT))
    expected = read(stream).messages
    played = Played()
    for piece in pieces(stream, data.draw(st.integers(0, 10_000))):
        held = played.bridge.holding
        played.client_says(piece, data.draw(st.integers(0, 3000)) if not held and data.draw(st.booleans()) else 1 << 30)
        what = data.draw(st.sampled_from(["go on", "go on", "lose", "join"]))
        if what == "lose" and not played.bridge.holding:
            if played.unsent and data.draw(st.booleans()):
                played.backend_takes(data.draw(st.integers(0, 2000)))
            assert played.lose()
        elif played.bridge.holding and what == "join":
            played.join()
        if played.unsent:
            played.backend_takes()
    if played.bridge.holding:
        played.join()
    assert played.had == expected
    assert sum(bool(read(bytes(each)).rest) for each in played.backends[-1:]) == bool(read(stream).rest)


@given(st.lists(st.integers(0, 300), min_size=1, max_size=6), st.integers(0, 2000))
def test_where_a_message_begins(sizes: list[int], place: int) -> None:
    frames = [frame(0x82, b"q" * size) for size in sizes]
    starts = [sum(map(len, frames[:at])) for at in range(len(frames) + 1)]
    data = b"".join(frames)
    place = min(place, len(data))
    assert message_at(data, place) == max(each for each in starts if each <= place)

"""Questions and answers between machines: bounded, whoever wrote them."""

import json
import random
import zlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from penstock.modules.fleet import channel
from penstock.modules.fleet.channel import (
    Gathering,
    deflate,
    fresh_id,
    pack_answer,
    pack_question,
    read_answers,
    read_piece,
    read_question,
)

ID = b"0123456789abcdef"


def test_a_question_is_for_those_it_names() -> None:
    id = fresh_id()
    for to in (None, ["n:1"]):
        asked = read_question(pack_question(id, "m:1-a", to, {"do": "tunnels"}), "n:1")
        assert asked == (id, "m:1-a", {"do": "tunnels"})
    assert read_question(pack_question(id, "m:1", ["n:2"], {"do": "tunnels"}), "n:1") is None


@pytest.mark.parametrize(
    "change", [{"id": "x"}, {"from": "a b"}, {"from": 3}, {"to": "n:1"}, {"question": {"do": "x"}}]
)
def test_what_is_none(change) -> None:
    good = json.loads(pack_question(ID, "m:1", None, {"do": "close"}))
    assert read_question(json.dumps(good).encode(), "n:1") is not None
    assert read_question(json.dumps(good | change).encode(), "n:1") is None


@given(st.binary(max_size=80))
def test_anything_is_read_or_left(data) -> None:
    read_question(data, "n:1")
    piece = read_piece(data)
    if piece is not None:
        Gathering({piece.lease}).add(piece)


@pytest.mark.parametrize("doubled", range(4))
def test_pieces_in_any_order(doubled) -> None:
    chance = random.Random(doubled)
    answer = {"pid": 1, "tunnels": [{"id": f"{number}-{chance.random()}"} for number in range(20_000)]}
    pieces = pack_answer(ID, "n:1", b"".join(deflate(answer)))
    assert len(pieces) > 1
    pieces += pieces[:doubled]
    chance.shuffle(pieces)
    found = Gathering({"n:1", "n:2"})
    for each in pieces:
        piece = read_piece(each)
        assert piece is not None
        found.add(piece)
    assert read_answers(found.answers.values()) == [answer]
    assert not found.complete


@pytest.mark.parametrize("count", [0, 1, channel.AT_ONCE, channel.AT_ONCE + 1, 3 * channel.AT_ONCE])
def test_an_answer_is_written_in_parts(count) -> None:
    answer = {"pid": 1, "tunnels": [{"id": str(number)} for number in range(count)], "open": 3}
    parts = list(deflate(answer))
    assert len(parts) == 1 + -(-count // channel.AT_ONCE)
    assert read_answers([b"".join(parts)]) == [answer]
    assert read_answers([b"".join(deflate({"error": "no"}))]) == [{"error": "no"}]


def test_what_nobody_was_asked_is_left() -> None:
    found = Gathering({"n:1"})
    (other,) = pack_answer(ID, "n:2", b"".join(deflate({"pid": 1})))
    found.add(read_piece(other))
    assert found.answers == {}


def test_what_swells_or_is_none_is_left_out() -> None:
    swollen = zlib.compress(b"[" + b" " * (channel.LONGEST + 10) + b"]")
    good = b"".join(deflate({"pid": 1}))
    assert read_answers([swollen, b"", good[:-1], zlib.compress(b"[]"), zlib.compress(b"{"), good]) == [{"pid": 1}]


def test_all_answers_together_are_bounded() -> None:
    big = b"".join(deflate({"x": "x" * (channel.LONGEST - 100)}))
    assert len(read_answers([big] * 10)) == channel.LONGEST_OF_ALL // channel.LONGEST
    found = Gathering({f"n:{number}" for number in range(1000)})
    for number in range(1000):
        for piece in pack_answer(ID, f"n:{number}", bytes(2 * channel.PIECE)):
            found.add(read_piece(piece))
    assert sum(map(len, found.answers.values())) <= channel.LONGEST_OF_ALL

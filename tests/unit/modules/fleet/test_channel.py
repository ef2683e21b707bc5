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
    fresh_id,
    pack_answer,
    pack_question,
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
    pieces = pack_answer(ID, "n:1", answer)
    assert len(pieces) > 1
    pieces += pieces[:doubled]
    chance.shuffle(pieces)
    found = Gathering({"n:1", "n:2"})
    for each in pieces:
        piece = read_piece(each)
        assert piece is not None
        found.add(piece)
    assert found.answers == {"n:1": answer}
    assert not found.complete


def test_what_nobody_was_asked_and_what_swells_is_left() -> None:
    asked = {"n:1"}
    found = Gathering(asked)
    (other,) = pack_answer(ID, "n:2", {"pid": 1})
    found.add(read_piece(other))
    assert found.answers == {}
    swollen = zlib.compress(b"[" + b" " * (channel.LONGEST + 10) + b"]")
    head = pack_answer(ID, "n:1", {})[0][: -len(zlib.compress(b"{}", 1))]
    found.add(read_piece(head + swollen))
    assert found.answers == {}
    assert found.complete, "it counts as one that says nothing"
    assert asked == {"n:1"}, "and is missed"


def test_all_answers_together_are_bounded() -> None:
    names = [f"n:{number}" for number in range(10)]
    found = Gathering(set(names))
    for name in names:
        (piece,) = pack_answer(ID, name, {"tunnels": "x" * (channel.LONGEST - 100)})
        found.add(read_piece(piece))
    assert sum(len(answer["tunnels"]) for answer in found.answers.values()) <= channel.LONGEST_OF_ALL
    assert len(found.answers) == channel.LONGEST_OF_ALL // channel.LONGEST
    assert found.complete

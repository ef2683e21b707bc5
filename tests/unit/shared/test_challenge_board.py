"""What is pinned is found by its kind and name, and by nothing else; there is no more room than there is."""

from penstock.shared.challenge_board import HTTP, TLS, ChallengeBoard


def test_what_is_pinned_is_found_until_it_is_taken_off() -> None:
    board = ChallengeBoard(2)
    assert board.pin(HTTP, "token", b"answer") and board.pin(TLS, "token", b"\0other")
    assert board.find(HTTP, "token") == b"answer"
    assert board.find(TLS, "token") == b"\0other"
    assert board.find(HTTP, "toke") is None and board.find(HTTP, "") is None
    board.take_off(HTTP, "token")
    assert board.find(HTTP, "token") is None
    assert board.find(TLS, "token") == b"\0other"


def test_a_second_pin_of_a_name_takes_the_place_of_the_first() -> None:
    board = ChallengeBoard(1)
    assert board.pin(HTTP, "a", b"a long answer") and board.pin(HTTP, "a", b"short")
    assert board.find(HTTP, "a") == b"short"


def test_a_full_board_and_a_long_answer_are_refused() -> None:
    board = ChallengeBoard(1)
    assert not board.pin(HTTP, "a", bytes(8192))
    assert not board.pin(HTTP, "", b"x")
    assert board.pin(HTTP, "a", bytes(8000))
    assert not board.pin(HTTP, "b", b"x")
    board.clear()
    assert board.find(HTTP, "a") is None
    assert board.pin(HTTP, "b", b"x")

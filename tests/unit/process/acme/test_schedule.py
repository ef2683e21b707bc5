"""A certificate is renewed at two thirds of its time; after failures nobody hurries, and nobody gives up."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from penstock.process.acme.schedule import LONGEST_WAIT, Progress


def test_two_thirds_of_the_time_unless_the_authority_says_otherwise() -> None:
    progress = Progress()
    progress.plan(0, 90)
    assert progress.due == 60
    progress.plan(0, 90, suggested=30)
    assert progress.due == 30


def test_a_suggestion_does_not_let_a_certificate_end() -> None:
    progress = Progress()
    progress.plan(0, 100, suggested=1000)
    assert progress.due == 98


def test_a_suggestion_that_is_over_does_not_order_one_certificate_after_the_other() -> None:
    progress = Progress()
    progress.plan(1000, 1100, suggested=0)
    assert progress.due == 1002


@pytest.mark.parametrize(("asked", "held"), [(1, 60), (3600, 3600), (1e9, 86400)])
def test_the_authority_is_asked_again_between_a_minute_and_a_day_from_now(asked: float, held: float) -> None:
    progress = Progress(due=1e6)
    progress.ask_in(1000, asked)
    assert progress.next() == 1000 + held
    progress.failed(1000, 0.5)
    assert progress.next() == progress.due  # no questions in between
    progress.ask_in(1000, None)
    progress.failures = 0
    assert progress.next() == progress.due


def test_what_is_known_of_a_certificate_does_not_make_failures_forgotten() -> None:
    """A renewal that fails looks at the certificate that is there before each try."""
    progress, waits = Progress(), []
    for _ in range(5):
        progress.plan(0, 90)
        waits.append(progress.failed(1000, 0.5))
    assert waits == [60, 120, 240, 480, 960]


@given(st.lists(st.floats(0, 1), min_size=1, max_size=60), st.floats(0, 90000))
def test_waits_grow_to_half_a_day_and_never_fall_below_what_was_asked_for(chances: list[float], asked: float) -> None:
    progress = Progress()
    for number, chance in enumerate(chances, 1):
        wait = progress.failed(1000.0, chance, asked)
        assert progress.failures == number and progress.due == 1000.0 + wait
        assert max(asked, 45) <= wait <= max(asked, LONGEST_WAIT * 1.25)

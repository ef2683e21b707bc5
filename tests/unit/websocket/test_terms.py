"""What a location wants of its WebSockets, as it goes to another process and back."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from penstock.websocket.terms import NO_LIMITS, WATCHED, DirectionLimits, Terms, shared, terms_of

LIMITS = st.builds(
    DirectionLimits,
    message=st.integers(0, 1 << 40),
    frame=st.integers(0, 1 << 40),
    rate=st.floats(0, 1e9),
    burst=st.integers(0, 1 << 31),
)
TERMS = st.builds(
    Terms,
    strict=st.booleans(),
    ping=st.floats(0, 1e9),
    from_client=LIMITS,
    from_backend=LIMITS,
    lifetime=st.floats(0, 1e9),
    reauth_uri=st.text(max_size=20),
    close_timeout=st.floats(0, 1e9),
)


@given(terms=TERMS)
def test_they_come_back_from_json_as_they_were(terms: Terms) -> None:
    assert terms_of(json.loads(json.dumps(terms.plain()))) == terms


def test_tunnels_with_the_same_terms_share_them() -> None:
    one, other = terms_of(Terms(ping=3.0).plain()), terms_of(Terms(ping=3.0).plain())
    assert one is other
    assert shared(Terms(ping=3.0)) is one


def test_values_that_are_no_terms_are_refused() -> None:
    for wrong in ({"unknown": 1}, {"from_client": {"size": 3}}):
        with pytest.raises(TypeError):
            terms_of(Terms().plain() | wrong)


def test_limits_are_true_where_there_is_one() -> None:
    assert not NO_LIMITS
    assert not DirectionLimits(burst=5), "a burst of no rate limits nothing"
    assert all((DirectionLimits(message=1), DirectionLimits(frame=1), DirectionLimits(rate=0.1)))


def test_to_be_watched_asks_for_nothing_more() -> None:
    assert (WATCHED.strict, WATCHED.ping, WATCHED.lifetime, WATCHED.reauth) == (False, 0.0, 0.0, 0.0)
    assert not WATCHED.from_client
    assert not WATCHED.from_backend

"""EventSource in a browser through a hundred reloads, twenty drains and ten restarts."""

import os

import pytest

from integration.test_event_source import goes_through

pytestmark = [
    pytest.mark.slow,
    pytest.mark.timeout(3600),
    pytest.mark.skipif(not int(os.environ.get("PENSTOCK_SOAK", "0")), reason="takes minutes: make soak"),
]


@pytest.mark.parametrize("secure", [False, True], ids=["h1", "h2"])
def test_through_a_hundred_reloads(proxy, browser, authority, secure) -> None:
    goes_through(proxy, browser, authority, secure=secure, reloads=100, drains=20, restarts=10)

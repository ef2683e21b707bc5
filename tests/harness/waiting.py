"""Waiting with a bound.

With PENSTOCK_TESTS_LATE=SECONDS in the environment every wait begins that much later, and backends close that much
later than their script ends. It finds tests that take what is there at the beginning, or on the way, for what they wait
for, and those in which a connection is taken for closed because it mostly is.
"""

import os
import time
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")

LEAST_LOOKS = 10
"""Looks that are taken before a wait is given up: on a machine that stands still for a while, one may take seconds."""

PATIENCE = 30.0
"""Seconds that a wait has unless it says otherwise: what comes at all comes sooner, on a busy machine too."""

LATE = float(os.environ.get("PENSTOCK_TESTS_LATE", "0"))


def eventually(probe: Callable[[], T], timeout: float = PATIENCE, every: float = 0.02, why: str = "") -> T:
    """The first truthy value `probe` returns within `timeout` seconds, else `AssertionError` saying `why`."""
    if LATE:
        time.sleep(LATE)
    deadline = time.monotonic() + timeout
    looks, longest = 0, 0.0
    while True:
        began = time.monotonic()
        value = probe()
        if value:
            return value
        now = time.monotonic()
        looks, longest = looks + 1, max(longest, now - began)
        if now > deadline and looks >= LEAST_LOOKS:
            raise AssertionError(f"not within {timeout} s, {looks} looks of {longest:.2f} s at most: {why or probe}")
        time.sleep(every)

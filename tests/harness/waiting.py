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

LATE = float(os.environ.get("PENSTOCK_TESTS_LATE", "0"))


def eventually(probe: Callable[[], T], timeout: float = 15.0, every: float = 0.02, why: str = "") -> T:
    """The first truthy value `probe` returns within `timeout` seconds, else `AssertionError` saying `why`."""
    if LATE:
        time.sleep(LATE)
    deadline = time.monotonic() + timeout
    while True:
        value = probe()
        if value:
            return value
        if time.monotonic() > deadline:
            raise AssertionError(f"not within {timeout} s: {why or probe}")
        time.sleep(every)

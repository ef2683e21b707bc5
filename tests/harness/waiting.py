"""Waiting with a bound."""

import time
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")


def eventually(probe: Callable[[], T], timeout: float = 5.0, every: float = 0.02, why: str = "") -> T:
    """The first truthy value `probe` returns within `timeout` seconds, else `AssertionError` saying `why`."""
    deadline = time.monotonic() + timeout
    while True:
        value = probe()
        if value:
            return value
        if time.monotonic() > deadline:
            raise AssertionError(f"not within {timeout} s: {why or probe}")
        time.sleep(every)

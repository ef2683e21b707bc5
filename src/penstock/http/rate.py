"""How many bytes a rate allows, in pieces that are worth a system call (nginx: `limit_rate`, `proxy_limit_rate`)."""

LEAST_WAIT = 0.1
"""Seconds."""


class Pace:
    """`limit_rate` of one answer: bytes a second, after the first `free` ones."""

    __slots__ = ("free", "rate", "sent", "started")

    def __init__(self, rate: int, free: int, now: float) -> None:
        self.rate = rate
        self.free = free
        self.sent = 0
        self.started = now


def allowance(rate: int, elapsed: float, moved: int) -> int:
    """Count the bytes that may move now. A second's worth may at the beginning, and `rate` more with each second; below
    1: none, and `delay` says for how long."""
    return int(rate * (elapsed + 1)) - moved


def delay(rate: int, allowed: int) -> float:
    """Return the seconds until enough may move."""
    return max(LEAST_WAIT, 1 / rate) - allowed / rate

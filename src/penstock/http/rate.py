"""How many bytes a rate allows, in pieces that are worth a system call (nginx: `limit_rate`, `proxy_limit_rate`)."""

LEAST_WAIT = 0.1
"""Seconds."""


def allowance(rate: int, elapsed: float, moved: int) -> int:
    """Bytes that may move now. A second's worth may at the beginning, and `rate` more with each second; below 1: none,
    and `delay` says for how long."""
    return int(rate * (elapsed + 1)) - moved


def delay(rate: int, allowed: int) -> float:
    """Seconds until enough may move."""
    return max(LEAST_WAIT, 1 / rate) - allowed / rate

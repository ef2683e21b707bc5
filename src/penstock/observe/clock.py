"""The time of day as logs write it, in local time, made once a second."""

from __future__ import annotations

from collections.abc import Callable
from time import localtime, strftime, time


def _each_second(form: str) -> Callable[..., str]:
    """Make a function that writes the time; a request that it is asked for makes no difference."""
    last = 0
    text = ""

    def show(request: object = None) -> str:
        nonlocal last, text
        now = time()
        if not last <= now < last + 1:
            last = int(now)
            text = strftime(form, localtime(last))
        return text

    return show


error_log_time = _each_second("%Y/%m/%d %H:%M:%S")
"""`2026/11/21 06:53:00`"""

common_time = _each_second("%d/%b/%Y:%H:%M:%S %z")
"""`21/Nov/2026:06:53:00 +0000`, the Common Log Format's (`$time_local`)."""

syslog_time = _each_second("%b %e %H:%M:%S")
"""`Nov 21 06:53:00` (RFC 3164 section 4.1.2)."""

_iso = _each_second("%Y-%m-%dT%H:%M:%S%z")


def iso_time() -> str:
    """Return the time as `2026-11-21T06:53:00+00:00` (`$time_iso8601`)."""
    text = _iso()
    return f"{text[:-2]}:{text[-2:]}"


def iso_time_ms() -> str:
    """Return the time as `2026-11-21T06:53:00.042+00:00` (`$time_iso8601_ms`)."""
    now = time()
    moment = localtime(now)
    zone = strftime("%z", moment)
    return f"{strftime('%Y-%m-%dT%H:%M:%S', moment)}.{int(now % 1 * 1000):03d}{zone[:3]}:{zone[3:]}"

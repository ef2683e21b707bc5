"""The time as logs write it."""

import re

from penstock.observe import clock


def test_shapes() -> None:
    assert re.fullmatch(r"\d{4}/\d\d/\d\d \d\d:\d\d:\d\d", clock.error_log_time())
    assert re.fullmatch(r"\d\d/[A-Z][a-z]{2}/\d{4}:\d\d:\d\d:\d\d [+-]\d{4}", clock.common_time())
    assert re.fullmatch(r"[A-Z][a-z]{2} [ \d]\d \d\d:\d\d:\d\d", clock.syslog_time())
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d[+-]\d\d:\d\d", clock.iso_time())


def test_follows_the_second(monkeypatch) -> None:
    monkeypatch.setattr(clock, "time", lambda: 86400.0 * 365)
    first = clock.error_log_time()
    assert clock.error_log_time() is first
    monkeypatch.setattr(clock, "time", lambda: 86400.0 * 365 + 1)
    assert clock.error_log_time() != first

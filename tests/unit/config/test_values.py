"""Values are spelled as nginx spells them, limits included."""

from collections.abc import Callable
from typing import Any

import pytest

from penstock.config import values

REFUSED = None


def check(parse: Callable[..., Any], text: str, expected: object) -> None:
    if expected is not REFUSED:
        assert parse(text) == expected
        return
    with pytest.raises(ValueError, match=r"^(takes|must be) "):
        parse(text)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("0", 0),
        ("8192", 8192),
        ("8k", 8192),
        ("8K", 8192),
        ("10m", 10 * 1024**2),
        ("10M", 10 * 1024**2),
        ("1g", REFUSED),
        ("", REFUSED),
        ("k", REFUSED),
        ("-1", REFUSED),
        ("1.5m", REFUSED),
        ("1kk", REFUSED),
        (" 1", REFUSED),
        ("9223372036854775807", 2**63 - 1),
        ("9223372036854775808", REFUSED),
        ("9223372036854775807k", REFUSED),
        ("9" * 5000, REFUSED),
        ("\xb2", REFUSED),
    ],
)
def test_size(text: str, expected: int | None) -> None:
    check(values.size, text, expected)


@pytest.mark.parametrize(
    ("text", "expected"), [("1g", 1024**3), ("2G", 2 * 1024**3), ("1m", 1024**2), ("1t", REFUSED)]
)
def test_offset(text: str, expected: int | None) -> None:
    check(values.offset, text, expected)


@pytest.mark.parametrize(
    ("text", "fine", "whole"),
    [
        ("60", 60.0, 60),
        ("0", 0.0, 0),
        ("30s", 30.0, 30),
        ("500ms", 0.5, REFUSED),
        ("1s500ms", 1.5, REFUSED),
        ("1h30m", 5400.0, 5400),
        ("1h 30m", 5400.0, 5400),
        ("1d", 86400.0, 86400),
        ("2w", 1209600.0, 1209600),
        ("1M", REFUSED, 2592000),
        ("1y", REFUSED, 31536000),
        ("1y1M1w1d1h1m1s", REFUSED, 31536000 + 2592000 + 604800 + 86400 + 3600 + 60 + 1),
        ("1m30", 90.0, 90),
        ("10 20", 30.0, 30),
        ("1hm", 3600.0, 3600),
        ("m", REFUSED, REFUSED),
        ("", REFUSED, REFUSED),
        (" ", REFUSED, REFUSED),
        ("1m1h", REFUSED, REFUSED),
        ("1s1s", REFUSED, REFUSED),
        ("1s 1", 2.0, 2),
        ("1.5s", REFUSED, REFUSED),
        ("-1", REFUSED, REFUSED),
        ("1x", REFUSED, REFUSED),
        ("1S", REFUSED, REFUSED),
        ("9223372036854775807", REFUSED, 2**63 - 1),
        ("9223372036854775808", REFUSED, REFUSED),
        ("9223372036854775807m", REFUSED, REFUSED),
    ],
)
def test_times(text: str, fine: float | None, whole: int | None) -> None:
    check(values.seconds, text, fine)
    check(values.whole_seconds, text, whole)


@pytest.mark.parametrize(
    ("text", "expected"), [("0", 0), ("007", 7), ("-1", REFUSED), ("1a", REFUSED), ("", REFUSED)]
)
def test_number(text: str, expected: int | None) -> None:
    check(values.number, text, expected)


@pytest.mark.parametrize(
    ("text", "expected"),
    [("on", True), ("off", False), ("ON", True), ("Off", False), ("yes", REFUSED), ("", REFUSED)],
)
def test_flag(text: str, expected: bool | None) -> None:
    check(values.flag, text, expected)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("10r/s", 10.0),
        ("30r/m", 0.5),
        ("1r/m", 0.016),
        ("5", 5.0),
        ("0r/s", REFUSED),
        ("r/s", REFUSED),
        ("10r/h", REFUSED),
        ("1.5r/s", REFUSED),
    ],
)
def test_rate(text: str, expected: float | None) -> None:
    check(values.rate, text, expected)


def test_buffers() -> None:
    assert values.buffers("8", "4k") == (8, 4096)
    for count, size in [("0", "4k"), ("8", "0"), ("a", "4k")]:
        with pytest.raises(ValueError, match="takes"):
            values.buffers(count, size)


def test_choices() -> None:
    protocols = {"SSLv3": 1, "TLSv1.2": 2, "TLSv1.3": 0}
    assert values.one_of("tlsV1.2", protocols) == 2
    assert values.one_of("TLSv1.3", protocols) == 0
    assert values.some_of(["TLSv1.3", "TLSv1.2", "tlsv1.3"], protocols) == (0, 2)
    with pytest.raises(ValueError, match=r"takes one of SSLv3, TLSv1\.2, TLSv1\.3"):
        values.some_of(["TLSv1.2", "TLSv2"], protocols)

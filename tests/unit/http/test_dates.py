"""Dates, with the standard library as an oracle."""

from __future__ import annotations

from calendar import timegm
from email.utils import formatdate, parsedate
from time import gmtime, strftime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from penstock.http.dates import cookie_date, http_date, parse_date

SECONDS = st.integers(0, timegm((9999, 12, 31, 23, 59, 59)))


@given(SECONDS)
def test_there_and_back(seconds: int) -> None:
    text = http_date(seconds)
    assert text == formatdate(seconds, usegmt=True)
    assert parse_date(text) == seconds
    assert parse_date(strftime("%a %b %e %H:%M:%S %Y", gmtime(seconds))) == seconds


@given(st.integers(0, timegm((2037, 12, 31, 23, 59, 59))))
def test_two_digits(seconds: int) -> None:
    assert cookie_date(seconds) == strftime("%a, %d-%b-%y %H:%M:%S GMT", gmtime(seconds))
    assert parse_date(strftime("%A, %d-%b-%y %H:%M:%S GMT", gmtime(seconds))) == seconds


def test_cookies_after_2037() -> None:
    assert cookie_date(2147483647) == "Tue, 19-Jan-2038 03:14:07 GMT"
    assert cookie_date(2145916799) == "Thu, 31-Dec-37 23:59:59 GMT"


def test_the_three_forms() -> None:
    for text in ("Sun, 06 Nov 1994 08:49:37 GMT", "Sunday, 06-Nov-94 08:49:37 GMT", "Sun Nov  6 08:49:37 1994"):
        assert parse_date(text) == 784111777
    assert http_date(784111777) == "Sun, 06 Nov 1994 08:49:37 GMT"


def test_before_1970() -> None:
    assert parse_date("Wed, 31 Dec 1969 23:59:59 GMT") == -1


@pytest.mark.parametrize(
    "text",
    [
        "",
        "now",
        ",",
        "Sun, 06 Nov 1994",
        "Sun, 06 Xyz 1994 08:49:37 GMT",
        "Sun, 6 Nov 1994 08:49:37 GMT",
        "Sun, 32 Jan 1994 08:49:37 GMT",
        "Sun, 29 Feb 1900 08:49:37 GMT",
        "Sun, 29 Feb 1995 08:49:37 GMT",
        "Sun, 06 Nov 1994 24:49:37 GMT",
        "Sun, 06 Nov 1994 08:60:37 GMT",
        "Sun, 06 Nov 1994 08:49:60 GMT",
        "Sun, 06-Nov-1994 08:49:37 GMT",
        "Sun Nov 06 08:49:37",
    ],
)
def test_no_dates(text: str) -> None:
    assert parse_date(text) is None


def test_leap_days() -> None:
    assert parse_date("Tue, 29 Feb 2000 00:00:00 GMT") == 951782400
    assert parse_date("Thu, 29 Feb 1996 00:00:00 GMT") == 825552000


@given(st.text(max_size=40))
def test_anything(text: str) -> None:
    parse_date(text)


@given(
    st.from_regex(
        r"\A[A-Z][a-z]{2}, [0-3][0-9] (?:Jan|Feb|Mar|Dec) [12][0-9]{3} [0-2][0-9]:[0-5][0-9]:[0-5][0-9] GMT\Z"
    )
)
def test_against_email(text: str) -> None:
    seconds = parse_date(text)
    if seconds is not None and " 00 " not in text[:8]:
        parsed = parsedate(text)
        assert parsed is not None
        assert seconds == timegm(parsed)


def test_what_has_no_date_of_four_digits() -> None:
    assert http_date(-1) == cookie_date(-5).replace("-", " ").replace("70", "1970") == "Thu, 01 Jan 1970 00:00:00 GMT"
    assert http_date(2**62) == "Fri, 31 Dec 9999 23:59:59 GMT"
    assert cookie_date(2**62) == "Fri, 31-Dec-9999 23:59:59 GMT"

"""Dates of HTTP and of cookies. Times are whole seconds since 1970."""

from __future__ import annotations

import re
from time import gmtime, struct_time

_DAYS = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
_MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
_LENGTHS = (31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31)

_END = 253402300799
"""The last second of the year 9999: years of HTTP have four digits."""

_last = (-1, "")


def _at(seconds: int) -> struct_time:
    # What a configuration adds to now, or a file system says, may be anything. Before 1970 it is 1970, as in nginx.
    return gmtime(min(max(seconds, 0), _END))


def http_date(seconds: int) -> str:
    """Write a date as "Sun, 06 Nov 1994 08:49:37 GMT" (RFC 9110 section 5.6.7). The last answer is remembered."""
    global _last
    seconds = int(seconds)
    known, text = _last
    if known == seconds:
        return text
    at = _at(seconds)
    text = (
        f"{_DAYS[at.tm_wday]}, {at.tm_mday:02d} {_MONTHS[at.tm_mon - 1]} {at.tm_year:4d} "
        f"{at.tm_hour:02d}:{at.tm_min:02d}:{at.tm_sec:02d} GMT"
    )
    _last = (seconds, text)
    return text


def cookie_date(seconds: int) -> str:
    """Write a date as "Sun, 06-Nov-94 08:49:37 GMT".

    Two digits of the year until 2037, as nginx writes `expires` of a cookie.
    """
    at = _at(int(seconds))
    year = str(at.tm_year) if at.tm_year > 2037 else f"{at.tm_year % 100:02d}"
    return (
        f"{_DAYS[at.tm_wday]}, {at.tm_mday:02d}-{_MONTHS[at.tm_mon - 1]}-{year} "
        f"{at.tm_hour:02d}:{at.tm_min:02d}:{at.tm_sec:02d} GMT"
    )


# HTTP-date (RFC 9110, section 5.6.7): IMF-fixdate, or one of the two obsolete forms.
_DATE = re.compile(
    r"""
    (?: [^, ]* , [ ]* (?: (?P<day> [0-9]{2}) [ ] (?P<month> [A-Z]..) [ ] (?P<year> [0-9]{4})      # RFC 5322
                        | (?P<day2>[0-9]{2}) -   (?P<month2>[A-Z]..) -   (?P<year2>[0-9]{2}) )    # RFC 850
        [ ] (?P<hour> [0-9]{2}) : (?P<minute> [0-9]{2}) : (?P<second> [0-9]{2})
    |   [^, ]* [ ]+ (?P<month3>[A-Z]..) [ ] [ ]? (?P<day3>[0-9]{1,2})                             # asctime
        [ ] (?P<hour3>[0-9]{2}) : (?P<minute3>[0-9]{2}) : (?P<second3>[0-9]{2}) [ ] (?P<year3>[0-9]{4})
    )
    """,
    re.ASCII | re.VERBOSE | re.DOTALL,
)


def parse_date(text: str) -> int | None:
    """Read a date in any of the three forms of RFC 9110 section 5.6.7; None if it is none.

    The weekday and what follows the time do not matter.
    """
    match = _DATE.match(text)
    if match is None:
        return None
    found = match.groupdict()
    month = _month(found["month"] or found["month2"] or found["month3"])
    if month is None:
        return None
    day = int(found["day"] or found["day2"] or found["day3"])
    if found["year2"] is not None:
        year = int(found["year2"])
        year += 2000 if year < 70 else 1900
    else:
        year = int(found["year"] or found["year3"])
    hour = int(found["hour"] or found["hour3"])
    minute = int(found["minute"] or found["minute3"])
    second = int(found["second"] or found["second3"])
    return seconds_at(year, month + 1, day, hour, minute, second)


def seconds_at(year: int, month: int, day: int, hour: int, minute: int, second: int) -> int | None:
    """Return a moment in seconds since 1970; None if there is none of these figures."""
    if hour > 23 or minute > 59 or second > 59 or not 1 <= month <= 12:
        return None
    leap = year % 4 == 0 and (year % 100 != 0 or year % 400 == 0)
    if day > _LENGTHS[month - 1] and not (leap and month == 2 and day == 29):
        return None
    return _days(year, month, day) * 86400 + hour * 3600 + minute * 60 + second


def _month(name: str) -> int | None:
    # The few letters that tell months apart are all nginx looks at.
    match name[0]:
        case "J":
            return 0 if name[1] == "a" else 5 if name[2] == "n" else 6
        case "F":
            return 1
        case "M":
            return 2 if name[2] == "r" else 4
        case "A":
            return 3 if name[1] == "p" else 7
        case "S":
            return 8
        case "O":
            return 9
        case "N":
            return 10
        case "D":
            return 11
    return None


def _days(year: int, month: int, day: int) -> int:
    """Count days since 1970 in the Gregorian calendar, by counting from March, so that the leap day comes last."""
    if month <= 2:
        year -= 1
        month += 12
    return 365 * year + year // 4 - year // 100 + year // 400 + (153 * (month - 3) + 2) // 5 + day - 719469

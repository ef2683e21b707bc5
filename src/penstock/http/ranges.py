"""Range requests (RFC 9110 section 14), read as nginx reads them."""

from __future__ import annotations

import re

UNLIMITED = 0x7FFF_FFFF
"""`max_ranges` where nobody set it."""

_MOST = 0x7FFF_FFFF_FFFF_FFFF

# range-spec (RFC 9110, section 14.1.1): an int-range or a suffix-range, with the spaces that nginx takes around them.
_ONE = re.compile(r" *(?:([0-9]+) *- *(?:([0-9]+) *)?|-([0-9]+) *)(,|\Z)", re.ASCII)


# Content-Range of one part (RFC 9110, section 14.4), with the spaces that nginx takes.
_PART = re.compile(r"bytes +([0-9]{1,19}) *- *([0-9]{1,19}) */ *(?:([0-9]{1,19})|\*) *\Z", re.ASCII)


class Unsatisfiable(Exception):
    """Raised when none of a range lies within the body, or it is no range at all: 416."""


def parse_range(value: str, size: int, max_ranges: int = UNLIMITED) -> list[tuple[int, int]] | None:
    """Return the parts of a body of `size` bytes that a Range header asks for, as (start, end), end exclusive.

    None means: as if the header were not there. That is so for other units than bytes, for more than
    `max_ranges` parts, and for parts that together are more than the body. Raises `Unsatisfiable`.
    """
    if max_ranges == 0 or len(value) < 7 or value[:6].lower() != "bytes=":
        return None
    ranges: list[tuple[int, int]] = []
    total = 0
    at = 6
    while True:
        match = _ONE.match(value, at)
        if match is None:
            raise Unsatisfiable
        start, end = _bounds(match, size)
        if start < end:
            if len(ranges) == max_ranges:
                return None
            ranges.append((start, end))
            total += end - start
        elif start == 0:
            return None
        if not match[4]:
            break
        at = match.end()
    if not ranges:
        raise Unsatisfiable
    if len(ranges) > 1:
        if total > size:
            return None
        # The parts of a multipart body have heads of their own; nginx reckons 256 bytes for each.
        if max_ranges == UNLIMITED and total + 256 * len(ranges) > size + 4096:
            return None
    return ranges


def _bounds(match: re.Match[str], size: int) -> tuple[int, int]:
    first, last, suffix = match.group(1, 2, 3)
    if suffix is not None:
        count = _number(suffix)
        start = size - count if count < size else 0
        return start, size
    start = _number(first)
    if last is None:
        return start, size
    end = _number(last)
    return start, min(end + 1, size)


def _number(digits: str) -> int:
    digits = digits.lstrip("0")
    if len(digits) > 19:
        raise Unsatisfiable
    number = int(digits or 0)
    if number > _MOST:
        raise Unsatisfiable
    return number


def content_range(start: int, end: int, size: int) -> str:
    """Write the Content-Range of one part; `end` is exclusive."""
    return f"bytes {start}-{end - 1}/{size}"


def parse_content_range(value: str) -> tuple[int, int, int | None] | None:
    """Return what a Content-Range says: start, end (exclusive), and the size of the whole body, None for `*`.

    None for what is no Content-Range of bytes that were sent.
    """
    match = _PART.match(value)
    if match is None:
        return None
    return int(match[1]), int(match[2]) + 1, None if match[3] is None else int(match[3])


def first_wanted(value: str) -> int:
    """Return where the one part begins that a Range header asks for, without knowing the size of the body; 0 where it
    asks for several parts, or for the end."""
    match = _ONE.match(value, 6) if value[:6].lower() == "bytes=" else None
    if match is None or match[4] or match[1] is None or len(match[1]) > 18:
        return 0
    return int(match[1])

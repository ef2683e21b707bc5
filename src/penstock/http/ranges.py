"""Range requests (RFC 9110 section 14), read as nginx reads them."""

from __future__ import annotations

import re

UNLIMITED = 0x7FFF_FFFF
"""`max_ranges` where nobody set it."""

_MOST = 0x7FFF_FFFF_FFFF_FFFF

_ONE = re.compile(r" *(?:([0-9]+) *- *(?:([0-9]+) *)?|-([0-9]+) *)(,|\Z)", re.ASCII)


class Unsatisfiable(Exception):
    """None of it lies within the body, or it is no range at all: 416."""


def parse_range(value: str, size: int, max_ranges: int = UNLIMITED) -> list[tuple[int, int]] | None:
    """The parts of a body of `size` bytes a Range header asks for, as (start, end), end exclusive.

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
    """The Content-Range of one part; `end` is exclusive."""
    return f"bytes {start}-{end - 1}/{size}"

"""Where events begin and end, however their bytes are cut; a parser of whole streams, written by the letter of the
standard, is what the scanner is held against."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from penstock.http.events.scanner import KEPT, EventScanner, LineScanner

BOM = b"\xef\xbb\xbf"


def told(data: bytes) -> tuple[int, bytes | None, int | None]:
    """Events, last id and retry of a whole stream (WHATWG HTML, 9.2.6)."""
    lines = re.split(rb"\r\n|\n|\r", data.removeprefix(BOM))[:-1]
    events, last_id, retry = 0, None, None
    pending, has_data = None, False
    for line in lines:
        if not line:
            events += has_data
            last_id, has_data = pending, False
            continue
        name, _, value = line.partition(b":")
        value = value.removeprefix(b" ")
        if name == b"data":
            has_data = True
        elif name == b"id" and b"\0" not in value:
            pending = value
        elif name == b"retry" and re.fullmatch(rb"\d{1,9}", value):
            retry = int(value)
    return events, last_id, retry


LINES = st.sampled_from(
    [b"data: a", b"data", b"data:", b"id: 7", b"id", b"id:8", b": comment", b":", b"event: x", b"retry: 500",
     b"retry: x", b"other: y", "data: \u00e4\u20ac\U0001f600".encode(), b"", b"", b""]
)  # fmt: skip
ENDS = st.sampled_from([b"\n", b"\r\n", b"\r"])


@given(st.lists(st.tuples(LINES, ENDS)), st.booleans(), st.sampled_from([b"", b"dat", b"data: x"]), st.data())
def test_any_stream_in_any_pieces(
    lines: list[tuple[bytes, bytes]], bom: bool, rest: bytes, cuts: st.DataObject
) -> None:
    data = (BOM if bom else b"") + b"".join(line + end for line, end in lines) + rest
    scanner = EventScanner()
    at = whole = 0
    while at < len(data):
        size = cuts.draw(st.integers(1, 9))
        found = scanner.feed(data[at : at + size])
        if found:
            whole = at + found
        at += size
    assert (scanner.events, scanner.last_id, scanner.retry) == told(data)
    assert scanner.mid_line == bool(re.split(rb"[\r\n]", data)[-1])
    # What ends with a whole event says all that was told, and what comes behind it begins one.
    assert told(data[:whole])[:2] == told(data)[:2]
    begun = re.sub(rb"(?m)^:.*$", b"", data[whole:].replace(b"\r", b"\n").removeprefix(BOM)).strip(b"\n")
    assert scanner.at_boundary == (not begun and not scanner.mid_line)


def test_a_line_without_end_is_not_kept() -> None:
    scanner = EventScanner()
    scanner.feed(b"id: ")
    for _ in range(100):
        scanner.feed(b"x" * 10_000)
    assert len(scanner._line) == KEPT and not scanner.at_boundary
    scanner.feed(b"\ndata\n\n")
    assert (scanner.events, scanner.last_id) == (1, None)


@pytest.mark.parametrize("value", [b"a\0b", b"a\x01b", b"a\x7fb"])
def test_ids_that_can_not_be_asked_with(value: bytes) -> None:
    scanner = EventScanner()
    scanner.feed(b"id: 1\ndata\n\nid: " + value + b"\ndata\n\n")
    assert scanner.last_id == (b"1" if b"\0" in value else None)


def test_what_broke_off_says_nothing() -> None:
    scanner = EventScanner()
    scanner.feed(b"id: 1\ndata: a\n\nid: 2\ndata: b\n")
    assert (scanner.events, scanner.last_id, scanner.at_boundary) == (1, b"1", False)
    scanner.begin()
    scanner.feed(BOM + b"data: c\n\n")
    assert (scanner.events, scanner.last_id, scanner.at_boundary) == (2, b"1", True)


@pytest.mark.parametrize("size", range(1, 9))
def test_lines(size: int) -> None:
    data = b'{"a":1}\n\n{"b":2}\r\n{"c"'
    scanner = LineScanner()
    whole = 0
    for at in range(0, len(data), size):
        found = scanner.feed(data[at : at + size])
        whole = at + found if found else whole
    assert (scanner.events, scanner.at_boundary, scanner.mid_line) == (2, False, True)
    assert data[whole:] == b'{"c"'
    scanner.feed(b":3}\n")
    assert (scanner.events, scanner.at_boundary) == (3, True)

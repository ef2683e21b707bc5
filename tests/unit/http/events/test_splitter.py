"""Events for who looks on: whole ones only, from the first that begins."""

import pytest

from penstock.http.events.splitter import EventSplitter, SeenEvent

DATA = b"half: x\n\n:ping\n\nid: 1\r\ndata: a\r\n\r\nevent: y\ndata: b\n\n\n"


@pytest.mark.parametrize("size", range(1, 12))
def test_however_it_is_cut(size: int) -> None:
    splitter = EventSplitter(100, lines=False, whole=False)
    found: list[SeenEvent] = []
    for at in range(0, len(DATA), size):
        found += splitter.feed(DATA[at : at + size])
    assert [(each.text.split(), each.comment) for each in found] == [
        ([b":ping"], True),
        ([b"id:", b"1", b"data:", b"a"], False),
        ([b"event:", b"y", b"data:", b"b"], False),
    ]


def test_it_keeps_no_more_than_it_may() -> None:
    splitter = EventSplitter(10, lines=False, whole=True)
    assert splitter.feed(b"data: " + b"x" * 100_000) == []
    assert len(splitter._kept) == 10
    assert splitter.feed(b"\n\n") == [SeenEvent(b"data: xxxx", 100_008, False)]


def test_lines() -> None:
    splitter = EventSplitter(100, lines=True, whole=True)
    assert [each.text for each in splitter.feed(b'{"a":1}\n{"b"')] == [b'{"a":1}\n']
    assert [each.text for each in splitter.feed(b":2}\n")] == [b'{"b":2}\n']

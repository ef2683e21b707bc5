"""What two workers say to each other: whole frames out of any pieces, with the right descriptors; nonsense ends it."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from penstock.process.handover.protocol import (
    VERSION,
    FrameKind,
    Gone,
    HandoverFrame,
    HandoverLink,
    check_greeting,
    greeting,
)


@pytest.fixture
def ends() -> Iterator[tuple[HandoverLink, HandoverLink]]:
    one, other = (HandoverLink(sock) for sock in socket.socketpair())
    yield one, other
    one.close()
    other.close()


def exchange(giver: HandoverLink, taker: HandoverLink, count: int) -> list[HandoverFrame]:
    found: list[HandoverFrame] = []
    for _ in range(10_000):
        giver.flush()
        found += taker.hear()
        if len(found) >= count:
            return found
    raise AssertionError("the frames do not come")


def test_descriptors_come_with_their_frame(ends) -> None:
    giver, taker = ends
    files = [os.memfd_create(f"file {number}") for number in range(6)]
    for number, fd in enumerate(files):
        os.write(fd, str(number).encode())
    giver.queue(FrameKind.HELLO, greeting("x"))
    giver.queue(FrameKind.PLACE, {"path": "/a"}, files[:1])
    giver.queue(FrameKind.TUNNEL, {"id": 1}, files[1:3], b"1" * 100_000, b"")
    giver.queue(FrameKind.TUNNEL, {"id": 2}, files[3:5], b"", b"2" * 300_000)
    giver.queue(FrameKind.ASK, {})
    giver.queue(FrameKind.PLACE, {"path": "/b"}, files[5:])
    found = exchange(giver, taker, 6)
    assert [frame.kind for frame in found] == [1, 2, 3, 3, 4, 2]
    assert [frame.one[:1] + frame.other[:1] for frame in found] == [b"", b"", b"1", b"2", b"", b""]
    assert (len(found[2].one), len(found[3].other)) == (100_000, 300_000)
    read = b"".join(os.pread(fd, 1, 0) for frame in found for fd in frame.fds)
    assert read == b"012345"
    for fd in (*files, *(fd for frame in found for fd in frame.fds)):
        os.close(fd)


@settings(max_examples=50)
@given(st.binary(max_size=400))
def test_nonsense_ends_it_and_nothing_else(data: bytes) -> None:
    near, far = socket.socketpair()
    taker = HandoverLink(far)
    near.sendall(data + b"x")
    near.close()
    with pytest.raises(Gone):
        for _ in range(10):
            for frame in taker.hear():
                frame.fields.end()
    taker.close()


def test_what_comes_for_nothing_is_closed() -> None:
    near, far = socket.socketpair()
    taker = HandoverLink(far)
    reading, writing = os.pipe()
    socket.send_fds(near, [b"\0"], [writing])
    os.close(writing)
    assert list(taker.hear()) == []
    taker.close()
    assert os.read(reading, 1) == b"", "nobody has the other end any more"
    os.close(reading)
    near.close()


@pytest.mark.parametrize("told", [{}, {"version": VERSION + 1, "program": "x"}, {"version": "1", "program": "x"}])
def test_another_version_is_not_understood(ends, told) -> None:
    giver, taker = ends
    giver.queue(FrameKind.HELLO, told)
    (frame,) = exchange(giver, taker, 1)
    with pytest.raises(Gone):
        check_greeting(frame.fields)

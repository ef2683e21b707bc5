"""Between two masters: words with descriptors, in order; what is not understood is dropped."""

import json
import os
import signal
import socket
from collections.abc import Iterator

import pytest

from harness.waiting import eventually
from penstock.process.master.link import VERSION, MasterLink


@pytest.fixture(autouse=True)
def calls() -> Iterator[list[int]]:
    """SIGIO as it comes. A handler and no mask: the runner has threads of its own, which would die of it."""
    came: list[int] = []
    before = signal.signal(signal.SIGIO, lambda number, frame: came.append(number))
    yield came
    signal.signal(signal.SIGIO, before)


@pytest.fixture
def ends() -> Iterator[tuple[MasterLink, socket.socket]]:
    link, other = MasterLink.pair()
    sock = socket.socket(fileno=other)
    yield link, sock
    link.close()
    sock.close()


def test_words_and_descriptors(ends, calls) -> None:
    link, sock = ends
    reading, writing = os.pipe()
    assert link.tell({"say": "take"}, writing)
    data, fds, _, _ = socket.recv_fds(sock, 1000, 1)
    assert json.loads(data) == {"version": VERSION, "say": "take"}
    os.write(fds[0], b"x")
    assert os.read(reading, 1) == b"x"
    for fd in (reading, writing, *fds):
        os.close(fd)
    calls.clear()
    sock.send(json.dumps({"version": VERSION, "say": "workers", "count": 2}).encode())
    eventually(lambda: calls)
    assert [(told.message["count"], told.fd) for told in link.hear()] == [(2, -1)]
    assert link.hear() == []


@pytest.mark.parametrize("data", [b"{", b"[]", b'{"version": 2}', b"\xff", b'{"say": "take"}'])
def test_strange_words_are_dropped_with_what_they_bring(ends, data) -> None:
    link, sock = ends
    reading, writing = os.pipe()
    socket.send_fds(sock, [data], [writing])
    os.close(writing)
    sock.send(json.dumps({"version": VERSION, "say": "x"}).encode())
    assert [told.message["say"] for told in link.hear()] == ["x"]
    assert os.read(reading, 1) == b""
    os.close(reading)


def test_nobody_there(ends) -> None:
    link, sock = ends
    sock.close()
    assert not link.tell({"say": "take"})
    assert link.hear() == []


@pytest.mark.parametrize("text", ["", "x", "-1", "0", "2", "99999"])
def test_what_is_no_link(text) -> None:
    assert MasterLink.inherited(text) is None

"""The compiled twin: that it carries, and that it gives back what it does not know."""

import os
import select
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing

import pytest

from penstock.net.relay.compiled import END, NOTHING, SHORT, NoTwin, Twin, make

twin_module = pytest.importorskip("penstock.net.relay._twin", reason="no compiled relay in this installation")

WATCHED = select.EPOLLIN | select.EPOLLRDHUP


class Bench:
    """A client and a backend with the twin between them: client - left | right - backend."""

    def __init__(self, listener: socket.socket | None = None, frames: int = 0) -> None:
        self.frames = frames
        if listener is None:
            self.client, self.left = socket.socketpair()
        else:
            with listener:
                self.client = socket.create_connection(listener.getsockname())
                self.left = listener.accept()[0]
        self.right, self.backend = socket.socketpair()
        self.epoll = select.epoll()
        for sock in (self.left, self.right):
            sock.setblocking(False)
            self.epoll.register(sock, WATCHED)
        self.twin: Twin = twin_module.Twin(self.epoll.fileno())
        self.engage()

    def engage(self) -> None:
        self.twin.engage(self.left.fileno(), 0, 0.0, self.right.fileno(), 0, 0.0, self.frames)

    def close(self) -> None:
        for each in (self.client, self.left, self.right, self.backend, self.epoll):
            each.close()


@pytest.fixture
def bench() -> Iterator[Bench]:
    with closing(Bench()) as made:
        yield made


def test_bytes_go_both_ways_and_are_counted(bench: Bench) -> None:
    bench.client.send(b"to the backend")
    bench.backend.send(b"to the client!")
    assert bench.twin.poll(0.05, 256) == []
    assert bench.backend.recv(100) == b"to the backend"
    assert bench.client.recv(100) == b"to the client!"
    read, last, *frames = bench.twin.figures(bench.left.fileno())
    assert not any(frames), "nobody looks at them"
    assert read == 14
    assert last > 0


def test_what_is_not_engaged_is_told(bench: Bench) -> None:
    one, other = socket.socketpair()
    with one, other:
        bench.epoll.register(other, select.EPOLLIN)
        one.send(b"x")
        bench.client.send(b"carried meanwhile")
        assert bench.twin.poll(1, 256) == [(other.fileno(), select.EPOLLIN)]
        assert bench.backend.recv(100) == b"carried meanwhile"


def test_the_end_is_told_once_nothing_is_left_to_read(bench: Bench) -> None:
    bench.client.close()
    [(fd, mask)] = bench.twin.poll(1, 256)
    assert fd == bench.left.fileno()
    assert mask & select.EPOLLRDHUP
    assert bench.twin.dismiss(fd)[2] == NOTHING, "what the mask says is for the relay in Python"


def test_last_words_and_the_end_after_them_are_one_event() -> None:
    with closing(Bench(socket.create_server(("127.0.0.1", 0)))) as bench:
        bench.client.send(b"last words")
        bench.client.shutdown(socket.SHUT_WR)
        [(fd, _)] = bench.twin.poll(1, 256)
        assert bench.backend.recv(100) == b"last words"
        assert bench.twin.over(fd) is None
        assert bench.twin.dismiss(fd)[::2] == (10, END, b"")


@pytest.mark.parametrize("frames", [0, 1])
def test_close_frames_are_remembered(frames: int) -> None:
    with closing(Bench(socket.create_server(("127.0.0.1", 0)), frames)) as bench:
        bench.client.send(b"\x88\x80\x01\x02\x03\x04")
        bench.backend.send(b"\x88\x00")
        assert bench.twin.poll(0.05, 256) == []
        bench.backend.shutdown(socket.SHUT_WR)
        [(fd, _)] = bench.twin.poll(1, 256)
        assert fd == bench.right.fileno()
        totals = bench.twin.over(fd)
        assert totals == ((2, 6) if frames else None)
        if frames:
            for each in (bench.left, bench.right):
                with pytest.raises(OSError, match="Bad file descriptor"):
                    os.fstat(each.detach())
        assert bench.twin.dismiss(fd)[2] == (NOTHING if frames else END)
        with pytest.raises(ValueError, match="never engaged"):
            bench.twin.over(100_000)


def test_a_short_write_gives_back_the_rest(bench: Bench) -> None:
    bench.right.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4096)
    bench.client.setblocking(False)
    sent = 0
    told: list[tuple[int, int]] = []
    for _ in range(1000):
        sent += bench.client.send(b"x" * 1000)
        told = bench.twin.poll(0, 256)
        if told:
            break
    assert [fd for fd, _ in told] == [bench.left.fileno()]
    read, _, trouble, _, kept = bench.twin.dismiss(bench.left.fileno())
    assert trouble == SHORT
    assert kept
    assert read == sent
    arrived = 0
    bench.backend.setblocking(False)
    with pytest.raises(BlockingIOError):
        while True:
            arrived += len(bench.backend.recv(65536))
    assert arrived + len(kept) == read


def test_whose_bytes_are_kept_is_told_first(bench: Bench) -> None:
    """Or somebody else could dismiss it, who knows nothing of them."""
    one, other = socket.socketpair()
    with one, other:
        bench.epoll.register(other, select.EPOLLIN)
        one.send(b"always there")
        bench.right.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4096)
        for _ in range(1000):
            bench.client.send(b"x" * 1000)
            told = bench.twin.poll(0, 256)
            if len(told) == 2:
                break
        assert [fd for fd, _ in told] == [bench.left.fileno(), other.fileno()]
        assert bench.twin.dismiss(bench.left.fileno())[4]


def test_a_peer_that_is_gone_is_told(bench: Bench) -> None:
    bench.backend.close()
    bench.client.send(b"nobody there")
    told = dict(bench.twin.poll(1, 256))
    assert set(told) <= {bench.left.fileno(), bench.right.fileno()}
    assert told


def test_both_of_a_pair_are_given_back_together(bench: Bench) -> None:
    bench.twin.dismiss(bench.left.fileno())
    bench.backend.send(b"for Python now")
    assert bench.twin.poll(1, 256) == [(bench.right.fileno(), select.EPOLLIN)]


def test_an_engaged_descriptor_cannot_be_engaged_again(bench: Bench) -> None:
    with pytest.raises(ValueError, match="already"):
        bench.engage()
    with pytest.raises(ValueError, match="two descriptors"):
        bench.twin.engage(3, 0, 0.0, 3, 0, 0.0)
    with pytest.raises(ValueError, match="never engaged"):
        bench.twin.dismiss(100_000)


def test_a_signal_is_handled_while_it_polls(bench: Bench) -> None:
    import signal

    def interrupt(number: int, frame: object) -> None:
        raise InterruptedError("by the test")

    before = signal.signal(signal.SIGALRM, interrupt)
    try:
        signal.setitimer(signal.ITIMER_REAL, 0.05)
        with pytest.raises(InterruptedError):
            bench.twin.poll(20, 256)
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


def test_a_bad_epoll_is_an_error() -> None:
    with pytest.raises(OSError, match="Bad file descriptor"):
        twin_module.Twin(-1).poll(0, 256)


def test_the_environment_chooses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PENSTOCK_RELAY", "python")
    assert make(-1) is None
    monkeypatch.setenv("PENSTOCK_RELAY", "c")
    assert make(-1) is not None
    monkeypatch.setenv("PENSTOCK_RELAY", "fortran")
    with pytest.raises(NoTwin, match="fortran"):
        make(-1)


def test_the_program_says_which_one_runs() -> None:
    for wanted in ("python", "c"):
        shown = subprocess.run(
            [sys.executable, "-m", "penstock", "-V"],
            env={**os.environ, "PENSTOCK_RELAY": wanted},
            capture_output=True,
            text=True,
            check=True,
            timeout=30,
        )
        assert f"relay: {wanted}" in shown.stderr

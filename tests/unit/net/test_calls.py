"""System calls by descriptor: what is compiled does what Python does."""

from __future__ import annotations

import errno
import os
import select
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from types import ModuleType

import pytest

from penstock.net import calls


class InPython:
    """The Python half of `calls`, whatever the other is."""

    recv, send, connect = calls._recv, calls._send, calls._connect
    nodelay, close = calls._nodelay, os.close
    send_last, finish = calls._send_last, calls._finish


def open_descriptors() -> int:
    return len([*Path("/proc/self/fd").iterdir()])


@pytest.fixture(params=["compiled", "python"])
def here(request: pytest.FixtureRequest) -> ModuleType | type[InPython]:
    if request.param == "python":
        return InPython
    pytest.importorskip("penstock.net._calls", reason="nothing is compiled in this installation")
    return calls


@pytest.fixture
def pair() -> Iterator[tuple[socket.socket, socket.socket]]:
    one, other = socket.socketpair()
    one.setblocking(False)
    other.setblocking(False)
    with one, other:
        yield one, other


def test_bytes_come_and_go(here, pair) -> None:
    one, other = pair
    assert here.send(one.fileno(), b"hello") == 5
    assert here.send(one.fileno(), memoryview(b"[, again]")[1:-1]) == 7
    assert here.recv(other.fileno(), 5) == b"hello"
    assert here.recv(other.fileno(), 16384) == b", again"
    with pytest.raises(BlockingIOError):
        here.recv(other.fileno(), 16384)
    one.close()
    assert here.recv(other.fileno(), 16384) == b""


def test_the_end_follows_what_is_sent_last(here, pair) -> None:
    one, other = pair
    assert here.send_last(one.fileno(), b"hello") == 5
    here.finish(one.fileno())
    assert here.recv(other.fileno(), 16384) == b"hello"
    assert here.recv(other.fileno(), 16384) == b""
    with pytest.raises(BrokenPipeError):
        here.send_last(one.fileno(), b"x")
    for call in (here.finish, lambda fd: here.send_last(fd, b"x")):
        with pytest.raises(OSError, match="Bad file descriptor"):
            call(-1)


def test_what_fails_says_why(here, pair) -> None:
    one, other = pair
    with pytest.raises(BlockingIOError):
        for _ in range(1000):
            here.send(one.fileno(), bytes(65536))
    other.close()
    with pytest.raises(BrokenPipeError):
        here.send(one.fileno(), b"x")
    for call in (lambda: here.recv(-1, 5), lambda: here.send(-1, b"x"), lambda: here.close(-1)):
        with pytest.raises(OSError) as found:
            call()
        assert found.value.errno == errno.EBADF
    with pytest.raises(TypeError):
        here.send(one.fileno(), "text")


@pytest.mark.parametrize(("host", "family"), [("127.0.0.1", socket.AF_INET), ("::1", socket.AF_INET6)])
def test_connections_are_made_and_accepted(here, host: str, family: socket.AddressFamily) -> None:
    try:
        listener = socket.create_server((host, 0), family=family)
    except OSError:
        pytest.skip(f"no {host} here")
    with listener:
        port = listener.getsockname()[1]
        fd, (error, taken) = here.connect(host, port, True, b"", -1)
        assert error in (0, errno.EINPROGRESS) and taken == 0
        assert not os.get_blocking(fd) and not os.get_inheritable(fd)
        with socket.socket(fileno=fd) as client:
            assert client.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)
            select.select([listener], [], [], 5)
            if getattr(here, "accept", None):
                accepted, (peer, data) = here.accept(listener.fileno(), -1, 100)
                assert data is None
                assert not os.get_blocking(accepted) and not os.get_inheritable(accepted)
                assert peer == client.getsockname()
                here.nodelay(accepted)
                with socket.socket(fileno=accepted) as near:
                    assert near.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)
                    assert near.family == family
    closed, (error, _) = here.connect(host, port, False, b"", -1)
    if closed < 0:
        assert error == errno.ECONNREFUSED
        return
    with socket.socket(fileno=closed) as refused:
        select.select([], [refused], [], 5)
        assert refused.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR) in (errno.ECONNREFUSED, errno.EINPROGRESS)


@pytest.mark.parametrize(("host", "family"), [("127.0.0.1", socket.AF_INET), ("::1", socket.AF_INET6)])
def test_who_is_called_hears_at_once(here, host: str, family: socket.AddressFamily) -> None:
    try:
        listener = socket.create_server((host, 0), family=family)
    except OSError:
        pytest.skip(f"no {host} here")
    with listener:
        port = listener.getsockname()[1]
        fd, (error, taken) = here.connect(host, port, True, b"hello", -1)
        assert error == 0 and taken == 5 and not os.get_blocking(fd) and not os.get_inheritable(fd)
        with socket.socket(fileno=fd) as client:
            assert client.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)
            accepted, _ = listener.accept()
            with accepted:
                assert accepted.recv(100) == b"hello"
    assert here.connect(host, port, True, b"hello", -1) == (-1, (errno.ECONNREFUSED, 0))


def test_who_does_not_answer_at_once_is_waited_for(here) -> None:
    """A queue that is full takes no connection, and says nothing."""
    with socket.create_server(("127.0.0.1", 0), backlog=0) as listener, ExitStack() as queued:
        port = listener.getsockname()[1]
        for _ in range(20):
            fd, (error, taken) = here.connect("127.0.0.1", port, True, b"hello", -1)
            queued.callback(os.close, fd)
            if not taken:
                break
        assert fd >= 0 and error == errno.EINPROGRESS and taken == 0


def test_nobody_to_accept(here) -> None:
    if not getattr(here, "accept", None):
        pytest.skip("sockets do that themselves")
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.setblocking(False)
        with pytest.raises(BlockingIOError):
            here.accept(listener.fileno(), -1, 100)


def test_an_address_is_one_in_figures(here) -> None:
    for host, port in (("example.invalid", 80), ("127.0.0.1", 70000)):
        with pytest.raises((ValueError, OSError, OverflowError)):
            fd, _ = here.connect(host, port, False, b"", -1)
            os.close(fd)


def test_it_watches() -> None:
    if calls.watch is None:
        pytest.skip("the epoll does that itself")
    one, other = socket.socketpair()
    with one, other, select.epoll() as epoll:
        calls.watch(epoll.fileno(), other.fileno(), select.EPOLLIN)
        assert epoll.poll(0) == []
        one.send(b"x")
        assert epoll.poll(5) == [(other.fileno(), select.EPOLLIN)]
        with pytest.raises(FileExistsError):
            calls.watch(epoll.fileno(), other.fileno(), select.EPOLLIN)


def test_what_is_made_is_watched() -> None:
    """What came with a connection is read with it, and the epoll tells of the rest and of answers."""
    if calls.accept is None:
        pytest.skip("nothing is compiled in this installation")
    with socket.create_server(("127.0.0.1", 0)) as listener, select.epoll() as epoll, ExitStack() as made:
        port = listener.getsockname()[1]
        for first in (b"hello", b""):
            fd, _ = calls.connect("127.0.0.1", port, True, first, epoll.fileno())
            near = made.enter_context(socket.socket(fileno=fd))
            select.select([listener], [], [], 5)
            accepted, (peer, data) = calls.accept(listener.fileno(), epoll.fileno(), 4)
            far = made.enter_context(socket.socket(fileno=accepted))
            assert peer == near.getsockname() and data == (first[:4] or None)
            far.send(b"back")
            assert (fd, select.EPOLLIN) in epoll.poll(5)
            near.send(b"x")
            select.select([far], [], [], 5)
            assert (accepted, select.EPOLLIN) in epoll.poll(5)
            assert far.recv(100) == first[4:] + b"x"
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port, before = listener.getsockname()[1], open_descriptors()
        assert calls.connect("127.0.0.1", port, True, b"x", listener.fileno())[0] == -1  # that is no epoll
        with pytest.raises(OSError, match="Invalid argument"):
            calls.accept(listener.fileno(), listener.fileno(), 4)
        assert open_descriptors() == before


def test_what_was_built_of_older_sources_is_left_out() -> None:
    """A checkout that was brought up to date, and not built anew, still starts."""
    code = "import sys, types; old = types.ModuleType('_calls'); old.recv = None; "
    code += "import penstock.net; penstock.net._calls = sys.modules['penstock.net._calls'] = old; "
    code += "from penstock.net import calls; assert calls.recv is calls._recv and calls.watch is None"
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)

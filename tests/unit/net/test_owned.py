"""Who owns a descriptor, and when there is an object for it."""

from __future__ import annotations

import os
import socket
from collections.abc import Callable, Coroutine
from typing import Any

import pytest

from penstock.net.bare_socket import StandIn
from penstock.net.dial import connect
from penstock.net.loop import Loop
from penstock.net.stream import Stream

Run = Callable[[Coroutine[Any, Any, Any]], Any]


def test_a_descriptor_is_enough_until_somebody_wants_the_socket(loop: Loop, run: Run) -> None:
    async def main() -> None:
        with socket.create_server(("127.0.0.1", 0)) as listener:
            stream = await connect(listener.getsockname(), 5, loop=loop)
            far, _ = listener.accept()
            with far:
                assert stream._sock is None
                await stream.send_all(b"hello")
                assert far.recv(5) == b"hello"
                assert stream.local_name == far.getpeername() and stream.peer_name == listener.getsockname()
                sock = stream.sock
                assert sock is stream.sock and sock.fileno() == stream.fd and not sock.getblocking()
                assert (sock.family, sock.type) == (socket.AF_INET, socket.SOCK_STREAM)
                stream.close()
                assert stream.closed and sock.fileno() == -1 and far.recv(5) == b""
                with pytest.raises(OSError, match="Bad file descriptor"):
                    stream.sock.getsockname()

    run(main())


@pytest.mark.parametrize("asked", [False, True])
def test_it_is_given_away(asked: bool, loop: Loop) -> None:
    near, far = socket.socketpair()
    with far:
        stream = Stream(near.detach() if not asked else near, loop)
        fd = stream.fd
        assert stream.release_fd() == (fd, 0)
        assert stream.closed
        stream.close()
        os.write(fd, b"still open")
        assert far.recv(20) == b"still open"
        os.close(fd)


def test_nobody_takes_what_somebody_waits_for(loop: Loop) -> None:
    near, far = socket.socketpair()
    with far:
        stream = Stream(near, loop)

        class Waiter:
            def resume(self) -> None: ...

            def interrupt(self, exc: BaseException, /) -> None: ...

        stream.await_first(Waiter())
        with pytest.raises(RuntimeError, match="waits"):
            stream.release()
        with pytest.raises(RuntimeError, match="waits"):
            stream.release_fd()
        stream.close()
        assert near.fileno() == -1, "it is closed by who has it, and once"


def test_one_object_stands_for_any_descriptor_and_closes_none() -> None:
    stand_in = StandIn()
    near, far = socket.socketpair()
    near.setblocking(False)
    with near, far, socket.create_server(("127.0.0.1", 0)) as listener:
        assert stand_in.of(near.fileno()).fileno() == near.fileno()
        far.sendall(b"hello")
        assert stand_in.of(near.fileno()).recv(5, socket.MSG_PEEK) == near.recv(5) == b"hello"
        lent = stand_in.of(listener.fileno())
        assert lent is stand_in and lent.gettimeout() == 0
        with pytest.raises(BlockingIOError):
            stand_in.of(near.fileno()).recv(1)
        with pytest.raises(OSError, match="Bad file descriptor"):
            stand_in.of(-1)
        del lent, stand_in
        far.sendall(b"still open")
        assert near.recv(20) == b"still open" and listener.getsockname()


def test_a_look_at_what_has_come_makes_no_object(loop: Loop) -> None:
    near, far = socket.socketpair()
    near.setblocking(False)
    with far:
        stream = Stream(near.detach(), loop)
        assert stream.peek_now() is None and not stream.stirs()
        far.sendall(b"hello")
        assert stream.peek_now(3) == b"hel" and stream.stirs() and stream.recv_now() == b"hello"
        assert stream._sock is None
        stream.close()

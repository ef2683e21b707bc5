"""Listening sockets, and the descriptor that accepts from them."""

from __future__ import annotations

import os
import socket
import stat
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from errno import EADDRINUSE, EAGAIN, ECONNABORTED, EMFILE, ENFILE, ENOBUFS, ENOMEM, EPERM, EPROTO

from penstock.config.addresses import address_text
from penstock.config.os_errors import os_failure
from penstock.net.calls import accept
from penstock.net.dial import Address, family_of
from penstock.net.errors import NetError
from penstock.net.loop import IN, Loop
from penstock.net.stream import READ_SIZE, READING, Name, Stream, stream_of
from penstock.net.timers import Alarm

EXCLUSIVE = 1 << 28
TURN = 8
"""Connections that a worker accepts before another one is woken first."""

AFTER_YOU = 0.005
"""Seconds for which a worker that has more than its share leaves new connections to the others. Of 1,000 tunnels that
come at once the busier of two workers has 510 to 520 so, and 600 to 740 without (experiments/tunnels.md)."""

RETRY_AFTER = 0.5
"""Seconds until accepting is tried again after descriptors or memory ran out (nginx's accept_mutex_delay)."""

_OUT_OF = (EMFILE, ENFILE, ENOBUFS, ENOMEM)
_ITS_OWN_FAULT = (ECONNABORTED, EPROTO, EPERM)


class BindFailed(NetError):
    """A listening socket could not be made; the text is nginx's."""

    def __init__(self, call: str, address: Address, errno: int) -> None:
        super().__init__(call, address, errno)
        self.call = call
        self.address = address
        self.errno = errno

    def __str__(self) -> str:
        shown = address_text(self.address)
        of = f"{self.call}() to {shown}" if self.call == "bind" else f"{self.call}() of {shown}"
        return os_failure(of, self.errno)


@dataclass(frozen=True, slots=True)
class TcpKeepAlive:
    """`so_keepalive=idle:intvl:cnt`: seconds, seconds, probes; `None` leaves the system's."""

    idle: int | None = None
    interval: int | None = None
    count: int | None = None


def bind(
    address: Address,
    *,
    backlog: int = 511,
    reuseport: bool = False,
    ipv6only: bool = True,
    rcvbuf: int | None = None,
    sndbuf: int | None = None,
    keepalive: TcpKeepAlive | None = None,
    fastopen: int | None = None,
    deferred: bool = False,
) -> socket.socket:
    """Bind a non-blocking listening socket. What is set on it, accepted sockets inherit.

    A unix socket in the way is removed if nobody listens on it. Raises `BindFailed`.
    """
    family = family_of(address)
    call = "socket"
    try:
        sock = socket.socket(family, socket.SOCK_STREAM | socket.SOCK_NONBLOCK, 0)
    except OSError as exc:
        raise BindFailed(call, address, exc.errno or 0) from None
    try:
        call = "setsockopt"
        if family != socket.AF_UNIX:
            _prepare(sock, reuseport, ipv6only)
        if rcvbuf is not None:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, rcvbuf)
        if sndbuf is not None:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, sndbuf)
        if keepalive is not None:
            _keep_alive(sock, keepalive)
        call = "bind"
        if isinstance(address, str):
            remove_stale(address)
            sock.bind(address)
            # nginx gives everybody access: who may connect is said by the directory
            os.chmod(address, 0o666)  # noqa: PTH101
        else:
            sock.bind(address)
        call = "setsockopt"
        if fastopen is not None and family != socket.AF_UNIX:
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_FASTOPEN, fastopen)
        if deferred and family != socket.AF_UNIX:
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_DEFER_ACCEPT, 1)
        call = "listen"
        sock.listen(backlog)
    except OSError as exc:
        sock.close()
        raise BindFailed(call, address, exc.errno or 0) from None
    return sock


def _prepare(sock: socket.socket, reuseport: bool, ipv6only: bool) -> None:
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    if reuseport:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
    if sock.family == socket.AF_INET6:
        sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, int(ipv6only))


def _keep_alive(sock: socket.socket, keepalive: TcpKeepAlive) -> None:
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    if sock.family == socket.AF_UNIX:
        return
    for option, value in (
        (socket.TCP_KEEPIDLE, keepalive.idle),
        (socket.TCP_KEEPINTVL, keepalive.interval),
        (socket.TCP_KEEPCNT, keepalive.count),
    ):
        if value is not None:
            sock.setsockopt(socket.IPPROTO_TCP, option, value)


def remove_stale(path: str) -> None:
    """Remove a unix socket nobody listens on. Leave alone what is no socket, and what is in use."""
    try:
        if not stat.S_ISSOCK(os.lstat(path).st_mode):
            return
    except FileNotFoundError:
        return
    probe = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_NONBLOCK)
    try:
        probe.connect(path)
    except ConnectionRefusedError:
        with suppress(FileNotFoundError):
            os.unlink(path)  # noqa: PTH108
    except OSError:
        pass  # in use (its backlog may be full), or not ours to touch: bind() says what is the matter
    else:
        raise OSError(EADDRINUSE, os.strerror(EADDRINUSE))
    finally:
        probe.close()


class Acceptor:
    """Accepts from a listening socket, which it does not own: `close()` stops accepting and leaves the socket
    open.

    `on_accept(stream, peer_name)` is called for every connection. `on_trouble(exc)` is called when accepting
    fails; where descriptors or memory ran out, accepting rests for `RETRY_AFTER` seconds. `pause()` and
    `resume()` are for whoever counts connections. `shared` is for a socket several processes accept from:
    only one of them is woken, and each in its turn unless `turns` says that there is nobody else. `ahead`
    tells, once a turn, whether others should go first for a moment. With `early`, streams may have read already what
    had come by then."""

    __slots__ = (
        "_accept",
        "_alarm",
        "_closed",
        "_left",
        "_paused",
        "_reserve",
        "_resting",
        "_watching",
        "ahead",
        "early",
        "fd",
        "loop",
        "mask",
        "on_accept",
        "on_trouble",
        "shared",
        "sock",
        "turns",
    )

    def __init__(
        self,
        loop: Loop,
        sock: socket.socket,
        on_accept: Callable[[Stream, Name], None],
        *,
        on_trouble: Callable[[OSError], None] | None = None,
        shared: bool = False,
        turns: bool = True,
        ahead: Callable[[], bool] | None = None,
        early: bool = False,
    ) -> None:
        self.loop = loop
        self.sock = sock
        self.fd = sock.fileno()
        if accept is not None and sock.family != socket.AF_UNIX:
            self._accept: Callable[[], tuple[int, Name]] | None = None
        else:
            # What socket.accept() is made of, without the five calls around it: 340 instructions each.
            self._accept = sock._accept  # type: ignore[attr-defined]
        self.on_accept = on_accept
        self.on_trouble = on_trouble
        self.shared = shared
        self.turns = shared and turns
        self.ahead = ahead
        self.early = early
        self.mask = IN | EXCLUSIVE if shared else IN
        self._alarm = Alarm(loop.timers, self._rested)
        self._reserve = _spare_descriptor()
        self._paused = False
        self._resting = False
        self._watching = False
        self._closed = False
        self._left = TURN
        self._settle()

    def pause(self) -> None:
        """Accept nothing until `resume()`."""
        self._paused = True
        self._settle()

    def resume(self) -> None:
        """Accept again."""
        self._paused = False
        self._settle()

    def accept_waiting(self, most: int = 511) -> None:
        """Accept what waits in the queue, for one who is about to close: the system would reset it."""
        for _ in range(most):
            try:
                fd, found = self._take()
            except OSError:
                return
            self._accepted(fd, *found)

    def close(self) -> None:
        """Stop for good."""
        if self._closed:
            return
        self._closed = True
        self._settle()
        self._alarm.close()
        if self._reserve >= 0:
            os.close(self._reserve)
            self._reserve = -1

    def _settle(self) -> None:
        wanted = not (self._paused or self._resting or self._closed)
        if wanted and not self._watching:
            self.loop.hot.watch(self.fd, self.mask, self._on_event)
        elif self._watching and not wanted:
            self.loop.hot.forget(self.fd)
        self._watching = wanted

    def _on_event(self, _mask: int) -> None:
        # One per event costs no exception at the end; under load events come in batches anyway.
        try:
            fd, (peer, data) = self._take()
        except OSError as exc:
            if exc.errno in (EMFILE, ENFILE) and self.loop.make_room is not None and self.loop.make_room():
                return  # there is room now, and the next poll tells that somebody waits
            self._failed(exc)
            return
        self._accepted(fd, peer, data)
        if self.turns and self._watching:
            self._left -= 1
            if self._left == 0:
                self._queue_up()

    def _queue_up(self) -> None:
        """The kernel wakes the first in its queue who sleeps, that is always the same worker while there is little to
        do: after a turn of `TURN` connections this one goes to the end of the queue."""
        self._left = TURN
        if self.ahead is not None and self.ahead():
            self._resting = True
            self._settle()
            self._alarm.set(AFTER_YOU)
            return
        self.loop.hot.forget(self.fd)
        self.loop.hot.watch(self.fd, self.mask, self._on_event)

    def _take(self) -> tuple[int, tuple[Name, bytes | None]]:
        if accept is not None and self._accept is None:
            return accept(self.fd, self.loop.hot.polled if self.early else -1, READ_SIZE)
        assert self._accept is not None
        fd, peer = self._accept()
        os.set_blocking(fd, False)
        return fd, (peer, None)

    def _accepted(self, fd: int, peer: Name, data: bytes | None) -> None:
        peer = peer or None
        stream = stream_of(fd, self.loop, peer)
        if self.early and self._accept is None:
            stream._mask = READING
            self.loop.hot.handlers[fd] = stream._on_event
            if data is not None:
                stream._unread = data
                stream.received = len(data)
                stream.ready = True
        self.on_accept(stream, peer)

    def _failed(self, exc: OSError) -> None:
        if exc.errno == EAGAIN:
            return
        if exc.errno in _OUT_OF:
            self._rest()
        if self.on_trouble is not None and exc.errno not in _ITS_OWN_FAULT:
            self.on_trouble(exc)

    def _rest(self) -> None:
        """Let the reserve go, so that what handles the trouble can still open a log; takes it back afterwards."""
        if self._reserve >= 0:
            os.close(self._reserve)
            self._reserve = -1
        self._resting = True
        self._settle()
        self._alarm.set(RETRY_AFTER)

    def _rested(self) -> None:
        self._resting = False
        if self._reserve < 0:
            self._reserve = _spare_descriptor()
        self._settle()


def _spare_descriptor() -> int:
    try:
        return os.open("/dev/null", os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return -1

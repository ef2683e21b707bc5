"""Who owns a descriptor: the socket as an object where somebody wants one, giving it away, the names of its ends."""

from __future__ import annotations

import socket
from contextlib import suppress

from penstock.net.bare_socket import socket_of
from penstock.net.calls import nodelay
from penstock.net.posting import Posting

_FAMILIES = {2: int(socket.AF_INET), 4: int(socket.AF_INET6)}
"""By the length of an address of theirs."""

Name = tuple[str, int] | tuple[str, int, int, int] | str | bytes | None


class Owned(Posting):
    """A descriptor with one owner. `_sock` is the object for it, once somebody has asked for one; `_unread` are bytes
    that were put back."""

    __slots__ = ("_sock", "_unread", "local_name_", "peer_name_")

    _sock: socket.socket | None
    _unread: bytes | None
    local_name_: Name
    peer_name_: Name

    @property
    def sock(self) -> socket.socket:
        """Return the socket as an object, for what a descriptor is not enough for."""
        sock = self._sock
        if sock is None:
            name = self.peer_name_
            family = _FAMILIES.get(len(name), -1) if isinstance(name, tuple) else -1
            sock = self._sock = socket_of(self.fd, family)
        return sock

    def release(self) -> tuple[socket.socket, int, bytes]:
        """Give the socket away: it, the epoll mask it stays registered with (0: it is not), and bytes put back.

        The descriptor's handler is still this stream's: the taker replaces it in `hot.handlers` before the
        next poll. Raises `RuntimeError`, with nothing given away, where a fiber waits on it."""
        if self._reader is not None or self._writer is not None:
            raise RuntimeError("a fiber waits on this stream")
        sock, unread = self.sock, self._unread or b""
        # Given away, it is not to be detached.
        self._sock = None
        _, mask = self.release_fd()
        return sock, mask, unread

    def release_fd(self) -> tuple[int, int]:
        """Give the descriptor away likewise, and nothing that was put back. Nobody has an object for it then. Raises
        `RuntimeError` as `release` does."""
        if self._reader is not None or self._writer is not None:
            raise RuntimeError("a fiber waits on this stream")
        if self._posted is not None:
            self._last_post()
        fd, mask, sock = self.fd, self._mask, self._sock
        self.fd = -1
        self._mask = 0
        self._unread = self.on_hangup = self._sock = None
        if sock is not None:
            sock.detach()
        return fd, mask

    @property
    def peer_name(self) -> Name:
        """Return the peer's address as `getpeername()` gives it; `None` if it is gone."""
        if self.peer_name_ is None and self.fd >= 0:
            with suppress(OSError):
                self.peer_name_ = self.sock.getpeername()
        return self.peer_name_

    @property
    def local_name(self) -> Name:
        """Return our own address as `getsockname()` gives it; asked for once."""
        if self.local_name_ is None and self.fd >= 0:
            with suppress(OSError):
                self.local_name_ = self.sock.getsockname()
        return self.local_name_

    @property
    def closed(self) -> bool:
        """Return whether the stream is closed, or given away."""
        return self.fd < 0

    def nodelay(self) -> None:
        """Set TCP_NODELAY; does nothing on a unix socket."""
        try:
            nodelay(self.fd)
        except OSError:
            pass  # or it is gone, which the next read tells

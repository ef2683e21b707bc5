"""A tunnel as the compiled twin carries it: two sockets, and nothing else until somebody asks for more.

While nothing but bytes is to be passed on, no `Side` is needed: both are made when the twin gives the tunnel back, or
when somebody wants to see one. Nearly every tunnel ends without them, see `over`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from penstock.net.bare_socket import socket_of
from penstock.net.relay.compiled import NOTHING, SHORT
from penstock.net.relay.side import READING, Side

if TYPE_CHECKING:
    from penstock.net.loop import Loop
    from penstock.net.relay.tunnel import End


class Carried:
    """The part of a tunnel that knows of the twin. `client` and `backend` are its sides while it lives."""

    __slots__ = ("_backend", "_client", "_engaged", "_limits", "loop", "opened", "reason", "websocket")

    loop: Loop
    opened: float
    reason: End | None
    websocket: bool
    """Whether both sides speak WebSocket, so that a close frame from each is the end of both."""
    _client: Side | int
    """The client's side; its descriptor while there is none; the bytes that were read from it once it is over."""
    _backend: Side | int
    _limits: tuple[float, float] | None
    """The seconds for which client and backend may take nothing, as long as no sides are made of the two descriptors,
    which the loop watches for reading."""

    @property
    def client(self) -> Side:
        """Return the client's side, made now if there is none yet."""
        if self._limits is not None:
            self._unfold()
        side = self._client
        assert isinstance(side, Side), "the tunnel has ended"
        return side

    @property
    def backend(self) -> Side:
        """Return the backend's side likewise."""
        if self._limits is not None:
            self._unfold()
        side = self._backend
        assert isinstance(side, Side), "the tunnel has ended"
        return side

    @property
    def backend_fd(self) -> int:
        """Return the descriptor of the backend's side, by which a living tunnel is told from others of its client."""
        side = self._backend
        return side if isinstance(side, int) else side.fd

    @property
    def plain(self) -> bool:
        """Return whether the twin, if there is one, may carry it as long as nobody wants to look at its bytes."""
        if self.loop.hot.twin is None:
            return False
        return self._limits is not None or (type(self._client) is Side and type(self._backend) is Side)

    @property
    def portable(self) -> bool:
        """Return whether it can go to another process: of TLS, and of a connection that streams share, there is more to
        know than can be told."""
        if self.reason is not None:
            return False
        return self._limits is not None or (type(self._client) is Side and type(self._backend) is Side)

    @property
    def engaged(self) -> bool:
        """Return whether the twin has it."""
        return self._engaged

    def _unfold(self) -> None:
        limits, client, backend = self._limits, self._client, self._backend
        assert limits is not None and isinstance(client, int) and isinstance(backend, int)
        self._limits = None
        hot = self.loop.hot
        left = Side(socket_of(client), hot, limits[0])
        right = Side(socket_of(backend), hot, limits[1])
        left.mask = right.mask = READING
        self.join(left, right)

    def join(self, client: Side, backend: Side) -> None:
        """Let two sides know each other, and the tunnel."""
        raise NotImplementedError

    def engage(self) -> None:
        """Let the compiled twin carry it, where there is one and nothing but bytes is to be passed on."""
        if self.loop.hot.twin is None or self._engaged or self.reason is not None:
            return
        client, backend = self.client, self.backend
        if client.carries_plainly() and backend.carries_plainly():
            self._entrust(client.fd, client.read, client.last, backend.fd, backend.read, backend.last)

    def _entrust(self, one: int, read: int, last: float, other: int, read_other: int, last_other: float) -> None:
        hot = self.loop.hot
        assert hot.twin is not None
        hot.twin.engage(one, read, last, other, read_other, last_other, self.websocket)
        self._engaged = True
        self._listen(one, other)

    def _listen(self, one: int, other: int) -> None:
        """Hear of both descriptors without sides: see `told`."""
        hot = self.loop.hot
        hot.handlers.pop(one, None)
        hot.handlers.pop(other, None)
        reach(hot.carried, one, other)
        hot.carried[one] = hot.carried[other] = self

    def dismiss(self, about: Side | None = None) -> tuple[int, int, bytes]:
        """Take it back from the twin: the trouble there was with reading from `about`, its errno, and what the other
        side did not take."""
        told = (NOTHING, 0, b"")
        hot = self.loop.hot
        twin = hot.twin
        if twin is None or not self._engaged:
            return told
        untold: tuple[Side, bytes] | None = None
        sides = self.client, self.backend
        self._engaged = False
        for side in sides:
            side.read, side.last, trouble, errno, kept = twin.dismiss(side.fd)
            hot.carried[side.fd] = None
            side.equip()
            hot.handlers[side.fd] = side.on_event
            if side is about:
                told = (trouble, errno, kept)
            elif trouble == SHORT:
                # Its event is still to come: somebody else's was before it in the same batch.
                hot.handlers[side.fd] = side
                untold = side, kept
        if untold is not None:
            side, kept = untold
            side.peer.hold(kept)
        return told

    def told(self, fd: int, mask: int) -> None:
        """Deal with what is no bytes that the twin passed on whole: it has given the tunnel back."""
        twin = self.loop.hot.twin
        if self._limits is not None and twin is not None:
            # Descriptors, as there are limits; to assert that would take two calls.
            client: int = self._client  # type: ignore[assignment]
            backend: int = self._backend  # type: ignore[assignment]
            totals = twin.over(fd, backend if fd == client else client)
            if totals is not None:
                carried = self.loop.hot.carried
                carried[client] = carried[backend] = None
                self._engaged = False
                read, read_other = totals
                self.said_goodbye(read, read_other, fd == client)
                return
        side = self.client
        (side if side.fd == fd else side.peer).given_back(mask)

    def said_goodbye(self, read: int, read_other: int, by_client: bool) -> None:
        """End: each side has sent a close frame, and one of them its FIN, and both sockets are closed. So many bytes
        were read from that one, and from the other."""
        raise NotImplementedError

    def _figures(self, *, of_client: bool) -> tuple[int, float]:
        """Return the bytes read from a side, and when the last came."""
        twin = self.loop.hot.twin
        side = self._client if of_client else self._backend
        if isinstance(side, int):
            assert twin is not None
            return twin.figures(side)
        return twin.figures(side.fd) if self._engaged and twin is not None else (side.read, side.last)


def reach(carried: list[Carried | None], one: int, other: int) -> None:
    """Make room for two descriptors."""
    missing = max(one, other) + 1 - len(carried)
    if missing > 0:
        carried += [None] * missing

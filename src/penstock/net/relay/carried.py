"""A tunnel as the compiled twin carries it: two sockets, and nothing else until somebody asks for more.

While nothing but bytes is to be passed on, or frames of data, no `Side` is needed: both are made when the twin gives
the tunnel back, or when somebody wants to see one, and are gone when the twin has it again. Nearly every tunnel ends
without them, see `over`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from penstock.net.bare_socket import socket_of
from penstock.net.relay.compiled import NOTHING
from penstock.net.relay.side import Side
from penstock.net.relay.twin_side import READING

if TYPE_CHECKING:
    from penstock.net.loop import Loop
    from penstock.net.relay.compiled import FrameTerms
    from penstock.net.relay.frame_watch import FrameWatch
    from penstock.net.relay.tunnel import End


class Carried:
    """The part of a tunnel that knows of the twin. `client` and `backend` are its sides while it lives."""

    __slots__ = ("_backend", "_client", "_engaged", "_limits", "frames", "loop", "opened", "reason", "websocket")

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
    frames: FrameWatch | None
    """Who looks at the frames, if somebody does."""

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
    def client_fd(self) -> int:
        """Return the descriptor of the client's side."""
        side = self._client
        return side if isinstance(side, int) else side.fd

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
    def steps(self) -> bool:
        """Return whether the twin has it as long as nothing but frames of data comes, which somebody looks at."""
        return self.frames is not None and self.frames.steps and self.plain

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
        if self._engaged or self.reason is not None:
            return
        terms = None
        if self.frames is not None:
            terms = self.frames.standing()
            if terms is None:
                return
        if not self.plain:
            return
        client, backend = self.client, self.backend
        if not (client.carries_plainly() and backend.carries_plainly()):
            return
        figures = client.read, client.last, backend.read, backend.last
        self._limits = client.send_timeout, backend.send_timeout
        self._client, self._backend = client.leave(), backend.leave()
        self._entrust(self._client, *figures[:2], self._backend, *figures[2:])
        if terms is not None:
            self._step(terms)

    def _entrust(self, one: int, read: int, last: float, other: int, read_other: int, last_other: float) -> None:
        hot = self.loop.hot
        assert hot.twin is not None
        hot.twin.engage(one, read, last, other, read_other, last_other, self.websocket)
        self._engaged = True
        self._listen(one, other)

    def _step(self, terms: tuple[FrameTerms, FrameTerms]) -> None:
        """Let the twin, which has it, step over the frames."""
        twin = self.loop.hot.twin
        assert twin is not None
        twin.step(self.client_fd, *terms[0])
        twin.step(self.backend_fd, *terms[1])

    def look_at_frames(self, frames: FrameWatch) -> None:
        """Let somebody look at the frames of both sides from now on. Nothing has come yet, and nothing is under way."""
        self.frames = frames
        if not self._engaged:
            self.client.equip()
            self.backend.equip()
        elif (terms := frames.standing()) is not None:
            self._step(terms)
        else:
            self.dismiss()

    def catch_up(self, *, of_client: bool) -> None:
        """Let who looks at frames know what the twin has stepped over from one side."""
        twin = self.loop.hot.twin
        if self._engaged and self.frames is not None and twin is not None:
            figures = twin.figures(self.client_fd if of_client else self.backend_fd)
            self.frames.stepped(figures[2:], of_client=of_client)

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
        client, backend = self.client, self.backend
        self._engaged = False
        frames, steps = self.frames, self.steps
        for side in (client, backend):
            fd = side.fd
            if frames is not None:
                frames.stepped(twin.figures(fd)[2:], of_client=side is client)
            side.read, side.last, trouble, errno, kept = twin.dismiss(fd)
            hot.carried[fd] = None
            side.equip()
            hot.handlers[fd] = side.on_frames if steps else side.on_event
            if side is about:
                told = (trouble, errno, kept)
            # Nobody else's bytes are kept: who has some is told first.
        return told

    def told(self, fd: int, mask: int) -> None:
        """Deal with what is no bytes that the twin passed on whole: it has given the tunnel back."""
        twin = self.loop.hot.twin
        if self._limits is not None and self.frames is None and twin is not None:
            # Descriptors, as there are limits; to assert that would take two calls.
            client: int = self._client  # type: ignore[assignment]
            backend: int = self._backend  # type: ignore[assignment]
            totals = twin.over(fd)
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

    def heard(self, *, of_client: bool) -> float:
        """Return when something last came from a side, or went to it once it had waited."""
        return self._figures(of_client=of_client)[1]

    def _figures(self, *, of_client: bool) -> tuple[int, float]:
        """Return the bytes read from a side, and when the last came."""
        twin = self.loop.hot.twin
        side = self._client if of_client else self._backend
        if isinstance(side, int):
            assert twin is not None
            return twin.figures(side)[:2]
        return twin.figures(side.fd)[:2] if self._engaged and twin is not None else (side.read, side.last)


def reach(carried: list[Carried | None], one: int, other: int) -> None:
    """Make room for two descriptors."""
    missing = max(one, other) + 1 - len(carried)
    if missing > 0:
        carried += [None] * missing

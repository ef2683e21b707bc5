"""An HTTP/2 connection of which we are the client: what `h2_session` and `h2_lane` are to a server, seen from there.

    heads     of an answer, interim ones too, wait in the lane like its bytes do, and they are few
    GOAWAY    takes away the lanes that the peer has not begun with; the others come to their end
    the end   of an answer is the end of it, whatever is said of the stream afterwards
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from errno import ECONNRESET, EPROTO
from typing import TYPE_CHECKING

from penstock.http.h2.events import (
    ConnectionTerminated,
    Event,
    InformationalResponseReceived,
    RemoteSettingsChanged,
    ResponseReceived,
    StreamReset,
)
from penstock.http.h2.wire import ConnectionFault, ErrorCodes, HeadLimits, SettingCodes, Wire
from penstock.net.errors import NetError, PeerGone
from penstock.net.fiber import current, forget_frames
from penstock.net.h2.session import Over, Session, tell_nobody
from penstock.net.h2.stream import CANCEL, PROTOCOL_ERROR, Lane

if TYPE_CHECKING:
    from penstock.net.stream import Stream

WINDOW = 131072
"""Bytes of one answer that may come before they are read."""
ASSUMED = 1
"""Streams that a peer is taken to allow until it has said how many: a library may end the connection over one more."""
HEADS = 16
"""Heads of one stream that may wait to be read."""
CHATTER = 1000
"""Frames that carry nothing for anybody, and may come within `PERIOD` seconds."""
RESETS = 50
"""Streams that we may end before they were answered, within `PERIOD` seconds. A backend takes many for an attack and
ends the connection with everybody on it: clients that come and go shall not bring that about."""
PERIOD = 10.0
LAST_SID = (1 << 31) - 1000
NOT_HTTP2 = "upstream sent no HTTP/2, but an answer of HTTP/1"


class Given(PeerGone):
    """The peer has ended a stream, or the connection: `words` say how. `unprocessed`: nothing was done about it.
    `others`: it was about requests that came before, so that the peer gets on."""

    def __init__(self, words: str, *, unprocessed: bool = False, others: bool = False) -> None:
        super().__init__(ECONNRESET)
        self.words = words
        self.unprocessed = unprocessed
        self.others = others

    def __str__(self) -> str:
        return self.words


class ClientLane(Lane):
    """A request of ours and what comes back. `heads` are fields of heads that came and their bytes on the wire.

    `fault` is what ended it, once `lost` is set.
    """

    __slots__ = ("fault", "heads")

    session: ClientSession

    def __init__(self, session: ClientSession) -> None:
        super().__init__(session, session.wire.open(), ended=False)
        self.heads: deque[tuple[list[tuple[bytes, bytes]], int]] = deque()
        self.fault: NetError | None = None

    @property
    def sent(self) -> int:
        """Count the bytes of frames that were sent, heads included."""
        return self.wire_sent

    async def change(self, timeout: float | None = None) -> None:
        """Wait until something comes, or somebody resumes the fiber. Raises `TimedOut`, and what `fault` is."""
        self.grant()
        self._reader = me = current()
        try:
            await self._wait(me, timeout)
        finally:
            self._reader = None

    async def recv(self, limit: int = 65536, timeout: float | None = None) -> bytes:
        """Do what `Stream.recv` does."""
        while not self.inbox:
            if self.ended:
                return b""
            if self.lost:
                raise self.fault or PeerGone(self.lost)
            await self.change(timeout)
        return self.taken(limit)

    def lose(self, errno: int, kind: type[NetError] = PeerGone) -> None:
        """Note that the stream was reset, or its connection is gone. An answer that is here wholly stays, and what is
        for a tunnel."""
        if self.lost:
            return
        if self.fault is None:
            self.fault = PeerGone(errno or ECONNRESET)
        fault = self.fault
        self.lost = errno or ECONNRESET
        self.kind = kind
        if self.side is not None:
            self.side.lost()
            return
        writer, self._writer = self._writer, None
        if not self.ended:
            self.inbox.clear()
            self.held = 0
            reader, self._reader = self._reader, None
            if reader is not None:
                reader.interrupt(fault)
        if writer is not None:
            writer.interrupt(fault)

    def close(self, code: int = CANCEL) -> None:
        """Let go of the stream; it is reset unless both sides have said all they have to say."""
        if not self.lost and not (self.finished and self.ended):
            self.reset(code)
            self.session.gave_up()
        self.lost = self.lost or ECONNRESET
        self.inbox.clear()
        if self.fault is not None:
            forget_frames(self.fault)
        self.session.wire.forget(self.half)
        self.session.removed(self)


class ClientSession(Session):
    """`stream` is connected, and agreed to speak HTTP/2 if it is TLS. `changed()` is called when settings have come, or
    nothing more will. `why` says in words what ended the connection. `heard` is when something came last (monotonic).
    """

    __slots__ = ("_chatter", "_resets", "_since", "changed", "heard", "known", "opened_count", "why")

    def __init__(
        self,
        stream: Stream,
        *,
        head_size: int,
        send_timeout: float,
        changed: Callable[[], None],
        idle: Callable[[], None],
    ) -> None:
        settings = {SettingCodes.ENABLE_PUSH: 0, SettingCodes.INITIAL_WINDOW_SIZE: WINDOW}
        size = max(head_size, 65536)
        wire = Wire(settings, HeadLimits(field=size, fields=size), client_side=True)
        super().__init__(
            stream, wire, opened=self._nobody_asked, noticed=self._noticed, idle=idle, send_timeout=send_timeout
        )
        self.changed = changed
        self.known = False
        self.heard = stream.hot.now
        self.opened_count = 0
        self.why = ""
        self._chatter = 0
        self._resets = 0
        self._since = self.heard
        wire.announce()

    # -- lanes

    @property
    def allowed(self) -> int:
        """Return how many streams the peer takes at once."""
        return self.wire.peer_streams if self.known else ASSUMED

    @property
    def usable(self) -> bool:
        """Return whether another request may be sent."""
        return (
            self.error is None
            and not self.why
            and not self.wire.leaving
            and len(self.lanes) < self.allowed
            and self.wire.highest_out < LAST_SID
        )

    @property
    def silent(self) -> bool:
        """Return whether the peer is still to say what it takes."""
        return not (self.known or self.why or self.wire.leaving or self.error is not None)

    @property
    def extended(self) -> bool:
        """Return whether the peer takes an extended CONNECT (RFC 8441)."""
        return self.wire.peer_extended

    def open(self) -> ClientLane:
        """Open a stream; the session must be `usable`."""
        self.opened_count += 1
        return ClientLane(self)

    def retire(self) -> None:
        """Take no more requests."""
        self.wire.leaving = True

    def gave_up(self) -> None:
        """Note that we reset a stream; after too many the others are let come to their end, and there are no more."""
        self._period()
        self._resets += 1
        if self._resets >= RESETS:
            self.retire()

    # -- the connection

    def over(self) -> None:
        """Do what `Session.over` does."""
        super().over()
        self.changed = tell_nobody

    async def run(self) -> None:
        """Read until one of both has had enough; the stream is closed then, and every lane told."""
        try:
            self.flush()
            await self.read(self._received)
            self.why = "upstream prematurely closed connection"
        except ConnectionFault as fault:
            self.why = fault.reason.replace("client", "upstream", 1)
            if self.known:
                self.wire.goaway(fault.code)
                self.flush_now()
        except Over:
            self.why = "the connection was closed"
        except NetError as error:
            self.why = str(error)
        finally:
            self.why = self.why or "the connection was closed"
            for lane in list(self.lanes.values()):
                self._lose(lane, Given(self.why))
            self.lose(Given(self.why))
            self.stream.close()
            self.changed()
            self.over()

    def hang_up(self) -> None:
        """End the connection: nothing more is wanted of the peer."""
        self.retire()
        if self.error is None:
            self.wire.goaway()
            self.flush_now()
            self.end()

    def feed(self, data: bytes) -> None:
        """Do what `Session.feed` does; the peer begins with its settings, or does not speak HTTP/2."""
        if not self.known and data.startswith(b"HTTP/"):
            raise ConnectionFault(ErrorCodes.PROTOCOL_ERROR, NOT_HTTP2)
        super().feed(data)

    def _received(self, count: int) -> None:
        self.heard = self.stream.hot.now

    def _nobody_asked(self, event: Event) -> None:
        raise ConnectionFault(ErrorCodes.PROTOCOL_ERROR, "upstream sent a request")

    def _noticed(self, event: Event) -> None:
        kind = type(event)
        if kind is ResponseReceived or kind is InformationalResponseReceived:
            self._head(event)  # type: ignore[arg-type]
        elif kind is StreamReset:
            assert isinstance(event, StreamReset)
            lane = self.lanes.get(event.stream_id)
            if lane is not None and not lane.lost:
                assert isinstance(lane, ClientLane)
                lane.fault = _reset(event)
        elif kind is RemoteSettingsChanged:
            if not self.known:
                self.known = True
                self.changed()
            self._count()
        elif kind is ConnectionTerminated:
            self._count()
            self._goaway(event)  # type: ignore[arg-type]
        else:
            self._count()

    def _period(self) -> None:
        now = self.stream.hot.now
        if now - self._since > PERIOD:
            self._since = now
            self._chatter = self._resets = 0

    def _count(self) -> None:
        self._period()
        self._chatter += 1
        if self._chatter > CHATTER:
            raise ConnectionFault(ErrorCodes.ENHANCE_YOUR_CALM, "upstream sent too many frames that carry nothing")

    def _head(self, event: ResponseReceived | InformationalResponseReceived) -> None:
        lane = self.lanes.get(event.stream_id)
        if lane is None:
            return
        assert isinstance(lane, ClientLane)
        if len(lane.heads) >= HEADS or lane.inbox:
            lane.fault = Given("upstream sent heads where none may be")
            lane.session.wire.reset(lane.half, PROTOCOL_ERROR)
            lane.lose(EPROTO)
            return
        lane.heads.append((event.headers, self.wire.block_length + 9))
        if isinstance(event, ResponseReceived) and event.ended:
            lane.ended = True
        self.touch(lane)

    def _goaway(self, event: ConnectionTerminated) -> None:
        self.retire()
        last = event.last_stream_id
        code = event.error_code
        for lane in list(self.lanes.values()):
            if lane.sid > last and not lane.ended:
                words = f"upstream sent goaway with error {code}, and has not looked at the request"
                self._lose(lane, Given(words, unprocessed=True, others=last > 0))
        self.changed()

    def _lose(self, lane: Lane, fault: Given) -> None:
        assert isinstance(lane, ClientLane)
        if not lane.lost and lane.fault is None:
            lane.fault = fault
        lane.lose(ECONNRESET)


def _reset(event: StreamReset) -> Given:
    code = event.error_code
    try:
        name = f" ({ErrorCodes(code).name})"
    except ValueError:
        name = ""
    if not event.remote_reset:
        return Given("upstream broke the protocol on its stream")
    refused = code == ErrorCodes.REFUSED_STREAM
    return Given(f"upstream rejected request with error {code}{name}", unprocessed=refused)

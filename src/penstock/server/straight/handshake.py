"""A handshake on the straight way. Nearly all become tunnels that begin without sides, which takes the client and a
descriptor: until something unusual happens, the backend of one has no `Stream`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from penstock.http.errors import BadResponse
from penstock.modules.websocket.origins import advise
from penstock.net.calls import connect, nodelay, recv
from penstock.net.errors import DialFailed, NetError
from penstock.net.loop import IN, OUT
from penstock.net.relay.relay import carries, carry
from penstock.net.stream import READING, Stream, stream_of
from penstock.server.finish import release
from penstock.server.straight.passage import Passage, model_of
from penstock.server.straight.switch import may_switch, open_late, remember, switch, switched_head
from penstock.server.tunnel.ending import another_ending
from penstock.server.tunnel.provenance import provenance_of
from penstock.server.tunnel.tunnel import count_opened, speaks_websocket
from penstock.shared.alike import like
from penstock.upstream.exchange.reading import not_reached, not_read
from penstock.upstream.exchange.upgrade import TakenPeer
from penstock.upstream.peers.keepalive import KeptConnection

if TYPE_CHECKING:
    from penstock.http.response import ResponseHead
    from penstock.upstream.exchange.exchange import Exchange
    from penstock.upstream.exchange.policy import Policy
    from penstock.upstream.peers.peers import Peer


class HandshakePassage(Passage):
    """A request that asks for an upgrade. `fd` is its backend's as long as there is no stream: it has taken the whole
    head, and the loop watches it for reading."""

    __slots__ = ("_head", "_said", "fd")

    fd: int
    _said: bytes
    """A head by which a tunnel was opened, as it came."""
    _head: ResponseHead | None

    def _dial(self, peer: Peer, policy: Policy) -> None:
        """Connect to the backend and send the head, in one call."""
        address = peer.address
        connection = self.connection
        loop = connection.service.loop
        hot = loop.hot
        compiled = hot.twin is not None and hot.polled >= 0
        if not compiled or not self.way.dials_plainly or type(address) is not tuple or len(address) != 2:
            super()._dial(peer, policy)
            return
        written = self.written
        try:
            fd, (error, count) = connect(address[0], address[1], True, written, hot.polled)
        except OSError:
            super()._dial(peer, policy)  # which makes room for a descriptor
            return
        if fd < 0:
            self._fail(not_reached(DialFailed(error)))
            return
        if count == len(written):
            self.attempt.connect_time = 0.0
            self.sent = True
            self.fd = fd
            hot.handlers[fd] = self._heard
            connection.within(policy.read_timeout)
            return
        stream = stream_of(fd, loop, address)
        stream.sent = count
        stream._mask = READING
        hot.handlers[fd] = stream._on_event
        if count:
            self.attempt.connect_time = 0.0
            self._send(KeptConnection(stream, address, hot.now), count)
            return
        self.stream = stream
        stream._arm(OUT, self)
        connection.within(policy.connect_timeout)

    def _heard(self, mask: int) -> None:
        """The backend says something, or is gone. (A handler of the loop.)"""
        if mask != IN:
            self._unfold()._on_event(mask)
            return
        way = self.way
        try:
            data = recv(self.fd, way.policy.head_size)
        except OSError as exc:
            self._nothing_read(exc)
            return
        try:
            known = way.switched.get(len(data))
            if known is not None and (answer := known.answer(data)) is not None:
                self._said = data
                client = self.connection.stream
                # `_may_open`, without the call: what is known has been passed on here before.
                usual = not way.judges_switch and client._unread is None and type(client) is Stream
                if (usual and self.head.fields.get("upgrade")) or self._may_open():
                    self._open(answer, len(data), known.websocket)
                    return
                self._said = b""
            head = None
            if data:
                try:
                    head = way.policy.wire.read_head(data, 0)
                except BadResponse:
                    pass  # it is read again, by who says so
            if head is not None and head.status == 101 and head.length == len(data) and self._opens(head, data):
                return
            stream, line = self._unfold(), self.line
            assert line is not None
            stream._reader = None
            stream.received = len(data)
            stream.unread(data)
            self._hear(line)
        except Exception as error:
            self.stumble(error)

    @property
    def upstream_head(self) -> ResponseHead | None:
        """Return the backend's head; that of a 101 which is known is read when somebody asks for it."""
        head = self._head
        if head is None and self._said:
            head = self._head = self.way.policy.wire.read_head(self._said, 0)
        return head

    @upstream_head.setter
    def upstream_head(self, head: ResponseHead | None) -> None:
        self._head = head

    def _switches(self, head: ResponseHead, rest: bytes, stream: Stream) -> bool:
        if stream.owed or not may_switch(self, head):
            return False
        self.note(head)
        switch(self, head, rest)
        return True

    def _nothing_read(self, exc: OSError) -> None:
        stream = self._unfold()
        try:
            stream._not_received(exc)
        except NetError as error:
            self._fail(not_read(error))

    def _may_open(self) -> bool:
        """Return whether a 101 opens a tunnel of two descriptors; `upstream_head` is that."""
        way, client = self.way, self.connection.stream
        if not way.plain or way.talks:
            return False
        if (type(client) is not Stream or client._unread is not None) and not carries(client, client.loop):
            return False
        if not way.judges_switch:
            return bool(self.head.fields.get("upgrade"))
        head = self.upstream_head
        return head is not None and may_switch(self, head)

    def _opens(self, head: ResponseHead, said: bytes) -> bool:
        """Open the tunnel that a 101 is; False, and nothing done, where that takes more than two descriptors."""
        self._head = head
        if not self._may_open():
            self._head = None
            return False
        data = switched_head(self, head)
        if data is None:
            self._head = None
            return False
        websocket = speaks_websocket(head)
        remember(self.way, head, said, websocket=websocket)
        self._open(data, head.length, websocket)
        return True

    def _open(self, data: bytes, received: int, websocket: bool) -> None:
        """Send the client its 101, and let the relay have it and the backend's descriptor."""
        connection, way, attempt, peer = self.connection, self.way, self.attempt, self.peer
        client, service = connection.stream, connection.service
        if way.judges_switch and way.passing.carries_websockets:
            advise(self)
        self.keep_alive = False
        self.status = attempt.status = 101
        attempt.bytes_received = received
        attempt.header_time = service.timers.now - attempt.started
        client.on_hangup = None
        count = client.send_now(data)
        if count != len(data):
            self._unfold()._reader = None
            open_late(self, data, count)
            return
        self.bytes_sent = count
        assert peer is not None
        if way.core.tcp_nodelay:
            try:
                nodelay(client.fd)
            except OSError:
                pass  # as in `Owned.nodelay`
        provenance = way.provenance
        if provenance is None or provenance.service is not service:
            way.provenance = provenance = provenance_of(service, self.location, self.server.name)
            provenance.group, provenance.module = way.group, way.policy.module
        ending = another_ending()
        ending.begin(connection, self, provenance)
        ending._tried = attempt
        sent, selection = len(self.written), self.selection
        if selection is None:
            ending._peer = peer
            attempt.bytes_sent = sent
        else:
            taken = TakenPeer(attempt, peer, way.group, selection, client.hot, sent, way.policy.module)
            taken.release()
            ending.upgraded = taken
        if service.meters is not None:
            count_opened(service, self, ending)
        loop, silence, limits = service.loop, way.idle_timeout, way.send_timeouts
        tunnel = carry(loop, client, self.fd, silence, limits, ending, connection.alarm, websocket, ending)
        # Until here all is ours still: a mistake on the way gives back the peer, and closes both descriptors.
        self.fd = -1
        self.peer = self.selection = connection.passage = connection.alarm = None
        connection.tunnelled = True
        # `Service.gone`, without the call: there is no fiber, and no alarm any more.
        service.requests += connection.requests
        service.connections.discard(connection)
        if ending.spans is not None:
            ending.spans.follow(tunnel)
        if self.held:
            release(self)

    def _unfold(self) -> Stream:
        """Make the backend's stream, for all that is unusual."""
        peer, loop = self.peer, self.connection.service.loop
        assert peer is not None
        fd, self.fd = self.fd, -1
        stream = stream_of(fd, loop, peer.address)
        stream.sent = len(self.written)
        stream._mask = READING
        stream._reader = self
        loop.hot.handlers[fd] = stream._on_event
        self.line = line = KeptConnection(stream, peer.address, loop.hot.now)
        line.requests = 1
        return stream

    def _exchange(self, begun: Stream | BaseException | None = None) -> Exchange:
        if self.fd >= 0:
            self._unfold()
        return super()._exchange(begun)


def _model() -> HandshakePassage:
    made = model_of(HandshakePassage)
    made.fd = -1
    made._said = b""
    return made


another_handshake = like(_model())

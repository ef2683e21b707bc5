"""A handshake on the straight way. Nearly all become tunnels that begin without sides, which takes the client and a
descriptor: until something unusual happens, the backend of one has no `Stream`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from penstock.http.errors import BadResponse
from penstock.net.calls import call, recv
from penstock.net.errors import DialFailed, NetError
from penstock.net.loop import IN, OUT
from penstock.net.relay.relay import carries
from penstock.net.stream import READING, Stream, stream_of
from penstock.server.straight.passage import Passage, model_of
from penstock.server.straight.switch import may_switch, open_late, switch, switched_head
from penstock.server.tunnel.tunnel import open_at_once
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

    __slots__ = ("fd",)

    fd: int

    def _dial(self, peer: Peer, policy: Policy) -> None:
        """Connect to the backend and send the head, in one call."""
        address = peer.address
        connection = self.connection
        loop = connection.service.loop
        hot = loop.hot
        if hot.twin is None or not self.way.dials_plainly or type(address) is not tuple or len(address) != 2:
            super()._dial(peer, policy)
            return
        written = self.written
        try:
            fd, count = call(address[0], address[1], written)
        except OSError:
            super()._dial(peer, policy)  # which makes room for a descriptor
            return
        if fd < 0:
            self._fail(not_reached(DialFailed(count)))
            return
        if count == len(written):
            self.attempt.connect_time = 0.0
            self.sent = True
            self.fd = fd
            hot.watch(fd, READING, self._heard)
            connection.within(policy.read_timeout)
            return
        stream = stream_of(fd, loop, address)
        stream.sent = count
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
        policy = self.way.policy
        try:
            data = recv(self.fd, policy.head_size)
        except OSError as exc:
            self._nothing_read(exc)
            return
        try:
            head = None
            if data:
                try:
                    head = policy.wire.read_head(data, 0)
                except BadResponse:
                    pass  # it is read again, by who says so
            if head is not None and head.status == 101 and head.length == len(data) and self._opens(head):
                return
            stream, line = self._unfold(), self.line
            assert line is not None
            stream._reader = None
            stream.received = len(data)
            stream.unread(data)
            self._hear(line)
        except Exception as error:
            self.stumble(error)

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

    def _opens(self, head: ResponseHead) -> bool:
        """Open the tunnel that a 101 is; False, and nothing done, where that takes more than two descriptors."""
        connection, way = self.connection, self.way
        client = connection.stream
        if not way.plain or way.talks or not carries(client, client.loop):
            return False
        if not may_switch(self, head):
            return False
        data = switched_head(self, head)
        if data is None:
            return False
        attempt = self.attempt
        attempt.bytes_received = head.length
        self.note(head)
        client.on_hangup = None
        count = client.send_now(data)
        if count != len(data):
            self._unfold()._reader = None
            open_late(self, data, count)
            return True
        self.bytes_sent = count
        peer, self.peer = self.peer, None
        assert peer is not None
        taken = TakenPeer(self, peer, way.group, self.selection, client.hot, len(self.written))
        if self.selection is not None:
            taken.release()
            self.selection = None
        fd, self.fd = self.fd, -1
        connection.passage = None
        open_at_once(connection, self, taken, fd, way)
        return True

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
    return made


another_handshake = like(_model())

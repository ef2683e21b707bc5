"""The two sides of a tunnel of datagrams: a client at a socket that many share, and a backend at one of its own."""

from __future__ import annotations

from typing import TYPE_CHECKING

from penstock.modules.stream.header_out import header_for
from penstock.net.loop import IN, HotSelector
from penstock.net.relay.side import Side
from penstock.net.relay.tunnel import End
from penstock.net.timers import Alarm

if TYPE_CHECKING:
    import socket

    from penstock.modules.stream.proxy import StreamProxy
    from penstock.modules.stream.session import StreamSession
    from penstock.server.stream.datagrams import DatagramFlow

AT_ONCE = 32
LONGEST = 65535


class ClientOfDatagrams(Side):
    """The client. `requests` counts its datagrams."""

    __slots__ = ("_began", "_flow", "_header", "_most", "_rates", "requests")

    def __init__(
        self, flow: DatagramFlow, sock: socket.socket, hot: HotSelector, proxy: StreamProxy, session: StreamSession
    ) -> None:
        super().__init__(sock, hot, proxy.timeout)
        self.requests = 0
        self._flow: DatagramFlow | None = flow
        self._header = header_for(session, proxy.header) if proxy.header else b""
        self._most = proxy.requests
        self._rates = proxy.rates(session) or (0, 0)
        self._began: float = hot.now

    @property
    def transport(self) -> str:
        """Return "udp"."""
        return "udp"

    def came(self, data: bytes) -> None:
        """Pass a datagram on; one that is too many for the rate is lost."""
        self.last = self.hot.now
        self.requests += 1
        rate = self._rates[0]
        if not rate or self.read < rate * (int(self.hot.now - self._began) + 1):
            self.read += len(data)
            header, self._header = self._header, b""
            try:
                self.peer.sock.send(header + data if header else data)
            except BlockingIOError:
                pass  # there is no room: it is lost
            except OSError as error:
                self.tunnel.reset(self.peer, error.errno or 0)
                return
        if self._most and self.requests >= self._most and self._flow is not None:
            self._flow.leave()
        assert isinstance(self.peer, BackendOfDatagrams)
        self.peer.look_whether_done()

    def answer(self, data: bytes) -> None:
        """Send a datagram of the backend to the client."""
        if self._flow is not None:
            self._flow.send(data)

    @property
    def download_rate(self) -> int:
        return self._rates[1]

    def awaits_more(self) -> bool:
        """Return whether the client may still send for this session."""
        return bool(self._most) and self.requests < self._most

    def close(self) -> None:
        """Leave the socket to the others."""
        flow, self._flow = self._flow, None
        if flow is not None:
            flow.leave()
        self.fd = -1
        self._let_go()

    def _let_go(self) -> None:
        del self.peer, self.tunnel


class BackendOfDatagrams(Side):
    """The backend. `responses` counts its datagrams; `expected` is how many there are for each of the client's.

    None stands for any number."""

    __slots__ = ("_alarm", "_client", "expected", "responses")

    def __init__(self, client: ClientOfDatagrams, sock: socket.socket, hot: HotSelector, expected: int | None) -> None:
        super().__init__(sock, hot, client.send_timeout)
        self.responses = 0
        self.expected = expected
        self._client = client
        self._alarm: Alarm | None = None

    def begin(self) -> None:
        """Wait for what the backend says."""
        self.hot.watch(self.fd, IN, self.on_event)
        self.mask = IN

    def on_event(self, mask: int) -> None:
        """Pass on what is there."""
        for _ in range(AT_ONCE):
            try:
                data = self.sock.recv(LONGEST)
            except BlockingIOError:
                return
            except OSError as error:
                self.tunnel.reset(self, error.errno or 0)
                return
            self.read += len(data)
            self.last = self.hot.now
            self.responses += 1
            client = self._client
            client.answer(data)
            if self.look_whether_done():
                return
            rate = client.download_rate
            if rate and len(data) >= rate // 1000 + 1:
                self._rest(len(data) / rate)
                return

    def look_whether_done(self) -> bool:
        """End the session where all that was expected has come; tell whether that is so."""
        client = self._client
        if self.expected is None or client.awaits_more() or self.responses < self.expected * client.requests:
            return False
        self.tunnel.close(End.CLOSED)
        return True

    def lacks(self) -> bool:
        """Return whether something was expected that has not come."""
        return self.expected is not None and self.responses < self.expected * self._client.requests

    def _rest(self, seconds: float) -> None:
        """Read nothing for a while."""
        self.hot.change(self.fd, 0)
        if self._alarm is None:
            self._alarm = Alarm(self.tunnel.loop.timers, self._go_on)
        self._alarm.set(seconds)

    def _go_on(self) -> None:
        if self.fd >= 0:
            self.hot.change(self.fd, IN)

    def _let_go(self) -> None:
        if self._alarm is not None:
            self._alarm.close()
            self._alarm = None
        del self.peer, self.tunnel

"""A WebSocket inside of HTTP/2 (RFC 8441), for a probe: the connection, the handshake, and the stream as a line."""

from __future__ import annotations

from time import monotonic

from h2.config import H2Configuration
from h2.connection import H2Connection
from h2.errors import ErrorCodes
from h2.events import (
    ConnectionTerminated,
    DataReceived,
    Event,
    RemoteSettingsChanged,
    ResponseReceived,
    StreamEnded,
    StreamReset,
)
from h2.exceptions import ProtocolError

from penstock.doctor.probe.handshake import LARGEST_BODY, ProbeAnswer
from penstock.doctor.probe.steps import safe, time_shown
from penstock.http.errors import BadMessage
from penstock.http.response import ResponseHead, parse_response
from penstock.net.blocking import BlockingConnection
from penstock.net.errors import NetError, PeerGone, TimedOut
from penstock.websocket.client import Ask
from penstock.websocket.handshake import check_agreed

HOPS = frozenset(("host", "upgrade", "connection", "sec-websocket-key"))
"""What HTTP/2 says in another way, or not at all."""

MOST = 1 << 20
"""Bytes that are kept for who has not asked for them yet."""

_BODY_SECONDS = 3.0


class Http2Line:
    """One stream on a connection of its own, to be talked through as through a `BlockingConnection`."""

    def __init__(self, line: BlockingConnection, *, secure: bool) -> None:
        self.error = ""
        self.reset = False
        self._line = line
        self._scheme = "https" if secure else "http"
        self._h2 = H2Connection(H2Configuration(client_side=True, header_encoding="latin-1"))
        self._has_settings = False
        self._head: list[tuple[str, str]] | None = None
        self._inbox = bytearray()
        self._ended = False
        self._stream = 1

    # As a line

    def send(self, data: bytes, timeout: float) -> None:
        """Send all of it within `timeout` seconds. Raises `PeerGone`, `TimedOut`."""
        deadline = monotonic() + timeout
        while data:
            if self._ended:
                raise PeerGone(0, "send")
            room = min(self._h2.local_flow_control_window(self._stream), self._h2.max_outbound_frame_size)
            if room > 0:
                self._h2.send_data(self._stream, data[:room])
                data = data[room:]
                self._flush(timeout)
            else:
                self._hear(deadline)

    def recv(self, timeout: float) -> bytes:
        """Read what comes next within `timeout` seconds; no bytes where the other side has ended it. Raises `TimedOut`.
        """
        deadline = monotonic() + timeout
        while not self._inbox and not self._ended:
            self._hear(deadline)
        data = bytes(self._inbox)
        self._inbox.clear()
        return data

    def close(self) -> None:
        self._line.close()

    # The handshake

    def shake_hands(self, ask: Ask, timeout: float) -> ProbeAnswer:
        """Ask for a WebSocket and read what comes back. Raises nothing: trouble is an answer, too."""
        started = monotonic()
        headers = tuple((name.lower(), value) for name, value in ask.headers if name.lower() not in HOPS)
        asked = Ask(ask.target, headers)
        asked.method, asked.version = "CONNECT", 20
        try:
            trouble, advice = self._ask(asked, ask.fields.get("host", ""), started + timeout)
        except TimedOut:
            trouble, advice = f"HTTP/2: silence for {time_shown(monotonic() - started)}", ()
        except (NetError, ProtocolError) as error:
            trouble, advice = f"the connection broke: {safe(str(error))}", ()
        seconds = monotonic() - started
        if trouble or self._head is None:
            return ProbeAnswer(asked, None, seconds, trouble, advice)
        try:
            head = _head_of(self._head)
        except BadMessage as error:
            return ProbeAnswer(asked, None, seconds, f"the answer is not HTTP as it should be: {safe(error.reason)}")
        if head.status == 200:
            return ProbeAnswer(asked, head, seconds, problems=tuple(check_agreed(head, asked)))
        return ProbeAnswer(asked, head, seconds, body=self._body())

    def _ask(self, ask: Ask, authority: str, deadline: float) -> tuple[str, tuple[str, ...]]:
        """Until there is a head; or why there is none, and what to do about it."""
        timeout = deadline - monotonic()
        self._h2.initiate_connection()
        self._flush(timeout)
        while not self._has_settings:
            if self._ended:
                return _not_spoken(self.error)
            self._hear(deadline)
        if not self._h2.remote_settings.enable_connect_protocol:
            return (
                "HTTP/2 is spoken here, and WebSockets inside of it are not (RFC 8441)",
                (
                    "no fault: browsers make a connection over HTTP/1.1 for each WebSocket then; leave --http2 out",
                    "with Penstock: http2_extended_connect on | auto, and a location that carries WebSockets",
                ),
            )
        pseudo = [
            (":method", "CONNECT"),
            (":protocol", "websocket"),
            (":scheme", self._scheme),
            (":path", ask.target),
            (":authority", authority),
        ]
        self._h2.send_headers(self._stream, [*pseudo, *ask.headers])
        self._flush(timeout)
        while self._head is None:
            if self._ended:
                return f"the stream ended without an answer: {safe(self.error)}", ()
            self._hear(deadline)
        return "", ()

    def _body(self) -> bytes:
        """The beginning of it: what comes within a moment."""
        data = b""
        deadline = monotonic() + _BODY_SECONDS
        try:
            while len(data) < LARGEST_BODY and (part := self.recv(deadline - monotonic())):
                data += part
        except NetError:
            pass
        return data[:LARGEST_BODY]

    # Frames

    def _flush(self, timeout: float) -> None:
        if data := self._h2.data_to_send():
            self._line.send(data, max(timeout, 0.001))

    def _hear(self, deadline: float) -> None:
        """Take in what comes next. Raises `TimedOut`, `PeerGone`."""
        data = self._line.recv(deadline - monotonic())
        if not data:
            self._over(self._line.error, reset=self._line.reset)
            return
        try:
            events = self._h2.receive_data(data)
        except ProtocolError as error:
            words = f'"{safe(data[:60].decode("latin-1"), 60)}"' if not self._has_settings else str(error)
            self._over(f"this is no HTTP/2: {words}")
            return
        for event in events:
            self._on_event(event)
        self._flush(1.0)

    def _on_event(self, event: Event) -> None:
        if isinstance(event, RemoteSettingsChanged):
            self._has_settings = True
        elif isinstance(event, ConnectionTerminated):
            self._over(f"goaway: {_name(event.error_code)}")
        elif isinstance(event, ResponseReceived):
            self._head = [(str(name), str(value)) for name, value in event.headers or ()]
        elif isinstance(event, DataReceived):
            if len(self._inbox) < MOST:
                self._inbox += event.data or b""
            self._h2.acknowledge_received_data(event.flow_controlled_length or 0, self._stream)
        elif isinstance(event, StreamEnded):
            self._over("")
        elif isinstance(event, StreamReset):
            self._over(f"the stream was reset: {_name(event.error_code)}", reset=True)

    def _over(self, error: str, *, reset: bool = False) -> None:
        if not self._ended:
            self._ended, self.error, self.reset = True, error, reset


def _name(code: ErrorCodes | int | None) -> str:
    return code.name if isinstance(code, ErrorCodes) else f"error {code}"


def _not_spoken(error: str) -> tuple[str, tuple[str, ...]]:
    advice = "this port speaks HTTP/1.1 only, or something before it does: leave --http2 out, or switch it on there"
    return f"HTTP/2 is not spoken here{': ' + safe(error) if error else ''}", (advice,)


def _head_of(headers: list[tuple[str, str]]) -> ResponseHead:
    """The answer's head as the one of HTTP/1.1 that says the same. Raises `BadMessage`."""
    status = next((value for name, value in headers if name == ":status"), "")
    lines = [f"HTTP/1.1 {status} ", *(f"{name}: {value}" for name, value in headers if not name.startswith(":"))]
    return parse_response(("\r\n".join(lines) + "\r\n\r\n").encode("latin-1", "replace"))

"""An HTTP/2 client for tests: requests and WebSockets over one connection, and any frame one wants to send.

It stands on `h2`, which is told to let through what no client should send. Waits are bounded by `timeout`.
"""

import socket
import ssl
import struct
import time
from collections.abc import Iterable
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any, Self

from h2.config import H2Configuration
from h2.connection import AllowedStreamIDs, H2Connection
from h2.events import (
    ConnectionTerminated,
    DataReceived,
    InformationalResponseReceived,
    PingAckReceived,
    RemoteSettingsChanged,
    ResponseReceived,
    StreamEnded,
    StreamReset,
    TrailersReceived,
)
from h2.settings import SettingCodes
from h2.stream import StreamInputs

from harness.waiting import PATIENCE

Fields = list[tuple[str, str]]


def texts(fields: Iterable[tuple[str | bytes, str | bytes]] | None) -> Fields:
    """Fields as `h2` gives them to one who wants text."""
    return [(str(name), str(value)) for name, value in fields or ()]


@dataclass(slots=True)
class Answered:
    """What has come on a stream. `reset` is the code of its RST_STREAM, None without one."""

    headers: Fields = field(default_factory=list)
    body: bytearray = field(default_factory=bytearray)
    interim: list[Fields] = field(default_factory=list)
    trailers: Fields = field(default_factory=list)
    ended: bool = False
    reset: int | None = None

    @property
    def status(self) -> int:
        return int(self.header(":status") or 0)

    def header(self, name: str) -> str | None:
        """The first value of a field, or None."""
        return next((value for key, value in self.headers if key == name), None)

    @property
    def text(self) -> str:
        return bytes(self.body).decode("utf-8")

    @property
    def over(self) -> bool:
        return self.ended or self.reset is not None


class Patient(H2Connection):
    """What is open when the server says GOAWAY comes to its end."""

    def _receive_goaway_frame(self, frame: Any) -> Any:
        event = ConnectionTerminated()
        event.error_code = frame.error_code
        event.last_stream_id = frame.last_stream_id
        event.additional_data = frame.additional_data or None
        return [], [event]


class Http2Client:
    """A connection to `address`, or over a socket given in place of a port: by prior knowledge, or with `tls` by ALPN.

    `greedy`: windows are opened as data come; without it they are the test's business.
    """

    def __init__(
        self,
        port: int | socket.socket,
        *,
        tls: ssl.SSLContext | None = None,
        name: str = "localhost",
        timeout: float = PATIENCE,
        greedy: bool = True,
        settings: dict[SettingCodes | int, int] | None = None,
        address: str = "127.0.0.1",
    ) -> None:
        self.socket: socket.socket = (
            port if isinstance(port, socket.socket) else socket.create_connection((address, port), timeout)
        )
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if tls is not None:
            tls.set_alpn_protocols(["h2", "http/1.1"])
            self.socket = tls.wrap_socket(self.socket, server_hostname=name)
        self.timeout = timeout
        self.greedy = greedy
        self.streams: dict[int, Answered] = {}
        self.goaway: ConnectionTerminated | None = None
        self.pongs = 0
        self.eof = False
        self.settings: dict[int, int] = {}
        self.last = -1
        self.h2 = Patient(
            H2Configuration(
                client_side=True,
                header_encoding="latin-1",
                validate_outbound_headers=False,
                normalize_outbound_headers=False,
            )
        )
        self.h2.initiate_connection()
        if settings:
            self.h2.update_settings(settings)
        self.flush()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        self.socket.close()

    # -- out

    def flush(self) -> None:
        data = self.h2.data_to_send()
        if data:
            self.socket.sendall(data)

    def raw(self, kind: int, flags: int, stream: int, payload: bytes = b"") -> None:
        """Any frame at all. A stream that it opens is one whose answer can be read."""
        self.flush()
        if kind == 1 and stream % 2 and stream > self.h2.highest_outbound_stream_id:
            made = self.h2._begin_new_stream(stream, AllowedStreamIDs.ODD)
            made.state_machine.process_input(StreamInputs.SEND_HEADERS)
            made.state_machine.process_input(StreamInputs.SEND_END_STREAM)
            self.streams[stream] = Answered()
        self.socket.sendall(struct.pack(">I", len(payload))[1:] + struct.pack(">BBI", kind, flags, stream) + payload)

    def open(
        self, path: str = "/", *more: tuple[str, str], method: str = "GET", host: str = "localhost", ended: bool = True
    ) -> int:
        """Send a request's head; the number of its stream."""
        return self.open_with(
            [(":method", method), (":scheme", "http"), (":authority", host), (":path", path), *more], ended=ended
        )

    def open_with(self, fields: Fields, *, ended: bool = True) -> int:
        """Send these fields as a request's head."""
        self.last += 2
        encoded = [(name.encode("latin-1"), value.encode("latin-1")) for name, value in fields]
        self.h2.send_headers(self.last, encoded, end_stream=ended)
        self.streams[self.last] = Answered()
        self.flush()
        return self.last

    def send(self, stream: int, data: bytes, *, ended: bool = False) -> None:
        """Send a body as windows allow. Raises `ConnectionError` where the stream is reset before all is sent."""
        while True:
            # The library tells a room of nothing then, which never grows.
            if self.streams[stream].reset is not None:
                raise ConnectionError("reset before all was sent")
            room = min(self.h2.local_flow_control_window(stream), self.h2.max_outbound_frame_size)
            piece, data = data[:room], data[room:]
            if piece or not data:
                self.h2.send_data(stream, piece, end_stream=ended and not data)
                self.flush()
            if not data:
                return
            if room <= 0:
                if self.eof:
                    raise ConnectionError("closed before all was sent")
                self._step(time.monotonic() + self.timeout)

    def reset(self, stream: int, code: int = 8) -> None:
        self.h2.reset_stream(stream, code)
        self.flush()

    # -- in

    def read(self, stream: int) -> Answered:
        """Wait until a stream has ended or was reset."""
        answered = self.streams[stream]
        self.until(lambda: answered.over)
        return answered

    def head(self, stream: int) -> Answered:
        """Wait for a stream's head."""
        answered = self.streams[stream]
        self.until(lambda: bool(answered.headers) or answered.over)
        return answered

    def get(self, path: str = "/", *more: tuple[str, str], **options: Any) -> Answered:
        """A whole request without a body."""
        return self.read(self.open(path, *more, **options))

    def until(self, met: Any, timeout: float | None = None) -> bool:
        """Read until a condition holds, or the connection ends; whether it holds. `TimeoutError` when late."""
        deadline = time.monotonic() + (timeout or self.timeout)
        while not met():
            if self.eof:
                return False
            self._step(deadline)
        return True

    def quiet(self, seconds: float) -> None:
        """Read what comes within so many seconds."""
        deadline = time.monotonic() + seconds
        try:
            while not self.eof:
                self._step(deadline)
        except TimeoutError:
            pass

    def _step(self, deadline: float) -> None:
        left = deadline - time.monotonic()
        if left <= 0:
            raise TimeoutError("nothing came in time")
        self.socket.settimeout(left)
        try:
            data = self.socket.recv(65536)
        except (ConnectionResetError, ssl.SSLError):
            data = b""
        if not data:
            self.eof = True
            return
        for event in self.h2.receive_data(data):
            self._happened(event)
        self.flush_quietly()

    def flush_quietly(self) -> None:
        try:
            self.flush()
        except OSError:
            pass  # the other side has said its last word

    def _happened(self, event: Any) -> None:
        answered = self.streams.get(getattr(event, "stream_id", 0) or 0)
        if isinstance(event, ConnectionTerminated):
            self.goaway = event
        elif isinstance(event, PingAckReceived):
            self.pongs += 1
        elif isinstance(event, RemoteSettingsChanged):
            self.settings.update({int(code): each.new_value for code, each in event.changed_settings.items()})
        if answered is None:
            return
        if isinstance(event, ResponseReceived):
            answered.headers = texts(event.headers)
        elif isinstance(event, InformationalResponseReceived):
            answered.interim.append(texts(event.headers))
        elif isinstance(event, DataReceived):
            answered.body += event.data
            if self.greedy and event.flow_controlled_length:
                self.h2.acknowledge_received_data(event.flow_controlled_length, event.stream_id)
        elif isinstance(event, TrailersReceived):
            answered.trailers = texts(event.headers)
        elif isinstance(event, StreamEnded):
            answered.ended = True
        elif isinstance(event, StreamReset):
            answered.reset = int(event.error_code)

    # -- WebSockets (RFC 8441)

    def websocket(self, path: str = "/", *more: tuple[str, str], host: str = "localhost", scheme: str = "http") -> int:
        """Ask for a WebSocket; wait for the answer's head."""
        stream = self.open_with(
            [
                (":method", "CONNECT"),
                (":protocol", "websocket"),
                (":scheme", scheme),
                (":authority", host),
                (":path", path),
                ("sec-websocket-version", "13"),
                *more,
            ],
            ended=False,
        )
        self.head(stream)
        return stream

    def say(self, stream: int, payload: bytes, opcode: int = 1) -> None:
        """Send a frame, masked with zeroes."""
        size = len(payload)
        if size < 126:
            head = struct.pack(">BB", 0x80 | opcode, 0x80 | size)
        elif size < 65536:
            head = struct.pack(">BBH", 0x80 | opcode, 0xFE, size)
        else:
            head = struct.pack(">BBQ", 0x80 | opcode, 0xFF, size)
        self.send(stream, head + bytes(4) + payload)

    def hear(self, stream: int) -> tuple[int, bytes]:
        """Wait for a frame: its opcode and payload."""
        answered = self.streams[stream]
        if not self.until(lambda: frame_length(answered.body) is not None or answered.over):
            raise ConnectionError("the connection ended")
        length = frame_length(answered.body)
        if length is None:
            raise ConnectionError(f"the stream ended: {answered.body!r}")
        start, end = length
        opcode, payload = answered.body[0] & 15, bytes(answered.body[start:end])
        del answered.body[:end]
        return opcode, payload


def frame_length(data: bytes | bytearray) -> tuple[int, int] | None:
    """Where the payload of the first (unmasked) frame begins and ends; None while it is not there."""
    if len(data) < 2:
        return None
    size, start = data[1] & 127, 2
    if size == 126:
        if len(data) < 4:
            return None
        size, start = int.from_bytes(data[2:4], "big"), 4
    elif size == 127:
        if len(data) < 10:
            return None
        size, start = int.from_bytes(data[2:10], "big"), 10
    return (start, start + size) if len(data) >= start + size else None

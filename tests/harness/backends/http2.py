"""A backend that speaks HTTP/2, with prior knowledge or over TLS. It stands on `h2`, which may send anything."""

import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from h2.config import H2Configuration
from h2.connection import ConnectionState, H2Connection
from h2.events import DataReceived, RequestReceived, StreamEnded, StreamReset, TrailersReceived, WindowUpdated
from h2.exceptions import ProtocolError, StreamClosedError
from h2.settings import SettingCodes

from harness.backends.threads import ThreadedServer
from harness.http2 import Fields, texts


@dataclass
class Asked:
    """A request as it came. `talk` is its connection, on which it may be answered from any thread."""

    talk: "Talk"
    stream: int
    fields: Fields
    body: bytearray = field(default_factory=bytearray)
    trailers: Fields = field(default_factory=list)
    ended: bool = False
    reset: int | None = None

    def field(self, name: str) -> str | None:
        """The first value of a field, or None."""
        return next((value for key, value in self.fields if key == name), None)

    @property
    def path(self) -> str:
        return self.field(":path") or ""

    def answer(self, body: bytes = b"", *fields: tuple[str, str], status: int = 200) -> None:
        """A whole answer, in one piece if windows allow; its length is not said."""
        with self.talk.lock:
            self.talk.head(self.stream, [(":status", str(status)), *fields], ended=not body, flush=False)
            if body:
                self.data(body, ended=True)
            self.talk.flush()

    def head(self, status: int, *fields: tuple[str, str], ended: bool = False) -> None:
        self.talk.head(self.stream, [(":status", str(status)), *fields], ended=ended)

    def data(self, data: bytes, *, ended: bool = False) -> None:
        """Send as the windows allow; what they do not goes out later."""
        self.talk.data(self.stream, data, ended=ended)

    def cancel(self, code: int) -> None:
        self.talk.reset(self.stream, code)


class Talk:
    """One connection. `number` counts from 0."""

    def __init__(self, connection: socket.socket, number: int, settings: dict[SettingCodes | int, int]) -> None:
        self.socket = connection
        self.number = number
        self.lock = threading.RLock()
        self.asked: dict[int, Asked] = {}
        self._pending: dict[int, tuple[bytearray, bool]] = {}
        self.h2 = H2Connection(
            H2Configuration(
                client_side=False,
                header_encoding="latin-1",
                validate_outbound_headers=False,
                normalize_outbound_headers=False,
            )
        )
        # They hold once the peer has acknowledged them: what it sends before that may go beyond them.
        self.h2.update_settings(settings)
        self.flush()

    def flush(self) -> None:
        with self.lock:
            data = self.h2.data_to_send()
            if data:
                self.socket.sendall(data)

    def raw(self, data: bytes) -> None:
        """Any bytes at all."""
        with self.lock:
            self.flush()
            self.socket.sendall(data)

    def head(self, stream: int, fields: Fields, *, ended: bool, flush: bool = True) -> None:
        encoded = [(name.encode("latin-1"), value.encode("latin-1")) for name, value in fields]
        with self._if_wanted():
            self.h2.send_headers(stream, encoded, end_stream=ended)
            if flush:
                self.flush()

    def data(self, stream: int, data: bytes, *, ended: bool) -> None:
        with self._if_wanted():
            waiting, _ = self._pending.get(stream, (bytearray(), False))
            self._pending[stream] = waiting + data, ended
            self._pump(stream)

    def reset(self, stream: int, code: int) -> None:
        with self.lock:
            self._pending.pop(stream, None)
            with self._if_wanted():
                self.h2.reset_stream(stream, code)
            self.flush()

    @contextmanager
    def _if_wanted(self) -> Iterator[None]:
        """Hold the connection while something is sent. Nothing is sent once the peer has reset the stream, or said
        goodbye: both may have come together with the request."""
        with self.lock:
            try:
                yield
            except StreamClosedError:
                pass
            except ProtocolError:
                if self.h2.state_machine.state is not ConnectionState.CLOSED:
                    raise

    def goaway(self, last: int, code: int = 0) -> None:
        """Streams above `last` will not be looked at."""
        payload = last.to_bytes(4, "big") + code.to_bytes(4, "big")
        self.raw(len(payload).to_bytes(3, "big") + b"\x07\0" + bytes(4) + payload)

    def close(self) -> None:
        self.socket.shutdown(socket.SHUT_RDWR)

    def _pump(self, stream: int) -> None:
        data, ended = self._pending.pop(stream)
        while True:
            room = min(self.h2.local_flow_control_window(stream), self.h2.max_outbound_frame_size)
            piece = bytes(data[:room]) if room > 0 else b""
            if data and not piece:
                self._pending[stream] = data, ended
                break
            del data[:room]
            self.h2.send_data(stream, piece, end_stream=ended and not data)
            if not data:
                break
        self.flush()

    def received(self, data: bytes) -> list[tuple[Asked, Any]]:
        """What it means, as pairs of request and event."""
        happened: list[tuple[Asked, Any]] = []
        with self.lock:
            for event in self.h2.receive_data(data):
                stream = getattr(event, "stream_id", 0) or 0
                if isinstance(event, RequestReceived):
                    self.asked[stream] = Asked(self, stream, texts(event.headers))
                elif isinstance(event, WindowUpdated):
                    for each in [stream] if stream else list(self._pending):
                        with self._if_wanted():
                            if each in self._pending:
                                self._pump(each)
                asked = self.asked.get(stream)
                if asked is None:
                    continue
                if isinstance(event, DataReceived):
                    asked.body += event.data
                    if event.flow_controlled_length:
                        with self._if_wanted():
                            self.h2.acknowledge_received_data(event.flow_controlled_length, stream)
                elif isinstance(event, TrailersReceived):
                    asked.trailers = texts(event.headers)
                elif isinstance(event, StreamEnded):
                    asked.ended = True
                elif isinstance(event, StreamReset):
                    asked.reset = int(event.error_code)
                    self._pending.pop(stream, None)
                happened.append((asked, event))
            self.flush()
        return happened


class Http2Backend(ThreadedServer):
    """Calls `answer(asked)` for each request once it is whole, or with its head if `early`; keeps all in `requests`.

    `more(asked)` is called whenever something came of a body. `http1` has the connections that begin with HTTP/1.
    """

    def __init__(
        self,
        answer: Callable[[Asked], None],
        *,
        early: bool = False,
        more: Callable[[Asked], None] | None = None,
        http1: Callable[[socket.socket], None] | None = None,
        settings: dict[SettingCodes | int, int] | None = None,
        port: int = 0,
        tls: ssl.SSLContext | None = None,
    ) -> None:
        self._answer = answer
        self._early = early
        self._more = more
        self._http1 = http1
        self._settings = settings or {}
        self.requests: list[Asked] = []
        self.talks: list[Talk] = []
        self.ended: set[int] = set()
        """Numbers of connections that have ended."""
        if tls is not None:
            tls.set_alpn_protocols(["h2"] if http1 is None else ["h2", "http/1.1"])
        super().__init__(port, None, tls)

    def serve(self, connection: socket.socket, number: int) -> None:
        if self._http1 is not None and not _is_http2(connection):
            self._http1(connection)
            return
        talk = Talk(connection, number, self._settings)
        self.talks.append(talk)
        try:
            while data := connection.recv(65536):
                for asked, event in talk.received(data):
                    if isinstance(event, RequestReceived):
                        self.requests.append(asked)
                    if isinstance(event, RequestReceived if self._early else StreamEnded):
                        self._answer(asked)
                    elif self._more is not None and isinstance(event, DataReceived):
                        self._more(asked)
        finally:
            self.ended.add(number)


def _is_http2(connection: socket.socket) -> bool:
    if isinstance(connection, ssl.SSLSocket):
        return connection.selected_alpn_protocol() == "h2"
    return connection.recv(3, socket.MSG_PEEK) == b"PRI"

"""A client that sends exactly the bytes it is given, and a splitter for what comes back."""

import socket
import ssl
import time
from dataclasses import dataclass, field
from types import TracebackType
from typing import Self

from harness.waiting import PATIENCE


@dataclass(slots=True)
class Response:
    """One HTTP/1 response; `body` is decoded from chunks, header names keep their case."""

    status: int
    reason: str
    headers: list[tuple[str, str]] = field(default_factory=list)
    body: bytes = b""
    head: bytes = b""

    def header(self, name: str) -> str | None:
        """The first value of a field, or None."""
        values = self.all(name)
        return values[0] if values else None

    def all(self, name: str) -> list[str]:
        """Every value of a field, in order."""
        return [value for key, value in self.headers if key.lower() == name.lower()]

    @property
    def text(self) -> str:
        return self.body.decode("utf-8")


class RawClient:
    """A TCP (or TLS) connection to 127.0.0.1:`port`; `timeout` bounds each wait.

    What was received and not yet returned stays in `buffer`.
    """

    def __init__(
        self, port: int, timeout: float = PATIENCE, tls: ssl.SSLContext | None = None, name: str = "localhost"
    ) -> None:
        self.socket: socket.socket = socket.create_connection(("127.0.0.1", port), timeout)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if tls is not None:
            self.socket = tls.wrap_socket(self.socket, server_hostname=name)
        self.timeout = timeout
        self.buffer = b""
        self.eof = False

    def send(self, data: bytes | str) -> Self:
        """Send; text goes as latin-1."""
        self.socket.sendall(data.encode("latin-1") if isinstance(data, str) else data)
        return self

    def half_close(self) -> Self:
        """Say FIN and keep reading."""
        self.socket.shutdown(socket.SHUT_WR)
        return self

    def reset(self) -> None:
        """End with RST."""
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
        self.socket.close()

    def recv_until(self, mark: bytes) -> bytes:
        """Bytes up to and including `mark`; `ConnectionError` on an earlier end, `TimeoutError` when late."""
        deadline = time.monotonic() + self.timeout
        while mark not in self.buffer:
            if not self._fill(deadline):
                raise ConnectionError(f"closed before {mark!r}; received {self.buffer!r}")
        end = self.buffer.index(mark) + len(mark)
        taken, self.buffer = self.buffer[:end], self.buffer[end:]
        return taken

    def recv_exactly(self, count: int) -> bytes:
        """`count` bytes; `ConnectionError` on an earlier end, `TimeoutError` when late."""
        deadline = time.monotonic() + self.timeout
        while len(self.buffer) < count:
            if not self._fill(deadline):
                raise ConnectionError(f"closed after {self.buffer!r} of {count} bytes")
        taken, self.buffer = self.buffer[:count], self.buffer[count:]
        return taken

    def recv_all(self) -> bytes:
        """Bytes until the other side closes; `TimeoutError` when it does not."""
        deadline = time.monotonic() + self.timeout
        while self._fill(deadline):
            pass
        taken, self.buffer = self.buffer, b""
        return taken

    def response(self, method: str = "GET") -> Response:
        """The next response, its body included (101 and other bodiless answers have none)."""
        deadline = time.monotonic() + self.timeout
        while True:
            taken = take_response(self.buffer, method, self.eof)
            if taken is not None:
                response, self.buffer = taken
                return response
            if not self._fill(deadline) and take_response(self.buffer, method, True) is None:
                raise ConnectionError(f"closed inside a response; received {self.buffer!r}")

    def closed(self) -> bool:
        """Whether the other side closes, or resets, within the timeout, having sent nothing more."""
        try:
            return not self._fill(time.monotonic() + self.timeout)
        except ConnectionResetError:
            return True
        except TimeoutError:
            return False

    def close(self) -> None:
        self.socket.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _fill(self, deadline: float) -> bool:
        left = deadline - time.monotonic()
        if left <= 0:
            raise TimeoutError(f"nothing more; received {self.buffer!r}")
        self.socket.settimeout(left)
        data = self.socket.recv(65536)
        self.buffer += data
        self.eof = not data
        return bool(data)


def raw_http(port: int, data: bytes | str, timeout: float = PATIENCE) -> bytes:
    """Send `data` to 127.0.0.1:`port`; everything received until the end, a reset or `timeout` seconds."""
    received = b""
    with RawClient(port, timeout) as client:
        client.send(data)
        try:
            received = client.recv_all()
        except (TimeoutError, ConnectionResetError):
            received = client.buffer
    return received


def split_responses(data: bytes, methods: tuple[str, ...] = ()) -> list[Response]:
    """All responses in `data`, up to the end of the connection; `methods` of the requests when not GET."""
    responses: list[Response] = []
    while data:
        method = methods[len(responses)] if len(responses) < len(methods) else "GET"
        taken = take_response(data, method, True)
        if taken is None:
            raise ValueError(f"not a response: {data!r}")
        response, data = taken
        responses.append(response)
    return responses


def take_response(data: bytes, method: str, eof: bool) -> tuple[Response, bytes] | None:
    """The first response in `data` and what follows it, or None while it is incomplete.

    101 ends with its head: what follows belongs to the tunnel. Other 1xx answers are responses of their own.
    """
    head, mark, rest = data.partition(b"\r\n\r\n")
    if not mark:
        return None
    first, *lines = head.decode("latin-1").split("\r\n")
    _, status, reason = [*first.split(" ", 2), "", ""][:3]
    response = Response(int(status), reason, head=head + mark)
    for line in lines:
        name, _, value = line.partition(":")
        response.headers.append((name, value.strip()))
    if method == "HEAD" or response.status < 200 or response.status in (204, 304):
        return response, rest
    if method == "CONNECT" and response.status < 300:
        return response, rest
    if "chunked" in (response.header("Transfer-Encoding") or ""):
        return _take_chunks(response, rest)
    length = response.header("Content-Length")
    if length is not None:
        if len(rest) < int(length) and not eof:
            return None
        response.body = rest[: int(length)]
        return response, rest[int(length) :]
    if not eof:
        return None
    response.body = rest
    return response, b""


def _take_chunks(response: Response, data: bytes) -> tuple[Response, bytes] | None:
    while True:
        line, mark, data = data.partition(b"\r\n")
        if not mark:
            return None
        size = int(line.partition(b";")[0], 16)
        if size == 0:
            break
        if len(data) < size + 2:
            return None
        response.body += data[:size]
        data = data[size + 2 :]
    while True:
        line, mark, data = data.partition(b"\r\n")
        if not mark:
            return None
        if not line:
            return response, data
        name, _, value = line.decode("latin-1").partition(":")
        response.headers.append((name, value.strip()))

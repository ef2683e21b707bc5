"""An HTTP/1 backend that answers every request with what it received, as JSON."""

import json
import socket
import ssl
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from harness.backends.threads import ThreadedServer


@dataclass(frozen=True, slots=True)
class Echoed:
    """A request as it arrived: text is latin-1; headers keep order and case. `connection` counts from 0."""

    line: str
    headers: tuple[tuple[str, str], ...]
    body: bytes
    connection: int
    head: bytes

    def header(self, name: str) -> str | None:
        """The first value of a field, or None."""
        return next((value for key, value in self.headers if key.lower() == name.lower()), None)

    def all(self, name: str) -> list[str]:
        """Every value of a field, in order."""
        return [value for key, value in self.headers if key.lower() == name.lower()]

    @property
    def target(self) -> str:
        return self.line.split(" ")[1]


class HttpEcho(ThreadedServer):
    """Answers `{"name", "line", "headers", "body", "connection"}`, and keeps each request in `requests`.

    `respond` replaces the answer: it gets the request and returns the bytes of a whole response. The
    connection stays open unless the request is HTTP/1.0, says `Connection: close`, or the response says so.
    """

    def __init__(
        self,
        name: str = "echo",
        respond: Callable[[Echoed], bytes] | None = None,
        *,
        port: int = 0,
        path: Path | None = None,
        tls: ssl.SSLContext | None = None,
    ) -> None:
        self.name = name
        self.requests: list[Echoed] = []
        self._respond = respond or self._describe
        super().__init__(port, path, tls)

    def serve(self, connection: socket.socket, number: int) -> None:
        stream = connection.makefile("rb")
        while (request := _read(stream, number)) is not None:
            self.requests.append(request)
            response = self._respond(request)
            connection.sendall(response)
            head = response.partition(b"\r\n\r\n")[0].lower()
            said = ",".join(request.all("Connection")).lower()
            old = request.line.endswith("HTTP/1.0") and "keep-alive" not in said
            if old or "close" in said or b"\r\nconnection: close" in head:
                return

    def _describe(self, request: Echoed) -> bytes:
        body = b"" if request.line.startswith("HEAD ") else self._json(request)
        length = len(self._json(request))
        head = f"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {length}\r\n\r\n"
        return head.encode() + body

    def _json(self, request: Echoed) -> bytes:
        seen = {
            "name": self.name,
            "line": request.line,
            "headers": request.headers,
            "body": request.body.decode("latin-1"),
            "connection": request.connection,
        }
        return json.dumps(seen).encode()


def _read(stream: Any, number: int) -> Echoed | None:
    head = b""
    while not head.endswith(b"\r\n\r\n"):
        line = stream.readline(65537)
        if not line:
            return None
        head += line
    first, *lines = head.decode("latin-1").removesuffix("\r\n\r\n").split("\r\n")
    headers = tuple((name, value.strip()) for name, _, value in (line.partition(":") for line in lines))
    fields = {name.lower(): value for name, value in headers}
    if "chunked" in fields.get("transfer-encoding", ""):
        body = _chunks(stream)
    else:
        body = stream.read(int(fields.get("content-length", "0")))
    return None if body is None else Echoed(first, headers, body, number, head)


def _chunks(stream: Any) -> bytes | None:
    """A body in chunks, or None where the connection ends amid it."""
    body = b""
    while line := stream.readline():
        size = int(line.partition(b";")[0], 16)
        if not size:
            break
        body += stream.read(size)
        stream.readline()
    else:
        return None
    while (line := stream.readline()).strip():
        pass
    return body if line else None

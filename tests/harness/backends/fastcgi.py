"""A FastCGI responder that says what it is told to, with a codec of its own."""

import json
import socket
import struct
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path

from harness.backends.threads import ThreadedServer

STDOUT, STDERR, END = 6, 7, 3


def fcgi(kind: int, content: bytes = b"", *, padding: int = 0, request: int = 1) -> bytes:
    """One record."""
    return struct.pack(">BBHHBx", 1, kind, request, len(content), padding) + content + bytes(padding)


def ending(status: int = 0) -> bytes:
    """The end of STDOUT and of the request."""
    return fcgi(STDOUT) + fcgi(END, struct.pack(">IB3x", 0, status))


def says(text: str | bytes) -> bytes:
    """A whole answer."""
    content = text.encode() if isinstance(text, str) else text
    return b"".join(fcgi(STDOUT, content[at : at + 60_000]) for at in range(0, len(content), 60_000)) + ending()


@dataclass
class FastCgiRequest:
    """What came. `keep`: the connection is to stay open; `pieces`: the sizes of the records of STDIN."""

    connection: int
    keep: bool = False
    params: dict[str, str] = field(default_factory=dict)
    body: bytes = b""
    pieces: list[int] = field(default_factory=list)


Answer = Callable[[FastCgiRequest], bytes | Iterable[bytes | float]]
"""What to send for a request: bytes, and pauses in seconds."""


def told(request: FastCgiRequest) -> bytes:
    """The parameters as JSON."""
    return says("Content-Type: application/json\r\n\r\n" + json.dumps(request.params))


class FastCgiBackend(ThreadedServer):
    """The first request gets the first answer, and so on; the last one serves all later ones."""

    def __init__(self, *answers: Answer, path: Path | None = None) -> None:
        self.answers = answers or (told,)
        self.requests: list[FastCgiRequest] = []
        super().__init__(path=path)

    def serve(self, connection: socket.socket, number: int) -> None:
        stream = connection.makefile("rb")
        while (request := self._read(stream.read, number)) is not None:
            answer = self.answers[min(len(self.requests), len(self.answers) - 1)]
            self.requests.append(request)
            parts = answer(request)
            for part in (parts,) if isinstance(parts, bytes) else parts:
                if isinstance(part, bytes):
                    connection.sendall(part)
                else:
                    time.sleep(part)
            if not request.keep:
                return

    def _read(self, read: Callable[[int], bytes], number: int) -> FastCgiRequest | None:
        request = FastCgiRequest(number)
        params = b""
        while len(head := read(8)) == 8:
            version, kind, identity, length, padding = struct.unpack(">BBHHBx", head)
            content = read(length)
            read(padding)
            assert (version, identity) == (1, 1)
            match kind:
                case 1:
                    role, flags = struct.unpack(">HB5x", content)
                    assert role == 1
                    request.keep = bool(flags & 1)
                case 4:
                    params += content
                case 5 if content:
                    request.body += content
                    request.pieces.append(length)
                case 5:
                    request.params = _pairs(params)
                    return request
                case _:
                    raise AssertionError(f"a record of type {kind}")
        return None


def _pairs(data: bytes) -> dict[str, str]:
    found: dict[str, str] = {}
    at = 0
    while at < len(data):
        sizes = []
        for _ in range(2):
            if data[at] < 128:
                sizes.append(data[at])
                at += 1
            else:
                sizes.append(struct.unpack_from(">I", data, at)[0] & 0x7FFFFFFF)
                at += 4
        name = data[at : at + sizes[0]].decode("latin-1")
        at += sizes[0]
        found[name] = data[at : at + sizes[1]].decode("latin-1")
        at += sizes[1]
    return found

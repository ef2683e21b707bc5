"""A backend whose answers are told by each request's query: what a cache is tried with."""

import threading
from collections.abc import Callable
from urllib.parse import parse_qsl

from harness.backends.echo import Echoed, HttpEcho


class FickleBackend(HttpEcho):
    """Answers `answer N` (N counts from 1), with what the query says: `status`, `size` (bytes of the body), `chunked`,
    any other name is a header (`cache-control=max-age=1`). `down` and `say` change it while it runs: with `down` it
    answers with that status alone, 0 closes the connection. `gate` holds answers back until it is set.
    """

    def __init__(self) -> None:
        self.down: int | None = None
        self.say: Callable[[Echoed], bytes | None] = lambda request: None
        self.gate = threading.Event()
        self.gate.set()
        super().__init__("fickle", self._answer)

    @property
    def count(self) -> int:
        return len(self.requests)

    def _answer(self, request: Echoed) -> bytes:
        number = self.count
        assert self.gate.wait(30)
        if self.down is not None:
            if self.down == 0:
                raise OSError("down")
            return b"HTTP/1.1 %d Down\r\nContent-Length: 4\r\n\r\ndown" % self.down
        said = self.say(request)
        if said is not None:
            return said
        query = dict(parse_qsl(request.target.partition("?")[2]))
        status = query.pop("status", "200")
        body = f"answer {number}".encode()
        size = int(query.pop("size", "0"))
        if size:
            body = (body + b" ") * (size // (len(body) + 1) + 1)
            body = body[:size]
        chunked = query.pop("chunked", None)
        lines = [f"HTTP/1.1 {status} Said", *(f"{name}: {value}" for name, value in query.items())]
        if chunked:
            coded = b"%x\r\n%b\r\n0\r\n\r\n" % (len(body), body)
            lines.append("Transfer-Encoding: chunked")
        else:
            coded = body
            lines.append(f"Content-Length: {len(body)}")
        if request.line.startswith("HEAD "):
            coded = b""
        return "\r\n".join((*lines, "\r\n")).encode() + coded

"""A client of event streams that looks at every byte."""

import http.client
import re
import ssl
from types import TracebackType
from typing import Self

from harness.waiting import eventually


class EventClient:
    """A GET of an event stream over HTTP/1.1. `data` is what came of the body so far, `whole` whether it has ended
    properly (None while it has not)."""

    def __init__(
        self, port: int, target: str, *headers: tuple[str, str], tls: ssl.SSLContext | None = None, timeout: float = 20
    ) -> None:
        self._connection = (
            http.client.HTTPConnection("127.0.0.1", port, timeout=timeout)
            if tls is None
            else http.client.HTTPSConnection("localhost", port, timeout=timeout, context=tls)
        )
        self._connection.request("GET", target, headers={"Accept": "text/event-stream", **dict(headers)})
        self.response = self._connection.getresponse()
        self.data = b""
        self.whole: bool | None = None

    def read(self) -> bool:
        """Read what comes next; whether there was something."""
        try:
            piece = self.response.read1(65536)
        except (http.client.IncompleteRead, ConnectionError):
            self.whole = False
            return False
        self.data += piece
        if not piece:
            self.whole = True
        return bool(piece)

    def until(self, mark: bytes) -> bytes:
        """Everything up to the end of `mark`; AssertionError where the stream ends before."""
        while mark not in self.data:
            assert self.read(), f"ended before {mark!r}: {self.data!r}"
        return self.data[: self.data.index(mark) + len(mark)]

    def rest(self) -> bytes:
        """Everything up to the end."""
        while self.read():
            pass
        return self.data

    @property
    def ids(self) -> list[int]:
        """The numbers of the events that a browser would have dispatched."""
        return [int(found) for found in re.findall(rb"(?m)^id: (\d+)\ndata: event \1\n\n", self.data)]

    @property
    def retry(self) -> int | None:
        """What `retry` said last, in milliseconds."""
        found = re.findall(rb"(?m)^retry: (\d+)\n", self.data)
        return int(found[-1]) if found else None

    def close(self) -> None:
        self.response.close()
        self._connection.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def joined(count: int, clients: list[EventClient]) -> None:
    """Wait until every client has had the event of that number."""
    mark = b"data: event %d\n\n" % count
    for client in clients:
        eventually(lambda client=client: mark in client.data or not client.read() or mark in client.data)  # type: ignore[misc]

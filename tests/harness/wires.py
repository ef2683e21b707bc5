"""One way to ask, whatever carries it: HTTP/1.1 plain and inside of TLS, HTTP/2 with prior knowledge and by ALPN."""

import os
import ssl
from contextlib import suppress
from dataclasses import dataclass

from harness.counting import Counted
from harness.http2 import Http2Client
from harness.kinds import Kind
from harness.proxy import Proxy
from harness.raw import RawClient

WIRES = ("http1", "tls", "h2", "h2-tls")
# One of each protocol, one of them inside of TLS, for `make test`; all four for `make soak`, as they take minutes.
TRIED = WIRES if os.environ.get("PENSTOCK_SOAK") else ("http1", "h2-tls")


@dataclass(frozen=True, slots=True)
class Wire:
    """`name` is one of `WIRES`."""

    name: str
    front: Counted | Proxy
    trusting: ssl.SSLContext

    @property
    def http2(self) -> bool:
        return self.name.startswith("h2")

    @property
    def _port(self) -> int:
        return self.front.port("tls" if "tls" in self.name else "http")

    @property
    def _tls(self) -> ssl.SSLContext | None:
        return self.trusting if "tls" in self.name else None

    def client1(self) -> RawClient:
        """A client of HTTP/1.1."""
        return RawClient(self._port, tls=self._tls)

    def client2(self, *, greedy: bool = True) -> Http2Client:
        """A client of HTTP/2."""
        return Http2Client(self._port, tls=self._tls, greedy=greedy)

    def ask(self, kind: Kind, times: int = 1) -> int:
        """Ask so often, over one connection where it stays; the last status, 0 for an answer that broke off."""
        return self._ask2(kind, times) if self.http2 else self._ask1(kind, times)

    def _ask1(self, kind: Kind, times: int) -> int:
        status = 0
        client = self.client1()
        for _ in range(times):
            if client.eof:
                client.close()
                client = self.client1()
            with suppress(BrokenPipeError, ConnectionResetError):
                client.send(request_bytes(kind))
            try:
                got = client.response(kind.method)
                while got.status < 200:
                    got = client.response(kind.method)
                length = got.header("content-length")
                cut = kind.method != "HEAD" and length is not None and got.status != 304 and len(got.body) < int(length)
                status = 0 if cut else got.status
                if (got.header("connection") or "").lower() == "close":
                    client.eof = True
            except (ConnectionError, ValueError):
                status = 0
                client.eof = True
        client.close()
        return status

    def _ask2(self, kind: Kind, times: int) -> int:
        status = 0
        with self.client2() as client:
            for _ in range(times):
                if client.goaway is not None or client.eof:
                    break  # it is being replaced
                stream = client.open(kind.path, *fields(kind), method=kind.method, ended=not kind.body)
                if kind.body:
                    with suppress(Exception):  # the stream may have been answered, and reset, before all is sent
                        client.send(stream, kind.body, ended=True)
                answered = client.read(stream)
                status = answered.status if answered.ended else 0
        return status


def fields(kind: Kind) -> list[tuple[str, str]]:
    """The fields of a request, without what the wire adds."""
    made = list(kind.headers)
    if kind.body and not kind.chunked:
        made.append(("content-length", str(len(kind.body))))
    return made


def request_head(kind: Kind) -> bytes:
    """The head of a request of HTTP/1.1."""
    lines = [f"{kind.method} {kind.path} HTTP/1.1", "host: localhost", *(f"{a}: {b}" for a, b in fields(kind))]
    if kind.chunked:
        lines.append("transfer-encoding: chunked")
    return ("\r\n".join(lines) + "\r\n\r\n").encode("latin-1")


def request_bytes(kind: Kind) -> bytes:
    """All of a request of HTTP/1.1."""
    body = kind.body
    if kind.chunked:
        body = b"".join(
            b"%x\r\n%b\r\n" % (len(piece), piece)
            for at in range(0, len(body), 7000)
            if (piece := body[at : at + 7000])
        ) + b"0\r\n\r\n"
    return request_head(kind) + body

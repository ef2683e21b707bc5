"""What checks ask, written as the location would write what a client asks for that sends nothing but a path."""

from __future__ import annotations

from penstock.http.h2.fields import field
from penstock.http.head import RequestHead
from penstock.http.request import Request
from penstock.modules.gateways.grpc import Grpc
from penstock.modules.proxy.head import SetHeader
from penstock.modules.proxy.http2 import ALPN, NEVER
from penstock.modules.proxy.proxy import Proxy
from penstock.plan.location import Server
from penstock.upstream.checks.check import Fields
from penstock.upstream.checks.expected import evaluated
from penstock.upstream.checks.grpc import CONTENT_TYPE, PATH
from penstock.upstream.checks.nobody import CheckClient
from penstock.upstream.exchange.outgoing import Secure

_NEVER = frozenset({"connection", "upgrade", "content-length", "transfer-encoding", "expect", "te"})
"""What a check says by itself, or has nothing to say of."""


class HttpRequests:
    """Writes requests of checks, as the location would write those of a client that sends nothing but a path."""

    __slots__ = ("_proxy", "_server", "_uri")

    def __init__(self, proxy: Proxy, server: Server, uri: str) -> None:
        self._proxy = proxy
        self._server = server
        self._uri = uri

    def __call__(self, fields: Fields) -> tuple[bytes, Request, Secure | None]:
        proxy = self._proxy
        there = proxy.targets.fixed
        assert there is not None
        head = RequestHead(f"GET {self._uri} HTTP/1.1", "GET", self._uri, 11, [], {})
        head.host = there.host_header
        request = Request(CheckClient(), head, self._server)  # type: ignore[arg-type]
        request.host = head.host
        request.uri, _, request.args = self._uri.partition("?")
        own = {name.lower() for name, _ in fields}
        wanted = [("Host", there.host_header)]
        wanted += [
            (each.name, _value(each, request)) for each in proxy.set_headers if each.name.lower() not in own | _NEVER
        ]
        kept: dict[str, tuple[str, str]] = {}
        for name, value in wanted:
            if value or name.lower() != "host":
                kept[name.lower()] = (name, value)
        lines = [f"GET {self._uri} HTTP/1.1"]
        lines += [f"{name}: {value}" for name, value in (*kept.values(), *fields) if value]
        secure = proxy.secure_for(request, there.target) if there.secure else None
        return ("\r\n".join(lines) + "\r\n\r\n").encode("latin-1"), request, secure


class GrpcRequests:
    """The same for servers of gRPC, over HTTP/2."""

    __slots__ = ("_grpc", "_server")

    def __init__(self, grpc: Grpc, server: Server) -> None:
        self._grpc = grpc
        self._server = server

    def __call__(self, fields: Fields) -> tuple[bytes, Request, Secure | None]:
        grpc = self._grpc
        there = grpc.targets.fixed
        assert there is not None
        head = RequestHead(f"POST {PATH} HTTP/2.0", "POST", PATH, 20, [], {})
        head.host = there.host_header
        request = Request(CheckClient(), head, self._server)  # type: ignore[arg-type]
        request.host = head.host
        request.uri = PATH
        kept = {":authority": there.host_header, "content-type": CONTENT_TYPE, "te": "trailers"}
        for each in grpc.set_headers:
            name = each.name.lower()
            value = _value(each, request)
            if name == "host":
                kept[":authority"] = value or there.host_header
            elif name not in NEVER:
                kept[name] = value
        pseudo = ((":method", "POST"), (":scheme", "https" if there.secure else "http"), (":path", PATH))
        wanted = (*pseudo, *kept.items(), *fields)
        block = b"".join([field(name, value) for name, value in wanted if value])
        secure = grpc.secure_for(request, there.target, ALPN) if there.secure else None
        return block, request, secure


def _value(header: SetHeader, request: Request) -> str:
    return "" if header.empty else evaluated(header.value, request)

"""A collector of spans: it takes OTLP over HTTP, and reads it with the library of the makers."""

from __future__ import annotations

import ssl
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (
    ExportTraceServiceRequest,
    ExportTraceServiceResponse,
)
from opentelemetry.proto.trace.v1.trace_pb2 import Span

from harness.waiting import eventually


class OtlpCollector:
    """`answer()` gives the status of the next answer; `batches` are what came, `paths` and `headers` of whom."""

    def __init__(self, tls: ssl.SSLContext | None = None) -> None:
        self.batches: list[ExportTraceServiceRequest] = []
        self.headers: list[dict[str, str]] = []
        self.paths: list[str] = []
        self.connections: set[Any] = set()
        self.answer: Callable[[], int] = lambda: 200
        collector = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                status = collector.answer()
                collector.paths.append(self.path)
                collector.headers.append({name.lower(): value for name, value in self.headers.items()})
                collector.connections.add(self.client_address)
                if status == 200:
                    collector.batches.append(ExportTraceServiceRequest.FromString(body))
                said = ExportTraceServiceResponse().SerializeToString()
                self.send_response(status)
                self.send_header("Content-Length", str(len(said)))
                self.end_headers()
                self.wfile.write(said)

            def log_message(self, *words: object) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        if tls is not None:
            self._server.socket = tls.wrap_socket(self._server.socket, server_side=True)
        self.port = self._server.server_address[1]
        Thread(target=self._server.serve_forever, daemon=True).start()

    @property
    def spans(self) -> list[Span]:
        """All spans that have come, in their order."""
        scopes = [scope for batch in self.batches for each in batch.resource_spans for scope in each.scope_spans]
        return [span for scope in scopes for span in scope.spans]

    def wait(self, count: int) -> list[Span]:
        """Wait for so many spans."""
        eventually(lambda: len(self.spans) >= count)
        return self.spans

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()


def attributes(span: Any) -> dict[str, Any]:
    """The attributes of a span or of a resource."""
    found: dict[str, Any] = {}
    for each in span.attributes:
        kind = each.value.WhichOneof("value")
        value = getattr(each.value, kind)
        found[each.key] = [one.string_value for one in value.values] if kind == "array_value" else value
    return found

"""What pebble lacks of RFC 9773: a directory that names `renewalInfo`, and who answers there."""

import json
import ssl
import threading
import urllib.request
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Self

from harness.pebble import Pebble


class RenewalInfo:
    """Stands beside a pebble, with the same authority for its own certificate. `uri` is pebble's directory with
    `renewalInfo`; `windows` has what is answered for a certificate, by its place in the order of the first questions:
    the last one for all that follow. `asked` has the certificates that were asked for."""

    def __init__(self, pebble: Pebble, windows: list[tuple[str, str]]) -> None:
        self.asked: list[str] = []
        own = pebble.authority.issue("localhost", "127.0.0.1")
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(own.certificate, own.key)
        trusted = ssl.create_default_context(cafile=str(pebble.authority.certificate))
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                if self.path == "/dir":
                    with urllib.request.urlopen(pebble.uri, timeout=20, context=trusted) as answer:
                        directory = json.load(answer)
                    said = {**directory, "renewalInfo": f"{outer.base}/renewal-info"}
                else:
                    name = self.path.removeprefix("/renewal-info/")
                    outer.asked.append(name)
                    number = list(dict.fromkeys(outer.asked)).index(name)
                    start, end = windows[min(number, len(windows) - 1)]
                    said = {"suggestedWindow": {"start": start, "end": end}}
                body = json.dumps(said).encode()
                self.send_response(200)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(body)))
                self.send_header("Retry-After", "21600")
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, format: str, *arguments: object) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.socket = context.wrap_socket(self._server.socket, server_side=True)
        self.base = f"https://127.0.0.1:{self._server.server_address[1]}"
        self.uri = f"{self.base}/dir"
        self._thread = threading.Thread(target=self._server.serve_forever, daemon=True)
        self._thread.start()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join(20)

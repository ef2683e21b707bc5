"""Where lists of servers come from, as their documentation describes them: Consul's health endpoint with blocking
queries, Docker's list and events over a unix socket. The shapes are those of the documents, not of the programs."""

from __future__ import annotations

import json
import socketserver
import threading
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any, Self
from urllib.parse import parse_qs, urlsplit


class _Source:
    """A server whose list changes with `tell`. `asked` are the targets and headers of requests."""

    def __init__(self) -> None:
        self.asked: list[tuple[str, dict[str, str]]] = []
        self.index = 10
        self.list: list[Any] = []
        self.changed = threading.Condition()
        self.broken = False
        source = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def address_string(self) -> str:
                return "client"

            def log_message(self, format: str, *args: object) -> None:
                """Nobody reads it."""

            def do_GET(self) -> None:
                parts = urlsplit(self.path)
                headers = {name.lower(): value for name, value in self.headers.items()}
                source.asked.append((self.path, headers))
                if source.broken:
                    self.send_error(500)
                    return
                source.answer(self, parts.path, {name: values[-1] for name, values in parse_qs(parts.query).items()})

        self._handler = Handler
        self._server: socketserver.BaseServer | None = None

    def answer(self, handler: BaseHTTPRequestHandler, path: str, query: dict[str, str]) -> None:
        raise NotImplementedError

    def say(self, handler: BaseHTTPRequestHandler, value: object, **headers: object) -> None:
        """Answer with JSON."""
        body = json.dumps(value).encode()
        handler.send_response(200)
        handler.send_header("Content-Type", "application/json")
        handler.send_header("Content-Length", str(len(body)))
        for name, given in headers.items():
            handler.send_header(name.replace("_", "-"), str(given))
        handler.end_headers()
        handler.wfile.write(body)

    def tell(self, found: list[Any]) -> None:
        """Have another list from now on."""
        with self.changed:
            self.list = found
            self.index += 1
            self.changed.notify_all()

    def serve(self, server: socketserver.BaseServer) -> None:
        self._server = server
        threading.Thread(target=server.serve_forever, daemon=True).start()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *why: object) -> None:
        assert self._server is not None
        with self.changed:
            self.broken = True
            self.changed.notify_all()
        self._server.shutdown()
        self._server.server_close()


class _Threads(socketserver.ThreadingMixIn, socketserver.TCPServer):
    daemon_threads = True
    allow_reuse_address = True


class _UnixThreads(socketserver.ThreadingMixIn, socketserver.UnixStreamServer):
    daemon_threads = True


class Consul(_Source):
    """`list` are entries of `/v1/health/service/...`: see `instance`."""

    def __init__(self) -> None:
        super().__init__()
        server = _Threads(("127.0.0.1", 0), self._handler)
        self.port: int = server.server_address[1]
        self.serve(server)

    def answer(self, handler: BaseHTTPRequestHandler, path: str, query: dict[str, str]) -> None:
        index = int(query.get("index", "0"))
        with self.changed:
            if index >= self.index:
                self.changed.wait_for(lambda: self.index > index or self.broken, 30)
            found, at = self.list, self.index
        self.say(handler, found, X_Consul_Index=at)


def instance(port: int, status: str = "passing", address: str = "127.0.0.1", **weights: int) -> dict[str, Any]:
    """An instance of a service, as Consul describes it."""
    return {
        "Node": {"ID": "40e4a748", "Node": "foobar", "Address": address, "Datacenter": "dc1"},
        "Service": {
            "ID": f"chat-{port}",
            "Service": "chat",
            "Tags": ["blue"],
            "Address": "",
            "Port": port,
            "Weights": {"Passing": 1, "Warning": 1, **weights},
        },
        "Checks": [{"CheckID": "service:chat", "Status": status}],
    }


class Docker(_Source):
    """`list` are containers of `/containers/json`; `/events` goes on until the end."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.environments: dict[str, list[str]] = {}
        self.serve(_UnixThreads(str(path), self._handler))

    def answer(self, handler: BaseHTTPRequestHandler, path: str, query: dict[str, str]) -> None:
        if path == "/events":
            self._go_on(handler)
        elif path == "/containers/json":
            self.say(handler, self.list)
        else:
            self.say(handler, {"Config": {"Env": self.environments.get(path.split("/")[2], [])}})

    def _go_on(self, handler: BaseHTTPRequestHandler) -> None:
        handler.send_response(200)
        handler.send_header("Transfer-Encoding", "chunked")
        handler.end_headers()
        handler.wfile.flush()
        known = self.index
        while not self.broken:
            with self.changed:
                self.changed.wait_for(lambda known=known: self.index > known or self.broken, 30)  # type: ignore[misc]
                known = self.index
            event = json.dumps({"Type": "container", "Action": "start", "Actor": {"ID": "abc"}}).encode() + b"\n"
            handler.wfile.write(b"%x\r\n%s\r\n" % (len(event), event))
            handler.wfile.flush()


def container(port: int, identity: str = "8dfafdbc3a40", status: str = "Up 5 minutes", **more: Any) -> dict[str, Any]:
    """A container, as Docker's list describes it."""
    return {
        "Id": identity,
        "Names": ["/boring_feynman"],
        "Labels": {"penstock.upstream": "chat"},
        "State": "running",
        "Status": status,
        "Ports": [{"PrivatePort": port, "Type": "tcp"}],
        "NetworkSettings": {"Networks": {"bridge": {"IPAddress": "127.0.0.1", "GlobalIPv6Address": ""}}},
        **more,
    }

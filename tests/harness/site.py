"""A configuration without a process: compiled in memory, asked without a socket.

    site = Site('server { location / { return 200 "$uri"; } }', tmp_path)
    answer = site.ask("/a%20b")
    assert (answer.status, answer.text) == (200, "/a b")

The text is the inside of `http`. Only what answers without waiting can be asked: no backends.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from penstock.config.errors import ConfigFailed
from penstock.http.head import HeadOptions, parse_request
from penstock.http.request import Answer, FilePart, Request
from penstock.http.uri import normalize, split_target
from penstock.modules.core.http_core import HttpCore
from penstock.modules.load import load
from penstock.plan.plan import Plan
from penstock.server.engine import answer_to


def compiled(text: str, folder: Path) -> Plan:
    """The plan for a whole configuration; raises `ConfigFailed`."""
    path = folder / "penstock.conf"
    path.write_text(text, "latin-1")
    return load(str(path), prefix=f"{folder}/")


def mistakes(text: str, folder: Path) -> list[str]:
    """What is wrong with the inside of `http`: the messages, warnings too."""
    try:
        plan = compiled(f"events {{ }} http {{ {text} }}", folder)
    except ConfigFailed as failed:
        return [problem.message for problem in failed.problems]
    return [problem.message for problem in plan.problems]


def pages_of(tables: str, folder: Path, **texts: str) -> Site:
    """A site with these tables (`map`, `geo` and the like), in which `/name` answers with the text given for `name`."""
    locations = " ".join(f'location /{name} {{ return 200 "{text}"; }}' for name, text in texts.items())
    return Site(f"{tables} server {{ listen 80; {locations} }}", folder)


class Lines:
    """An error log that keeps its lines."""

    level = 8

    def __init__(self) -> None:
        self.kept: list[tuple[int, str]] = []

    def write(self, level: int, text: str, number: int = 0) -> None:
        self.kept.append((level, text.partition(", client: ")[0]))


class Client:
    """What modules read of a connection."""

    number = 1
    requests = 1
    last = False
    scheme = "http"
    tls = None
    stream = None
    proxy_protocol: Any = None
    peer: Any = None
    started = 0.0
    service = SimpleNamespace(draining=False, timers=SimpleNamespace(now=0.0))
    client_port = 40000
    local_address = "127.0.0.1"
    local_port = 8080

    def __init__(self, listen: Any, address: str) -> None:
        self.listen = listen
        self.server = listen.default
        self.client_address = address


class Reply:
    """An answer, with what a test wants to know of it."""

    def __init__(self, request: Request, answer: Answer) -> None:
        self.request = request
        self.answer = answer
        self.status = answer.status
        self.location = answer.location
        self.type = answer.content_type

    @property
    def text(self) -> str:
        """The body: of a file or of a text. Errors have none before the wire makes their page."""
        body = self.answer.body
        if isinstance(body, FilePart):
            return Path(f"/proc/self/fd/{body.file.fd}").read_bytes().decode("latin-1")
        assert isinstance(body, bytes)
        return body.decode("latin-1")

    def __repr__(self) -> str:
        return f"<{self.status} {self.location or self.text!r}>"


class Site:
    """The inside of `http`, ready to be asked; `log` keeps what the error log would say."""

    def __init__(self, text: str, folder: Path) -> None:
        self.plan = compiled(f"events {{ }} http {{ access_log off; root {folder}; {text} }}", folder)
        self.log = Lines()
        self.listen = self.plan.listens[0]

    def request(
        self,
        target: str,
        *,
        method: str = "GET",
        headers: Iterable[str] = (),
        host: str = "localhost",
        address: str = "127.0.0.1",
    ) -> Request:
        """A request as the server makes it from a head."""
        lines = [f"{method} {target} HTTP/1.1", f"Host: {host}", *headers, "", ""]
        options = self.plan.servers[0].root[HttpCore]
        head = parse_request(
            "\r\n".join(lines).encode("latin-1"),
            HeadOptions(underscores_in_headers=options.underscores_in_headers),
        )
        server, _ = self.listen.names.find(head.host)
        client: Any = Client(self.listen, address)
        request = Request(client, head, server)
        request.host = head.host
        path, request.args = split_target(head.target)
        request.uri = normalize(path)
        return request

    def ask(self, target: str, **options: Any) -> Reply:
        """The answer, after the filters and before the wire."""
        request = self.request(target, **options)
        for server in self.plan.servers:
            listen_to(server.root, self.log)
        coroutine = answer_to(request)
        try:
            coroutine.send(None)
        except StopIteration as done:
            return Reply(request, done.value)
        coroutine.close()
        raise AssertionError("the answer needs to wait for something")

    def said(self) -> list[str]:
        """What has been logged since the last call."""
        lines = [text for _, text in self.log.kept]
        self.log.kept.clear()
        return lines


def listen_to(root: Any, log: Any) -> None:
    from penstock.modules.core.locations import all_locations

    for location in all_locations([root]):
        location.error_log = log

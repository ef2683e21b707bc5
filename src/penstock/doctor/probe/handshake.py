"""The opening handshake of a probe: what is asked, what is answered, and whether that is a WebSocket."""

from __future__ import annotations

import os
from base64 import b64encode
from dataclasses import dataclass
from time import monotonic

from penstock.doctor.probe.steps import safe, time_shown
from penstock.http.chunked import ChunkedDecoder
from penstock.http.errors import BadMessage
from penstock.http.response import ResponseHead, head_end, parse_response
from penstock.net.blocking import BlockingConnection
from penstock.net.errors import NetError, TimedOut
from penstock.websocket.client import Ask
from penstock.websocket.handshake import check_response

LARGEST_HEAD = 65536
LARGEST_BODY = 8192
"""Bytes of a body that are looked at."""

_BODY_SECONDS = 3.0


@dataclass(frozen=True, slots=True)
class ProbeAnswer:
    """What came back. Without a `head`, `trouble` says why. `problems` are what keeps a 101 from being one; `rest` are
    the bytes behind the head of a 101, `body` the beginning of the body of anything else."""

    ask: Ask
    head: ResponseHead | None
    seconds: float
    trouble: str = ""
    advice: tuple[str, ...] = ()
    problems: tuple[str, ...] = ()
    rest: bytes = b""
    body: bytes = b""

    def sent(self) -> tuple[str, ...]:
        """Return the lines of the request, without secrets: people show them to others."""
        lines = [f"{self.ask.method} {safe(self.ask.target, 500)} {self._spoken}"]
        for name, value in self.ask.headers:
            hidden = name.lower() in ("authorization", "cookie", "proxy-authorization")
            lines.append(f"{name}: {'(not shown)' if hidden else safe(value)}")
        return tuple(lines)

    @property
    def opened(self) -> bool:
        """Return whether this is a WebSocket now."""
        return self.head is not None and self.switched and not self.problems

    @property
    def switched(self) -> bool:
        """Return whether the status is that of a WebSocket that opens: over HTTP/2 it is another one."""
        return self.head is not None and self.head.status == (200 if self.ask.version == 20 else 101)

    @property
    def _spoken(self) -> str:
        return "HTTP/2 (:protocol websocket)" if self.ask.version == 20 else "HTTP/1.1"

    def received(self) -> tuple[str, ...]:
        """Return the lines of the head, and the beginning of the body."""
        if self.head is None:
            return ()
        version = "2" if self.ask.version == 20 else f"1.{self.head.version - 10}"
        lines = [f"HTTP/{version} {safe(self.head.status_line)}".rstrip()]
        lines += [f"{safe(name, 60)}: {safe(value)}" for name, value in self.head.headers[:60]]
        if self.body:
            lines += ["", *(safe(line) for line in self.body.decode("latin-1").splitlines()[:8])]
        return tuple(lines)


def new_key() -> str:
    """Make a Sec-WebSocket-Key."""
    return b64encode(os.urandom(16)).decode("ascii")


def shake_hands(line: BlockingConnection, ask: Ask, timeout: float) -> ProbeAnswer:
    """Send the request and read what comes back. Raises nothing: trouble is an answer, too."""
    started = monotonic()
    data = b""
    try:
        line.send(bytes(ask), timeout)
        deadline = started + timeout
        end = -1
        while end < 0:
            if len(data) > LARGEST_HEAD:
                return _not_http(ask, data, monotonic() - started, "a head of more than 64 KiB")
            part = line.recv(deadline - monotonic())
            if not part:
                return _ended(ask, data, monotonic() - started, line.error)
            data += part
            if not _may_be_http(data):
                return _not_http(ask, data, monotonic() - started)
            end = head_end(data)
    except TimedOut:
        return _silent(ask, data, monotonic() - started)
    except NetError as error:
        return ProbeAnswer(ask, None, monotonic() - started, f"the connection broke: {error}")
    seconds = monotonic() - started
    try:
        head = parse_response(data[:end])
    except BadMessage as error:
        return ProbeAnswer(ask, None, seconds, f"the answer is not HTTP as it should be: {safe(error.reason)}")
    rest = data[end:]
    if head.status == 101:
        return ProbeAnswer(ask, head, seconds, problems=tuple(check_response(head, ask)), rest=rest)
    return ProbeAnswer(ask, head, seconds, body=_body(line, head, rest))


def _may_be_http(data: bytes) -> bool:
    return data[:5] == b"HTTP/"[: len(data)]


def _body(line: BlockingConnection, head: ResponseHead, data: bytes) -> bytes:
    """The beginning of a body: what comes within a moment, whole or not."""
    deadline = monotonic() + _BODY_SECONDS
    wanted = LARGEST_BODY if head.content_length is None else min(head.content_length, LARGEST_BODY)
    if head.status in (204, 304) or head.status < 200:
        return b""
    try:
        while len(data) < wanted and not (head.chunked and data.endswith(b"0\r\n\r\n")):
            part = line.recv(deadline - monotonic())
            if not part:
                break
            data += part
    except NetError:
        pass
    if head.chunked:
        try:
            data = b"".join(ChunkedDecoder().feed(data))
        except BadMessage:
            pass
    return data[:wanted]


def _ended(ask: Ask, data: bytes, seconds: float, error: str) -> ProbeAnswer:
    how = f" ({safe(error)})" if error else ""
    if data:
        return ProbeAnswer(ask, None, seconds, f"the connection ended inside the answer's head{how}: {_start(data)}")
    if "CERTIFICATE_REQUIRED" in error:
        return ProbeAnswer(
            ask,
            None,
            seconds,
            "the server wants a certificate of the client (ssl_verify_client on)",
            ("send one: --cert FILE --key FILE",),
        )
    advice = (
        "a server that does not like a request says so; nothing at all is how a TLS port without a certificate, "
        "nginx's 444, a firewall that looks into requests, or a program that crashes on them ends a connection",
    )
    return ProbeAnswer(ask, None, seconds, f"the connection was closed without any answer{how}", advice)


def _silent(ask: Ask, data: bytes, seconds: float) -> ProbeAnswer:
    if data:
        return ProbeAnswer(ask, None, seconds, f"the answer began and did not go on: {_start(data)}")
    advice = (
        "the connection is accepted, and nobody answers: a program that hangs (its queue still accepts), or that does "
        "not speak HTTP, or a proxy that waits for a backend that hangs; look at what the process does",
    )
    return ProbeAnswer(ask, None, seconds, f"accepted, then silence for {time_shown(seconds)}", advice)


def _not_http(ask: Ask, data: bytes, seconds: float, what: str = "") -> ProbeAnswer:
    if data[:2] == b"\x15\x03":
        return ProbeAnswer(
            ask, None, seconds, "a TLS alert came back: TLS is spoken at this port", ("try wss:// there",)
        )
    if what:
        return ProbeAnswer(ask, None, seconds, f"the answer is not usable: {what}")
    advice = ["this is not a web server: look at the port number"]
    if b"\0\0" in data[:9] and data[3:4] == b"\x04":
        advice = ["this speaks HTTP/2 only; a WebSocket needs HTTP/1.1 here: let the server speak both"]
    return ProbeAnswer(ask, None, seconds, f"the answer is not HTTP: {_start(data)}", tuple(advice))


def _start(data: bytes) -> str:
    return f'"{safe(data[:60].decode("latin-1"), 60)}"'

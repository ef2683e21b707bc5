"""What every application is asked: its WebSocket, taken and refused, and what else goes wrong before one."""

from __future__ import annotations

from collections.abc import Iterator

UPGRADE = (
    "Upgrade: websocket\r\nConnection: keep-alive, Upgrade\r\nSec-WebSocket-Version: 13\r\n"
    "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nOrigin: http://localhost\r\n"
)
SWITCHED = (
    b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    b"Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n"
)
REFUSED = b"HTTP/1.1 403 Forbidden\r\nContent-Type: text/plain\r\nContent-Length: 3\r\n\r\nno\n"
MOVED = b"HTTP/1.1 302 Found\r\nLocation: http://localhost/login?next=/\r\nContent-Length: 0\r\n\r\n"


def probes_of(host: str, target: str, others: list[str]) -> Iterator[tuple[str, bytes, bytes | None]]:
    """Name, what the client sends, and what the backend answers (None: a plain 200)."""
    path, mark, query = target.partition("?")
    slashed = (path.rstrip("/") if path.endswith("/") else f"{path}/") + mark + query
    encoded = "/" + "".join(f"%{ord(char):02x}" if char.isalpha() else char for char in path[1:]) + mark + query
    yield "taken", _head("GET", target, host, UPGRADE), SWITCHED
    yield "refused", _head("GET", target, host, UPGRADE), REFUSED
    yield "elsewhere", _head("GET", target, host, UPGRADE), MOVED
    yield "other-slash", _head("GET", slashed, host, UPGRADE), SWITCHED
    yield "encoded", _head("GET", encoded, host, UPGRADE), SWITCHED
    yield "unknown-host", _head("GET", target, "unknown.test", UPGRADE), SWITCHED
    yield "no-host", _head("GET", target, None, UPGRADE), None
    yield "no-upgrade", _head("GET", target, host), None
    yield "h2c", _head("GET", target, host, "Upgrade: h2c\r\nConnection: Upgrade, HTTP2-Settings\r\n"), None
    yield "version-1.0", _head("GET", target, host, "Connection: close\r\n").replace(b"HTTP/1.1", b"HTTP/1.0"), None
    yield "post", _head("POST", target, host, "Content-Length: 10\r\n") + b"0123456789", None
    yield "chunks", _head("POST", target, host, "Transfer-Encoding: chunked\r\n") + b"3\r\nabc\r\n0\r\n\r\n", None
    for method in ("HEAD", "OPTIONS", "PUT", "DELETE", "PATCH", "PROPFIND", "NOSUCH", "get"):
        yield method if method != "get" else "lower-case", _head(method, target, host), None
    for number, other in enumerate(others, 1):
        yield f"get-{number}", _head("GET", other, host), None
        yield f"handshake-{number}", _head("GET", other, host, UPGRADE), REFUSED


def _head(method: str, target: str, host: str | None, more: str = "") -> bytes:
    named = "" if host is None else f"Host: {host}\r\n"
    return f"{method} {target} HTTP/1.1\r\n{named}{more}\r\n".encode("ascii")

"""What a refused handshake and the answer's text show for certain."""

from __future__ import annotations

import re
from collections.abc import Iterator

from penstock.doctor.refusals.terms import Cause, RefusedHandshake, Said

ORIGIN = "pass the client's Host (proxy_set_header Host $http_host), or allow the origin in the application"
ABOUT_WHO_ASKS = frozenset({302, 303, 307, 400, 401, 403, 407})
"""Statuses that say something about the client, and not about the path."""


def what_was_lost(sent: RefusedHandshake, got: Said, client: RefusedHandshake | None) -> Iterator[Cause]:
    fields = sent.fields
    if sent.version >= 20:
        return
    if sent.version < 11:
        yield Cause(
            "http-1.0",
            "the handshake was sent over HTTP/1.0, which knows no upgrade",
            "set proxy_http_version 1.1, or websocket auto",
            sure=True,
        )
    if "upgrade" not in fields:
        yield Cause(
            "upgrade-lost",
            "the handshake arrived without its Upgrade header",
            'set proxy_set_header Upgrade $http_upgrade and proxy_set_header Connection "upgrade", or websocket auto',
            sure=True,
        )
    elif "upgrade" not in fields.get("connection", "").lower():
        yield Cause(
            "connection-lost",
            "the handshake arrived without Connection: upgrade",
            'set proxy_set_header Connection "upgrade", or websocket auto',
            sure=True,
        )
    for name in ("sec-websocket-key", "sec-websocket-version"):
        if name not in fields and (client is None or name in client.fields):
            yield Cause(
                "header-missing",
                f"the handshake arrived without {spelled(name)}",
                "look for what takes it out on the way (proxy_pass_request_headers off, proxy_set_header with '')",
                sure=True,
            )
    if client is None or got.status not in ABOUT_WHO_ASKS:
        return
    for name in ("origin", "cookie", "authorization", "sec-websocket-protocol"):
        if name in client.fields and name not in fields:
            yield Cause(
                f"{name}-removed",
                f"the client sent {spelled(name)}, and it was taken out on the way",
                f"remove the proxy_set_header {spelled(name)} that takes it out",
                sure=True,
            )


_AFFINITY = "keep a client at one server: ip_hash, or hash $arg_sid consistent, in the upstream block"

_PHRASES: tuple[tuple[str, str, str, str], ...] = (
    (
        r"session id unknown",
        "affinity",
        "socket.io does not know the session: its first request went to another server",
        _AFFINITY,
    ),
    (
        r"no connection with that id",
        "affinity",
        "SignalR does not know the connection: its negotiation went to another server",
        _AFFINITY,
    ),
    (
        r"plain http request was sent to https port|http request to an https server",
        "scheme",
        "the backend's port speaks TLS, and was spoken to in plain HTTP",
        "write https:// in proxy_pass",
    ),
    (
        r"origin[^.]{0,40}not allowed|checkorigin|cross.origin websockets|invalid host/origin|origin check",
        "origin",
        "the backend refuses the Origin",
        ORIGIN,
    ),
    (
        r"disallowedhost|disallowed host|invalid host header|host is not allowed|blocked request|invalid http_host",
        "host",
        "the backend does not take this Host for its own",
        "set proxy_set_header Host to what it expects, or allow the name in the application (ALLOWED_HOSTS, "
        "allowedHosts)",
    ),
    (
        r"'?websocket'? token not found|can \"?upgrade|upgrade required|not a websocket|bad.{0,8}upgrade|"
        r"missing or invalid upgrade|invalid (?:upgrade|connection) header",
        "upgrade-lost",
        "the backend did not see a handshake: a proxy on the way took Upgrade or Connection out",
        'every proxy on the way needs proxy_set_header Upgrade $http_upgrade and Connection "upgrade"',
    ),
    (
        r"transport unknown|unsupported protocol version",
        "engine",
        "socket.io or engine.io of another version than the client's answers here",
        "use client and server of the same major version",
    ),
)
_COMPILED = tuple(
    (re.compile(pattern, re.ASCII | re.IGNORECASE), Cause(name, text, advice, sure=True))
    for pattern, name, text, advice in _PHRASES
)


def what_the_body_says(sent: RefusedHandshake, got: Said, client: RefusedHandshake | None) -> Iterator[Cause]:
    if not got.body:
        return
    for pattern, cause in _COMPILED:
        if pattern.search(got.body):
            yield cause


def spelled(name: str) -> str:
    """Return a header's name as it is usually written."""
    return "-".join(part.capitalize() for part in name.split("-")).replace("Websocket", "WebSocket")

"""Whether the head that a backend gets is that of a WebSocket handshake (RFC 6455, section 4.2.1)."""

from __future__ import annotations

import enum

from penstock.doctor.explanation import ExplainedBackend

WHOLE = ("the method is GET", "it is HTTP/1.1", "Upgrade is passed on", "Connection names it", "so is the key")
"""What is to be said of one to which nothing is missing."""


class Flaw(enum.Enum):
    """What can be missing, in words for a person."""

    METHOD = "the backend is asked by another method than GET"
    VERSION = "the backend is spoken to over HTTP/1.0"
    UPGRADE = "Upgrade is not passed on"
    CONNECTION = "Connection does not name Upgrade"
    KEY = "Sec-WebSocket-Key is not passed on"
    WS_VERSION = "Sec-WebSocket-Version is not passed on"
    BODY = "the handshake is sent with a body"
    DOWN = "every server of the upstream is marked down"
    HIDDEN_UPGRADE = "Upgrade of the answer is hidden from the client"
    HIDDEN_ACCEPT = "Sec-WebSocket-Accept of the answer is hidden from the client"


FIXED = ("socket.io", "engine.io")
"""Libraries that answer at this path and no other, unless told otherwise at both ends."""


def cut_off(path: str, uri: str) -> str:
    """Give the name of the library whose path a backend is not asked at; "" where all is well."""
    return next((name for name in FIXED if f"/{name}/" in path and name not in uri), "")


def flaws(backend: ExplainedBackend) -> list[Flaw]:
    """Return everything that is wrong with a handshake."""
    sent = {each.name.lower(): each.value for each in backend.headers}
    protocols = {word.strip().lower() for word in sent.get("upgrade", "").split(",")}
    connection = {word.strip().lower() for word in sent.get("connection", "").split(",")}
    checks = (
        (backend.line.startswith("GET "), Flaw.METHOD),
        (not backend.line.endswith("HTTP/1.0"), Flaw.VERSION),
        ("websocket" in protocols, Flaw.UPGRADE),
        ("upgrade" in connection, Flaw.CONNECTION),
        (bool(sent.get("sec-websocket-key")), Flaw.KEY),
        (bool(sent.get("sec-websocket-version")), Flaw.WS_VERSION),
        (sent.get("content-length", "0") == "0" and "transfer-encoding" not in sent, Flaw.BODY),
        (not backend.peers or not all("down" in each.split()[1:] for each in backend.peers), Flaw.DOWN),
        ("upgrade" not in backend.hidden, Flaw.HIDDEN_UPGRADE),
        ("sec-websocket-accept" not in backend.hidden, Flaw.HIDDEN_ACCEPT),
    )
    return [flaw for good, flaw in checks if not good]

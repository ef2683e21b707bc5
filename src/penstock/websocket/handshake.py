"""The opening handshake (RFC 6455 section 4): is it one, and what is wrong with it."""

from __future__ import annotations

import re
from base64 import b64encode
from hashlib import sha1
from typing import Protocol

_GUID = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
# Sec-WebSocket-Key (RFC 6455, section 4.1): 16 bytes in base64, so 22 characters and two "="; of the last character
# four bits are zero. token: RFC 9110, section 5.6.2.
_key = re.compile(r"[A-Za-z0-9+/]{21}[AQgw]==", re.ASCII)
_token = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+", re.ASCII)


class HandshakeHead(Protocol):
    """The parts of a request head that are looked at."""

    method: str
    version: int
    fields: dict[str, str]

    def joined(self, name: str) -> str | None:
        """Return all values of a header (its name in lower case) joined by ", "; None without one."""
        ...


class Response(Protocol):
    """The parts of a response head that are looked at."""

    status: int
    fields: dict[str, str]

    def joined(self, name: str) -> str | None:
        """Return all values of a header (its name in lower case) joined by ", "; None without one."""
        ...


def accept_key(key: str) -> str:
    """Return the Sec-WebSocket-Accept that answers a Sec-WebSocket-Key (RFC 6455 section 4.2.2)."""
    return b64encode(sha1(key.encode("latin-1") + _GUID, usedforsecurity=False).digest()).decode("ascii")


def is_key(text: str) -> bool:
    """Return whether this is a Sec-WebSocket-Key: 16 bytes in base64."""
    return _key.fullmatch(text) is not None


def is_handshake(head: HandshakeHead) -> bool:
    """Return whether a request asks to switch to WebSocket, well or badly."""
    if "upgrade" not in head.fields or head.method != "GET" or head.version != 11:
        return False
    return _lists(head.joined("upgrade"), "websocket") and _lists(head.joined("connection"), "upgrade")


def check_request(head: HandshakeHead) -> list[str]:
    """Say what keeps a request from being a handshake that servers must take (section 4.2.1).

    Empty if nothing does.
    """
    problems = []
    if head.method != "GET":
        problems.append(f"the method is {head.method}, not GET")
    if head.version != 11:
        problems.append("the version is not HTTP/1.1")
    if "host" not in head.fields:
        problems.append("there is no Host header")
    if not _lists(head.joined("upgrade"), "websocket"):
        problems.append('the Upgrade header does not name "websocket"')
    if not _lists(head.joined("connection"), "upgrade"):
        problems.append('the Connection header does not name "upgrade"')
    problems += _check_key(head.joined("sec-websocket-key"))
    version = head.joined("sec-websocket-version")
    if version is None:
        problems.append("there is no Sec-WebSocket-Version header")
    elif version != "13":
        problems.append(f"Sec-WebSocket-Version is {version[:40]!r}, not 13")
    protocols = head.joined("sec-websocket-protocol")
    if protocols is not None:
        problems += _check_protocols(protocols)
    return problems


def check_response(head: Response, request: HandshakeHead) -> list[str]:
    """Say what keeps a 101 from being an answer that clients must take (section 4.1); empty if nothing does."""
    problems = []
    if head.status != 101:
        return [f"the status is {head.status}, not 101"]
    if (head.joined("upgrade") or "").strip().lower() != "websocket":
        problems.append('the Upgrade header is not "websocket"')
    if not _lists(head.joined("connection"), "upgrade"):
        problems.append('the Connection header does not name "upgrade"')
    key = request.fields.get("sec-websocket-key")
    accept = head.joined("sec-websocket-accept")
    if accept is None:
        problems.append("there is no Sec-WebSocket-Accept header")
    elif key is not None and accept.strip() != accept_key(key):
        problems.append("Sec-WebSocket-Accept does not answer the key")
    return problems + check_agreed(head, request)


def check_agreed(head: Response, request: HandshakeHead) -> list[str]:
    """Say what was chosen without having been offered: all that is to be checked over HTTP/2 (RFC 8441, section 5)."""
    problems = _check_chosen(head.joined("sec-websocket-protocol"), request.joined("sec-websocket-protocol"))
    if "sec-websocket-extensions" in head.fields and "sec-websocket-extensions" not in request.fields:
        problems.append("an extension is chosen, and none was offered")
    return problems


def _lists(value: str | None, token: str) -> bool:
    if value is None:
        return False
    value = value.lower()
    return value == token or token in (item.strip(" \t") for item in value.split(","))


def _check_key(key: str | None) -> list[str]:
    if key is None:
        return ["there is no Sec-WebSocket-Key header"]
    if "," in key:
        return ["there is more than one Sec-WebSocket-Key header"]
    if not _key.fullmatch(key.strip()):
        return ["Sec-WebSocket-Key is not 16 bytes in base64"]
    return []


def _check_protocols(value: str) -> list[str]:
    names = [name.strip(" \t") for name in value.split(",")]
    if not all(_token.fullmatch(name) for name in names):
        return ["Sec-WebSocket-Protocol is not a list of names"]
    if len(set(names)) != len(names):
        return ["Sec-WebSocket-Protocol names a protocol twice"]
    return []


def _check_chosen(chosen: str | None, offered: str | None) -> list[str]:
    if chosen is None:
        return []
    names = [name.strip(" \t") for name in (offered or "").split(",")]
    return [] if chosen.strip() in names else ["the protocol chosen was not offered"]

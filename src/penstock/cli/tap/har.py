"""What was shown, as a HAR file: the form in which Chrome's developer tools write WebSockets, and read them again."""

from __future__ import annotations

import json
import re
from base64 import b64encode
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from penstock import __version__

if TYPE_CHECKING:
    from penstock.cli.tap.messages import SeenMessage

MOST_BYTES = 64 << 20
"""Bytes of messages that are kept for the file."""
OPCODES = {"text": 1, "binary": 2, "close": 8, "ping": 9, "pong": 10}

_request = re.compile(r'request: "(\S+) (\S+)[^"]*"').search
_host = re.compile(r'host: "([^"]*)"').search


class Har:
    """What goes into a file. `left_out` counts messages for which there was no room."""

    def __init__(self) -> None:
        self._entries: dict[str, dict[str, Any]] = {}
        self._kinds: dict[str, str] = {}
        self._parts: dict[tuple[str, str], tuple[SeenMessage, list[bytes]]] = {}
        self._events: dict[str, list[str]] = {}
        self._size = 0
        self.left_out = 0

    def opened(self, entry: dict[str, Any], now: float) -> None:
        """Take note of a tunnel, as `penstock tunnels --json` describes it; `now` in seconds since 1970."""
        name = str(entry["id"])
        self._kinds[name] = str(entry["kind"])
        began = now - float(entry["age"])
        events = entry["kind"] == "event_stream"
        self._entries[name] = {
            "startedDateTime": datetime.fromtimestamp(began, UTC).isoformat(timespec="milliseconds"),
            "time": round(float(entry["age"]) * 1000),
            "request": {**_request_of(entry), **_SIZES},
            "response": {
                "status": 200 if events or str(entry["transport"]).startswith("h2") else 101,
                "statusText": "OK" if events else "Switching Protocols",
                "httpVersion": "HTTP/2" if str(entry["transport"]).startswith("h2") else "HTTP/1.1",
                "headers": [],
                "cookies": [],
                "content": {"size": 0, "mimeType": "text/event-stream" if events else "x-unknown", "text": ""},
                "redirectURL": "",
                **_SIZES,
            },
            "cache": {},
            "timings": {"send": 0, "wait": 0, "receive": 0},
            "serverIPAddress": str(entry["peer"]).rpartition(":")[0].strip("[]"),
            "connection": name,
            "comment": f"client {entry['client']}, backend {entry['peer']}, location {entry['location']}",
            "_resourceType": "eventsource" if events else "websocket",
        }
        if not events:
            self._entries[name]["_webSocketMessages"] = []

    def add(self, message: SeenMessage) -> None:
        """Add a frame, which may be a part of a message, or an event."""
        entry = self._entries.get(message.tunnel)
        if entry is None or message.kind == "bytes":
            return
        entry["time"] = max(entry["time"], 0)
        if self._size + len(message.data) > MOST_BYTES:
            self.left_out += 1
            return
        self._size += len(message.data)
        if message.kind in ("event", "comment"):
            self._events.setdefault(message.tunnel, []).append(message.data.decode("utf-8", "replace"))
            return
        key = message.tunnel, message.side
        begun = self._parts.pop(key, None) if message.kind == "continuation" else None
        if message.kind == "continuation" and begun is None:
            return  # nobody has seen how it began
        first, parts = (message, []) if begun is None else begun
        parts.append(message.data)
        if message.more:
            self._parts[key] = first, parts
            return
        data = b"".join(parts)
        entry["_webSocketMessages"].append(
            {
                "type": "send" if message.side == "client" else "receive",
                "time": message.time,
                "opcode": OPCODES[first.kind],
                "data": b64encode(data).decode() if first.kind == "binary" else _text(first, message, data),
            }
        )

    def write(self, path: str) -> int:
        """Write the file; how many tunnels are in it. Raises `OSError`."""
        for name, parts in self._events.items():
            content = self._entries[name]["response"]["content"]
            content["text"] = "".join(parts)
            content["size"] = len(content["text"].encode())
        log = {
            "version": "1.2",
            "creator": {"name": "penstock tap", "version": __version__},
            "pages": [],
            "entries": list(self._entries.values()),
        }
        if self.left_out:
            log["comment"] = f"{self.left_out} messages are not in this file: it would be too large"
        Path(path).write_text(json.dumps({"log": log}, indent=1) + "\n", "utf-8")
        return len(self._entries)


_SIZES = {"headersSize": -1, "bodySize": -1}


def _text(first: SeenMessage, last: SeenMessage, data: bytes) -> str:
    """The text of a whole message; of a close frame its code and reason."""
    return (last.text or "") if first.kind == "close" else data.decode("utf-8", "replace")


def _request_of(entry: dict[str, Any]) -> dict[str, Any]:
    """The request, as far as it is known: of a tunnel nothing is kept but what the log says."""
    context = str(entry.get("request", ""))
    found, host = _request(context), _host(context)
    method, target = (found[1], found[2]) if found else ("GET", "/")
    secure = str(entry["transport"]).endswith("-tls")
    scheme = ("https" if secure else "http") if entry["kind"] == "event_stream" else "wss" if secure else "ws"
    where = (host[1] if host else str(entry["server"])) or "localhost"
    return {
        "method": method if method != "CONNECT" else "GET",
        "url": f"{scheme}://{where}{target}",
        "httpVersion": "HTTP/2" if str(entry["transport"]).startswith("h2") else "HTTP/1.1",
        "headers": [],
        "queryString": [],
        "cookies": [],
    }

"""Signs of what a location is for: names in its path, names and ports of its backend."""

from __future__ import annotations

import re

from penstock.doctor.handshake import FIXED
from penstock.doctor.site.level import Level
from penstock.doctor.site.site import PassLevel

_ASKS = re.compile(r"\$\{?http_upgrade\}?(?!\s*!)", re.IGNORECASE)
_WORD = re.compile(r"[a-z0-9]+")

SOCKETS = frozenset(
    (
        "ws", "wss", "wsapp", "websocket", "websockets", "socket", "sockets", "sockjs", "signalr", "hubs", "cable",
        "websockify", "wsproxy", "mqtt", "webtransport",
    )
)  # fmt: skip
"""Words of a path that nobody gives to anything but WebSockets."""
_PHRASES = ("socket.io", "engine.io", "_stcore/stream", "api/kernels", "terminals/websocket", "queue/join")
_MAYBE = frozenset(("chat", "live", "stream", "realtime", "events", "push", "notifications", "hub", "rpc", "graphql"))
_MIXED = (
    "socket.io", "engine.io", "sockjs", "sockjs-node", "signalr", "hubs", "hub", "graphql", "api/kernels", "queue/join",
)  # fmt: skip
"""Where ordinary requests always come, too: polling, negotiation, queries, an API."""
STICKY = {
    "socket.io": "socket.io",
    "engine.io": "engine.io",
    "sockjs": "SockJS",
    "signalr": "SignalR",
    "hubs": "SignalR",
    "hub": "SignalR",
}
"""Paths of libraries that begin with plain requests and need the same server for all of a session."""
PINGS = (
    ("socket.io", 25.0, "Socket.IO pings every 25 s"),
    ("engine.io", 25.0, "Engine.IO pings every 25 s"),
    ("sockjs", 25.0, "SockJS sends a heartbeat every 25 s"),
    ("signalr", 15.0, "SignalR sends something every 15 s"),
    ("hub", 15.0, "SignalR sends something every 15 s"),
    ("live/websocket", 30.0, "Phoenix sends a heartbeat every 30 s"),
    ("socket/websocket", 30.0, "Phoenix sends a heartbeat every 30 s"),
    ("api/kernels", 30.0, "Jupyter pings every 30 s"),
    ("_stcore", 20.0, "Streamlit pings every 20 s at the most"),
)
"""How often libraries say something, unless they are told otherwise."""
_USUAL_PING = (20.0, "servers that ping do so every 20 s or less often (uvicorn, daphne, websockets)")
_PORTS = {
    "3000": "the usual port of Node.js servers and Grafana",
    "8501": "Streamlit's port",
    "7860": "Gradio's port",
    "8888": "Jupyter's port",
    "8123": "Home Assistant's port",
    "5173": "Vite's port",
    "6080": "noVNC's port",
    "4000": "Phoenix's port",
    "8065": "Mattermost's port",
}
_APPLICATIONS = ("streamlit", "gradio", "jupyter", "grafana", "home-assistant", "homeassistant", "novnc", "nodered")


def words(text: str) -> set[str]:
    """Split a path or a name into its words, in lower case."""
    return set(_WORD.findall(text.lower()))


def carries_sockets(level: Level) -> str | None:
    """Return the word in a location's path that says it is for WebSockets."""
    path = _plain(level.path)
    found = next((each for each in _PHRASES if each in path), None)
    return found or next((each for each in _WORD.findall(path) if each in SOCKETS), None)


def asks_for_upgrade(level: Level) -> bool:
    """Return whether a block is an `if` that holds for handshakes: `if ($http_upgrade = websocket)`."""
    text = "" if level.kind != "if" or level.span is None else level.name or level.span.text
    return _ASKS.search(text) is not None


def chosen_by_upgrade(place: PassLevel) -> bool:
    """Return whether a map over Upgrade names the backend."""
    table = place.site.maps.get(place.host.strip("${}").lower()) if place.host.startswith("$") else None
    return table is not None and table.words[:1] == ("$http_upgrade",)


def may_carry_sockets(level: Level) -> bool:
    """Return whether the path looks as if WebSockets were most of what comes here."""
    return carries_sockets(level) is not None or bool(words(_plain(level.path)) & _MAYBE)


def mixed(level: Level) -> str | None:
    """Return what in a location's path says that ordinary requests always come to it beside WebSockets."""
    path = _plain(level.path)
    return next((each for each in _MIXED if (each in path if set(each) & set("./-") else each in words(path))), None)


def _plain(path: str) -> str:
    """A path without what makes it a regular expression."""
    return path.lower().replace("\\", "")


def library(level: Level) -> str | None:
    """Return the library that a location's path belongs to, among those that need stickiness."""
    path = _plain(level.path)
    for mark, name in STICKY.items():
        if mark in path if "." in mark else mark in words(path):
            return name
    return None


def pinged(level: Level) -> tuple[float, str]:
    """Return how many seconds a tunnel of a location is silent at the most, and who says so."""
    path = _plain(level.path)
    return next(((often, said) for mark, often, said in PINGS if mark in path), _USUAL_PING)


def fixed_path(level: Level) -> str | None:
    """Return the path that a location's library answers at, slashes around it."""
    return next((f"/{name}/" for name in FIXED if name in _plain(level.path)), None)


def backend_sign(place: PassLevel) -> str | None:
    """Return why a backend is likely to speak WebSocket, for a location whose path says nothing."""
    name = place.host.lower()
    if words(name) & SOCKETS or any(each in name for each in _APPLICATIONS):
        return f'the backend is called "{place.host}"'
    ports = [place.port]
    group = place.group
    if group is not None:
        ports = [each.words[0].rpartition(":")[2] for each in group.own("server") if each.args]
    return next((f"{port} is {_PORTS[port]}" for port in ports if port in _PORTS), None)

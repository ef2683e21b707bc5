"""Signs of what a location is for: names in its path, names and ports of its backend."""

from __future__ import annotations

import re

from penstock.doctor.level import Level
from penstock.doctor.site import Pass

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
STICKY = {
    "socket.io": "socket.io",
    "engine.io": "engine.io",
    "sockjs": "SockJS",
    "signalr": "SignalR",
    "hubs": "SignalR",
    "hub": "SignalR",
}
"""Paths of libraries that begin with plain requests and need the same server for all of a session."""
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
    """The words of a path or a name, in lower case."""
    return set(_WORD.findall(text.lower()))


def carries_sockets(level: Level) -> str | None:
    """The word in a location's path that says it is for WebSockets."""
    path = _plain(level.path)
    found = next((each for each in _PHRASES if each in path), None)
    return found or next((each for each in _WORD.findall(path) if each in SOCKETS), None)


def may_carry_sockets(level: Level) -> bool:
    """Whether the path looks as if WebSockets were most of what comes here."""
    return carries_sockets(level) is not None or bool(words(_plain(level.path)) & _MAYBE)


def _plain(path: str) -> str:
    """A path without what makes it a regular expression."""
    return path.lower().replace("\\", "")


def library(level: Level) -> str | None:
    """The library that a location's path belongs to, among those that need stickiness."""
    path = _plain(level.path)
    for mark, name in STICKY.items():
        if mark in path if "." in mark else mark in words(path):
            return name
    return None


def backend_sign(place: Pass) -> str | None:
    """Why a backend is likely to speak WebSocket, for a location whose path says nothing."""
    name = place.host.lower()
    if words(name) & SOCKETS or any(each in name for each in _APPLICATIONS):
        return f'the backend is called "{place.host}"'
    ports = [place.port]
    group = place.group
    if group is not None:
        ports = [each.words[0].rpartition(":")[2] for each in group.own("server") if each.args]
    return next((f"{port} is {_PORTS[port]}" for port in ports if port in _PORTS), None)

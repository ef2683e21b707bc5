"""Servers behind the proxy: threads of this process, each on its own `.port`, ended by `.close()`."""

from harness.backends.asgi import AsgiBackend
from harness.backends.echo import Echoed, HttpEcho
from harness.backends.scripted import (
    Conversation,
    RawBackend,
    half_close,
    hold,
    pause,
    read,
    read_head,
    read_until_end,
    reset,
    until,
)
from harness.backends.websocket import WebSocketEcho

__all__ = [
    "AsgiBackend",
    "Conversation",
    "Echoed",
    "HttpEcho",
    "RawBackend",
    "WebSocketEcho",
    "half_close",
    "hold",
    "pause",
    "read",
    "read_head",
    "read_until_end",
    "reset",
    "until",
]

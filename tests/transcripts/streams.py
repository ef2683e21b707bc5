"""Streams of HTTP/2 as channels: FIN is END_STREAM, RST is RST_STREAM, and bytes are those of DATA frames.

There is one stream on each connection. A head is a list of lines `name: value`.
"""

from __future__ import annotations

import socket

from h2.settings import SettingCodes

from harness.backends.http2 import Asked, Talk
from harness.http2 import Answered, Fields, Http2Client
from transcripts.channels import FIN, RST, Channel


def fields_of(lines: list[str]) -> Fields:
    """Read lines `name: value`; the name of a pseudo field begins with a colon."""
    fields = []
    for line in lines:
        name, _, value = line[1:].partition(":")
        fields.append((line[0] + name, value.strip()))
    return fields


class ClientStream(Channel):
    """The client's end. Its stream begins with the head it sends."""

    def __init__(self, client: Http2Client) -> None:
        super().__init__()
        self.client = client
        self.stream = 0
        self.answered = Answered()
        self._read = False

    def open(self, lines: list[str], *, ended: bool) -> None:
        """Send a head."""
        self.stream = self.client.open_with(fields_of(lines), ended=ended)
        self.answered = self.client.streams[self.stream]

    def fill(self, seconds: float) -> bool:
        if self.end:
            return False
        answered, had = self.answered, len(self.answered.headers)
        try:
            self.client.until(
                lambda: bool(answered.body) or answered.over or len(answered.headers) > had, max(seconds, 0.001)
            )
        except TimeoutError:
            return False
        self.heard += answered.body
        answered.body.clear()
        if answered.ended:
            self.end = FIN  # a reset behind it says that nothing more is taken
        elif answered.reset is not None or self.client.eof:
            self.end = RST
        return True

    def send(self, data: bytes) -> None:
        if data:
            self.client.send(self.stream, data)

    def finish(self) -> None:
        self.client.send(self.stream, b"", ended=True)

    def reset(self) -> None:
        self.client.reset(self.stream)
        self.over = True

    def close(self) -> None:
        self.over = True
        self.client.close()

    def head(self) -> list[str] | None:
        if not self.answered.headers or self._read:
            return None
        self._read = True
        return [f"{name}: {value}" for name, value in self.answered.headers]

    def handshake(self, target: str, more: list[str]) -> bytes:
        lines = [":method: CONNECT", ":protocol: websocket", ":scheme: http", ":authority: localhost"]
        self.open([*lines, f":path: {target}", "sec-websocket-version: 13", *more], ended=False)
        return b""


class BackendStream(Channel):
    """The backend's end. Its stream is the first that the other side opens."""

    def __init__(self, connection: socket.socket) -> None:
        super().__init__()
        self.socket = connection
        self.talk = Talk(connection, 0, {SettingCodes.ENABLE_CONNECT_PROTOCOL: 1})
        self.asked: Asked | None = None
        self._read = False

    def fill(self, seconds: float) -> bool:
        if self.end:
            return False
        self.socket.settimeout(max(seconds, 0.001))
        try:
            data = self.socket.recv(65536)
        except TimeoutError:
            return False
        except ConnectionResetError:
            data = b""
        if not data:
            self.end = RST
            return True
        for asked, _ in self.talk.received(data):
            self.asked = self.asked or asked
        if self.asked is not None:
            self.heard += self.asked.body
            self.asked.body.clear()
            if self.asked.reset is not None:
                self.end = RST
            elif self.asked.ended:
                self.end = FIN
        return True

    def send(self, data: bytes) -> None:
        if data and self.asked is not None:
            self.asked.data(data)

    def finish(self) -> None:
        if self.asked is not None:
            self.asked.data(b"", ended=True)

    def reset(self) -> None:
        if self.asked is not None:
            self.asked.cancel(8)
        self.over = True

    def close(self) -> None:
        self.over = True
        self.socket.close()

    def head(self) -> list[str] | None:
        if self.asked is None or self._read:
            return None
        self._read = True
        return [f"{name}: {value}" for name, value in self.asked.fields]

    def switch(self, key: str, more: list[str]) -> bytes:
        assert self.asked is not None
        self.asked.head(200, *fields_of(more))
        return b""

"""What a probe says once the WebSocket is open: a ping, a message that may come back, and then nothing for a while."""

from __future__ import annotations

import os
import zlib
from dataclasses import dataclass
from time import monotonic
from typing import Protocol

from penstock.doctor.probe.handshake import ProbeAnswer
from penstock.doctor.probe.steps import safe
from penstock.net.errors import NetError, TimedOut
from penstock.websocket.client import FrameReader, MessageReader, data_frame
from penstock.websocket.frames import CLOSE, NO_CODE, PING, PONG, TEXT, close_frame, ping_frame, pong_frame

_LONGEST_KEPT = 4096


@dataclass(frozen=True, slots=True)
class SeenEnd:
    """How the other side ended it: `code` of its close frame, None where there was none; `words` for a person; `how`
    for a program: close, fin, reset, or protocol."""

    how: str
    words: str
    code: int | None = None


class Pipe(Protocol):
    """What a `Line` is, and a stream of HTTP/2."""

    error: str
    reset: bool

    def send(self, data: bytes, timeout: float) -> None:
        """Send all of it within `timeout` seconds. Raises `PeerGone`, `TimedOut`."""
        ...

    def recv(self, timeout: float) -> bytes:
        """Read what comes next within `timeout` seconds; b"" where the other side has ended it. Raises `TimedOut`."""
        ...

    def close(self) -> None:
        """Close the connection."""
        ...


class ProbeTalk:
    """An open WebSocket. Pings are answered, messages counted, and the first ones kept, until `end` is set.

    pings: when the server pinged. messages, received: how many, and their bytes. first: the beginning of the first.
    """

    def __init__(self, line: Pipe, answer: ProbeAnswer) -> None:
        assert answer.head is not None
        extensions = answer.head.joined("sec-websocket-extensions") or ""
        self.compressed = "permessage-deflate" in extensions.lower()
        self.protocol = answer.head.joined("sec-websocket-protocol")
        self.extensions = extensions
        self.end: SeenEnd | None = None
        self.pings: list[float] = []
        self.messages = 0
        self.received = 0
        self.first: bytes | None = None
        self._line = line
        self._frames = FrameReader(deflate=self.compressed)
        keeps = "server_no_context_takeover" not in extensions.lower()
        self._reader = MessageReader(deflate=self.compressed, keeps_context=keeps)
        self._pongs: dict[bytes, float] = {}
        self._echoes: dict[bytes, float] = {}
        if answer.rest:
            self._read_frames(answer.rest)

    def listen(self, seconds: float, until: bytes | None = None) -> None:
        """Hear what comes for so long, or until a pong or a message of these bytes has come, or it has ended."""
        deadline = monotonic() + seconds
        while self.end is None and (until is None or not self.heard(until)):
            left = deadline - monotonic()
            if left <= 0:
                return
            try:
                data = self._line.recv(left)
            except TimedOut:
                return
            if not data:
                self._ended()
                return
            self._read_frames(data)

    def heard(self, payload: bytes) -> bool:
        """Return whether a pong or a message of these bytes has come."""
        return payload in self._pongs or payload in self._echoes

    def ping(self, timeout: float) -> float | None:
        """Send a ping: seconds until the pong, None without one."""
        payload = os.urandom(8).hex().encode()
        return self._round_trip(ping_frame(payload, os.urandom(4)), payload, self._pongs, timeout)

    def echo(self, timeout: float) -> float | None:
        """Send a message: seconds until it came back as it was, None if it did not."""
        payload = b"penstock probe " + os.urandom(8).hex().encode()
        return self._round_trip(data_frame(TEXT, payload, os.urandom(4)), payload, self._echoes, timeout)

    def close(self, timeout: float) -> None:
        """Say goodbye, and wait for the other side to do so."""
        if self.end is None and self._send(close_frame(1000, "", os.urandom(4))):
            self.listen(timeout)
        self._line.close()

    def _round_trip(self, frame: bytes, payload: bytes, seen: dict[bytes, float], timeout: float) -> float | None:
        started = monotonic()
        if not self._send(frame):
            return None
        self.listen(timeout, until=payload)
        at = seen.pop(payload, None)
        return None if at is None else at - started

    def _send(self, data: bytes) -> bool:
        try:
            self._line.send(data, 5.0)
        except NetError as error:
            # What the other side said before it left tells more than that it has left.
            self.listen(0.5)
            self.end = self.end or SeenEnd("reset", f"the connection is gone: {error}")
        return self.end is None

    def _read_frames(self, data: bytes) -> None:
        self.received += len(data)
        try:
            for frame in self._frames.feed(data):
                if frame.opcode == CLOSE:
                    code, reason = frame.close_code, frame.close_reason
                    shown = "without a code" if code == NO_CODE else f"with code {code}"
                    because = f' "{safe(reason.encode().decode("latin-1"))}"' if reason else ""
                    self.end = SeenEnd("close", f"a close frame {shown}{because}", code)
                    self._answer(close_frame(1000, "", os.urandom(4)))
                    return
                if frame.opcode == PING:
                    self.pings.append(monotonic())
                    del self.pings[:-1000]
                    self._answer(pong_frame(frame.payload, os.urandom(4)))
                elif frame.opcode == PONG:
                    self._keep(self._pongs, frame.payload)
                elif (message := self._reader.add(frame)) is not None:
                    self.messages += 1
                    if self.first is None:
                        self.first = message[1][:_LONGEST_KEPT]
                    self._keep(self._echoes, message[1])
        except zlib.error:
            self.end = SeenEnd("protocol", "a compressed message cannot be inflated")
        if self._frames.error is not None and self.end is None:
            self.end = SeenEnd("protocol", f"a frame that breaks the protocol: {self._frames.error}")

    def _keep(self, seen: dict[bytes, float], payload: bytes) -> None:
        if len(payload) <= 125:
            seen[payload] = monotonic()
            while len(seen) > 50:
                seen.pop(next(iter(seen)))

    def _answer(self, frame: bytes) -> None:
        try:
            self._line.send(frame, 5.0)
        except NetError:
            pass  # the next read says how it ended

    def _ended(self) -> None:
        error = self._line.error
        if not error:
            self.end = SeenEnd("fin", "the connection was closed without a close frame (1006 in browsers)")
        elif self._line.reset:
            self.end = SeenEnd("reset", "the connection was reset (1006 in browsers)")
        else:
            self.end = SeenEnd(
                "fin", f"the connection was closed without a close frame, {safe(error)} (1006 in browsers)"
            )

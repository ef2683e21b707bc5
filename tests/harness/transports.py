"""A WebSocket over each way there is to have one, with one face: what ends one of them shall end all alike.

    for transport in TRANSPORTS:
        with opened(transport, front, "/chat", context) as client:
            client.send(masked(b"hello", TEXT))
            assert client.hear_close() == 1001          # and answers it, as the protocol wants

The front listens at ports that are named like the transports: `{port:h1}`, `{port:h1tls}`, `{port:h2}`, `{port:h2tls}`.
"""

import contextlib
import ssl
import time
from types import TracebackType
from typing import Self

from h2.exceptions import StreamClosedError

from harness.crowd_frames import CLOSE, HANDSHAKE_KEY, NO_CODE, Frames, close_code, masked
from harness.http2 import Http2Client
from harness.proxy import Proxy
from harness.raw import RawClient
from harness.waiting import PATIENCE

TRANSPORTS = ("h1", "h1tls", "h2", "h2tls")


class Talker:
    """A client that has shaken hands and does nothing by itself. `told` are the frames it was sent, as they came."""

    def __init__(self) -> None:
        self.told: list[tuple[int, bytes]] = []
        self._frames = Frames()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def send(self, data: bytes) -> None:
        """Say something."""
        raise NotImplementedError

    def finish(self) -> None:
        """Say that nothing more will come, and take what does."""
        raise NotImplementedError

    def vanish(self, last: bytes = b"", *, finished: bool = False) -> None:
        """Say something last, and be gone in the same breath; `finished`: with an end before the reset."""
        raise NotImplementedError

    def close(self) -> None:
        """End the connection."""
        raise NotImplementedError

    def _more(self, left: float) -> bytes:
        """What came next; b"" at the end."""
        raise NotImplementedError

    def hear(self, seconds: float = PATIENCE) -> tuple[int, bytes] | None:
        """The next frame; None at the end."""
        deadline = time.monotonic() + seconds
        while not self.told:
            left = deadline - time.monotonic()
            if left <= 0:
                raise TimeoutError("nothing came in time")
            data = self._more(left)
            if not data:
                return None
            self.told += self._frames.feed(data)
        return self.told.pop(0)

    def hear_close(self, *, answer: bool = True) -> int | None:
        """The code of the close frame that comes, answered; None at an end without one."""
        while (frame := self.hear()) is not None:
            if frame[0] == CLOSE:
                if answer:
                    with contextlib.suppress(OSError, StreamClosedError):
                        self.send(masked(frame[1][:2], CLOSE))
                return close_code(frame[1]) or NO_CODE
        return None


class OverHttp1(Talker):
    """The whole connection is the tunnel."""

    def __init__(self, port: int, target: str, tls: ssl.SSLContext | None) -> None:
        super().__init__()
        if tls is not None:
            tls.set_alpn_protocols(["http/1.1"])
        self.client = client = RawClient(port, tls=tls)
        client.send(
            f"GET {target} HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            f"Sec-WebSocket-Key: {HANDSHAKE_KEY}\r\nSec-WebSocket-Version: 13\r\n\r\n"
        )
        head = client.recv_until(b"\r\n\r\n")
        assert head.startswith(b"HTTP/1.1 101 "), head

    def send(self, data: bytes) -> None:
        self.client.send(data)

    def finish(self) -> None:
        self.client.half_close()

    def vanish(self, last: bytes = b"", *, finished: bool = False) -> None:
        self.client.send(last)
        if finished:
            self.client.half_close()
        self.client.reset()

    def close(self) -> None:
        self.client.socket.close()

    def _more(self, left: float) -> bytes:
        client = self.client
        if client.buffer:
            data, client.buffer = client.buffer, b""
            return data
        client.socket.settimeout(left)
        try:
            return client.socket.recv(65536)
        except (ConnectionResetError, ssl.SSLError):
            return b""


class OverHttp2(Talker):
    """The tunnel is a stream."""

    def __init__(self, port: int, target: str, tls: ssl.SSLContext | None) -> None:
        super().__init__()
        self.client = Http2Client(port, tls=tls)
        self.stream = self.client.websocket(target, scheme="http" if tls is None else "https")
        self.answered = self.client.streams[self.stream]
        assert self.answered.status == 200, self.answered

    def send(self, data: bytes) -> None:
        self.client.send(self.stream, data)

    def finish(self) -> None:
        self.client.send(self.stream, b"", ended=True)

    def vanish(self, last: bytes = b"", *, finished: bool = False) -> None:
        client = self.client
        if last or finished:
            client.h2.send_data(self.stream, last, end_stream=finished)
        client.h2.reset_stream(self.stream, 8)
        client.flush()

    def close(self) -> None:
        self.client.close()

    def _more(self, left: float) -> bytes:
        client, answered = self.client, self.answered
        client.until(lambda: bool(answered.body) or answered.over, left)
        data = bytes(answered.body)
        answered.body.clear()
        return data


def opened(transport: str, front: Proxy, target: str, tls: ssl.SSLContext) -> Talker:
    """A WebSocket to a target, over a transport."""
    made = OverHttp1 if transport.startswith("h1") else OverHttp2
    return made(front.port(transport), target, tls if transport.endswith("tls") else None)


__all__ = ["TRANSPORTS", "OverHttp1", "OverHttp2", "Talker", "opened"]

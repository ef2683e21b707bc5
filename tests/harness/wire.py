"""Both ends of a WebSocket as bytes: a client over a raw connection, and what a scripted backend says and hears.

    with WireClient(front.port()) as client:
        client.send(text(b"hello"))                 # frames are built by whoever wants to break them, too
        assert client.frames_until_end() == [(CLOSE, b"\\x03\\xe9")]

`switch` is the first step of a `RawBackend` behind a handshake; `heard` takes apart what has come to it after the head.
"""

from websockets.utils import accept_key

from harness.backends.scripted import Conversation, read_head
from harness.crowd_frames import HANDSHAKE_KEY, Frames, close_code, masked, plain
from harness.raw import RawClient
from harness.waiting import PATIENCE

TEXT, BINARY, CLOSE, PING, PONG = 1, 2, 8, 9, 10

_SWITCH = (
    "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: {}\r\n\r\n"
)

_ASK = (
    "GET {target} HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    f"Sec-WebSocket-Key: {HANDSHAKE_KEY}\r\nSec-WebSocket-Version: 13\r\n{{more}}\r\n"
)


class WireClient(RawClient):
    """A client that has shaken hands and does nothing by itself."""

    def __init__(self, port: int, target: str = "/", timeout: float = PATIENCE, more: str = "") -> None:
        super().__init__(port, timeout)
        self.send(_ASK.format(target=target, more=more))
        answer = self.response()
        assert answer.status == 101, answer

    def frames_until_end(self) -> list[tuple[int, bytes]]:
        """Opcode and payload of every frame up to the end of the connection, which must not come inside one."""
        frames = Frames()
        found = frames.feed(self.recv_all())
        assert not frames.rest, frames.rest
        return found

    def frame(self) -> tuple[int, bytes]:
        """The next frame, which must be a short one."""
        first, second = self.recv_exactly(2)
        assert second < 126
        return first & 0x7F, self.recv_exactly(second)

    def answer_close(self) -> int:
        """Read up to the close frame and answer it as the protocol wants: the code it had."""
        while True:
            opcode, payload = self.frame()
            if opcode == CLOSE:
                self.send(masked(payload[:2], CLOSE))
                return close_code(payload)


def switch(talk: Conversation) -> None:
    """Answer a handshake."""
    read_head(talk)
    lines = talk.received.decode("latin-1").split("\r\n")
    for line in lines:
        name, _, value = line.partition(":")
        if name.lower() == "sec-websocket-key":
            talk.socket.sendall(_SWITCH.format(accept_key(value.strip())).encode())


def heard(talk: Conversation) -> list[tuple[int, bytes]]:
    """What has come to a backend since the head. Frames without a mask are a failure."""
    frames = Frames()
    found = frames.feed(talk.received.partition(b"\r\n\r\n")[2])
    assert not frames.unmasked
    return found


def codes(frames: list[tuple[int, bytes]]) -> list[int]:
    """The codes of the close frames among them."""
    return [close_code(payload) for opcode, payload in frames if opcode == CLOSE]


__all__ = [
    "BINARY",
    "CLOSE",
    "PING",
    "PONG",
    "TEXT",
    "WireClient",
    "close_code",
    "codes",
    "heard",
    "masked",
    "plain",
    "switch",
]

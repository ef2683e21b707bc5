"""Every kind of frame that RFC 6455 speaks of, from either side: what passes as it is, and what fails the connection.

A case is a line of frames. `!` stands before the one that is wrong: what is before it arrives, nothing behind it does,
and the connection is failed (7.1.7): its sender gets a close frame with 1002 and then the end, though it says nothing
more; the other side gets a close frame, and the end when it has answered. `-` stands before what is sent behind a close
frame, and goes nowhere. What has no `!` arrives byte for byte, and a close frame that is answered ends both sides.

    part+text=ab    without FIN; rsv1+ rsv2+ rsv3+ set bits; wrong+ has a mask from a server, or none from a client
    op3             an opcode by its number
    =*70000         so many bytes; =#03e8 bytes in hexadecimal
"""

import socket
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from websockets.utils import accept_key

from harness.backends import RawBackend, hold, read_head
from harness.backends.scripted import Conversation
from harness.binary import penstock
from harness.crowd_frames import KEY, Frames, unmask
from harness.proxy import Proxy, in_http
from harness.waiting import eventually
from harness.wire import CLOSE, WireClient, close_code, masked, plain

OPCODES = {"cont": 0, "text": 1, "bin": 2, "close": 8, "ping": 9, "pong": 10}
GOOD_CODES = (1000, 1001, 1002, 1003, 1007, 1008, 1009, 1010, 1011, 1012, 1013, 1014, 3000, 3999, 4000, 4999)
BAD_CODES = (0, 999, 1004, 1005, 1006, 1015, 1016, 1100, 2000, 2999, 5000, 65535)
HELLO, HALF, REST = "#ceba78cebaceb1", "#cebacf", "#8ccf83cebc"

CASES: dict[str, list[str]] = {
    "framing (5.2)": [
        *(f"{kind}=*{size}" for kind in ("text", "bin") for size in (0, 1, 125, 126, 127, 128, 65535, 65536, 300000)),
        "!long126+text=*125",
        "!long127+text=*126",
        "!long127+bin=*65535",
        "!wrong+text=hello",
        "text=before !wrong+bin=",
    ],
    "pings and pongs (5.5.2, 5.5.3)": [
        "ping ping=hello ping=*125 ping=#00fffefdfcfb00",
        "pong pong=unasked ping=hello pong=other",
        "!ping=*126",
        "!pong=*126",
        "text=before !ping=*65536",
        "ping=1 ping=2 ping=3 ping=4 ping=5 ping=6 ping=7 ping=8 ping=9 ping=10",
    ],
    "reserved bits (5.2)": [
        *(f"!rsv{bit}+{kind}=x" for bit in (1, 2, 3) for kind in ("text", "bin", "ping", "pong", "close")),
        "text=before !rsv2+text=a text=after",
        "text=before !rsv1+rsv2+rsv3+ping text=after",
        "part+text=a !rsv3+cont=b",
    ],
    "opcodes (5.2)": [
        *(f"!op{number}" for number in (3, 4, 5, 6, 7, 11, 12, 13, 14, 15)),
        *(f"text=before !op{number}=hello ping" for number in (3, 7, 11, 15)),
        "part+text=a !op3=b",
    ],
    "fragments (5.4)": [
        "part+text=ab cont=cd",
        "part+bin= part+cont= part+cont= cont=",
        "part+text=a ping=between part+cont=b pong cont=c text=next",
        "part+text=*70000 part+cont=*70000 cont=*3",
        "!part+ping=a",
        "!part+pong=a",
        "!part+close",
        "part+text=a !part+ping=b cont=c",
        "!cont=a",
        "!part+cont=a",
        "text=whole !cont=a",
        "part+text=a cont=b !cont=c",
        "part+text=a !text=b",
        "part+text=a part+cont=b !bin=c",
        "part+text=a !part+text=b",
    ],
    "text that may be no text (8.1): the peer's business": [
        f"text={HELLO}",
        f"part+text={HALF} cont={REST}",
        "text=#cebae1bdb9cf83cebcceb5eda080656469746564",
        "text=#ff text=#c080 text=#f4908080",
        "bin=#ff",
        "close=#03e8ceba",
        "close=#03effe",
    ],
    "the close (5.5.1, 7.4)": [
        "close",
        "close=#03e8",
        "close=#03e8*123",
        "text=last close=#03e8",
        "part+text=begun close=#03e8",
        *(f"close=#{code:04x}" for code in GOOD_CODES),
        "close=#03e8 -text=late",
        "close=#03e8 -ping -close=#03e9",
        "close=#03e8 -rsv1+text=late -op3",
        "!close=#03",
        "!close=#03e8*124",
        *(f"!close=#{code:04x}" for code in BAD_CODES),
        "text=before !close=#03ec77 text=after",
    ],
}
COMPRESSED = [
    "rsv1+text=#f248cdc9c90700",
    "rsv1+part+text=#f248 cont=#cdc9c90700 text=plain",
    "rsv1+part+bin=#f248 ping=between part+cont=#cdc9 cont=#c90700",
    "rsv1+text=#00",
    "rsv1+bin=*70000",
    "!rsv2+text=a",
    "!rsv1+rsv3+text=a",
    "!rsv1+ping",
    "!rsv1+close=#03e8",
    "part+text=a !rsv1+cont=b",
    "rsv1+part+text=#f248 !rsv1+cont=#cdc9c90700",
]
"""Where permessage-deflate is agreed on (RFC 7692): what is compressed passes as it is, well or badly."""
AT_ONCE = 12.0
"""Seconds that are nothing beside `websocket_close_timeout`, on a busy machine."""
CONFIGURATION = in_http(
    """
    websocket_close_timeout 30s;
    server {
        listen 127.0.0.1:{port:front};
        location / { websocket auto; proxy_pass http://127.0.0.1:{port:back}; }
        location /on { websocket on; proxy_pass http://127.0.0.1:{port:back}; }
    }
    """
)
EXTENSION = "Sec-WebSocket-Extensions: permessage-deflate\r\n"


class Case:
    """A line taken apart: the bytes to send, the frames (first byte without FIN, payload) that arrive of them."""

    def __init__(self, line: str, *, client: bool) -> None:
        self.line = line
        self.data = b""
        self.arrives: list[tuple[int, bytes]] = []
        self.broken = "!" in line
        words = line.split()
        if not self.broken and not any(word.startswith("close") for word in words):
            words.append("close=#03e8")
        passing = True
        for word in words:
            passing = passing and word[0] not in "!-"
            first, payload, data = self._frame(word.lstrip("!-"), client=client)
            self.data += data
            if passing:
                self.arrives.append((first, payload))

    def _frame(self, word: str, *, client: bool) -> tuple[int, bytes, bytes]:
        name, _, text = word.partition("=")
        *marks, kind = name.split("+")
        opcode = int(kind[2:]) if kind.startswith("op") else OPCODES[kind]
        bits = sum(0x80 >> int(mark[3]) for mark in marks if mark.startswith("rsv"))
        payload = _payload(text)
        first = (0 if "part" in marks else 0x80) | bits | opcode
        size = len(payload)
        bit = 0x80 if client != ("wrong" in marks) else 0
        if "long127" in marks or size > 65535:
            head = bytes((first, bit | 127)) + size.to_bytes(8, "big")
        elif "long126" in marks or size > 125:
            head = bytes((first, bit | 126)) + size.to_bytes(2, "big")
        else:
            head = bytes((first, bit | size))
        return first & 0x7F, payload, head + (KEY + unmask(payload, KEY) if bit else payload)


def _payload(text: str) -> bytes:
    before, star, count = text.partition("*")
    data = bytes.fromhex(before[1:]) if before.startswith("#") else before.encode()
    return data + b"x" * int(count) if star else data


def switch(talk: Conversation) -> None:
    read_head(talk)
    head, _, talk.received = talk.received.partition(b"\r\n\r\n")
    fields = dict(line.split(": ", 1) for line in head.decode("latin-1").split("\r\n")[1:])
    extension = EXTENSION if "permessage-deflate" in fields.get("Sec-WebSocket-Extensions", "") else ""
    talk.socket.sendall(
        "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        f"{extension}Sec-WebSocket-Accept: {accept_key(fields['Sec-WebSocket-Key'])}\r\n\r\n".encode()
    )


@pytest.fixture(scope="module")
def back() -> Iterator[RawBackend]:
    with RawBackend([switch, hold]) as made:
        yield made


@pytest.fixture(scope="module")
def front(back: RawBackend) -> Iterator[Proxy]:
    with Proxy(CONFIGURATION, penstock(), ports={"back": back.port}) as made:
        yield made


def send(to: socket.socket, case: Case, how: str) -> None:
    """Whole, or each byte by itself, as far as that is quick. Behind what is wrong there may be nobody any more."""
    step = len(case.data) if how == "whole" or len(case.data) > 400 else 1
    try:
        for at in range(0, len(case.data), step):
            to.sendall(case.data[at : at + step])
    except OSError:
        assert case.broken, case.line


def frames_of(talk: Conversation) -> list[tuple[int, bytes]]:
    return Frames().feed(talk.received)


def at_once(condition: Callable[[], object], line: str) -> None:
    began = time.monotonic()
    eventually(condition, why=line)
    assert time.monotonic() - began < AT_ONCE, line


def from_client(client: WireClient, talk: Conversation, case: Case, how: str) -> None:
    send(client.socket, case, how)
    if case.broken:
        at_once(lambda: client.frames_until_end()[0][1][:2] == b"\x03\xea", case.line)
    count = len(case.arrives) + case.broken
    eventually(lambda: len(frames_of(talk)) >= count, why=f"{case.line}: {talk.received[-99:]!r}")
    assert frames_of(talk)[: len(case.arrives)] == case.arrives, case.line
    if case.broken:
        opcode, payload = frames_of(talk)[-1]
        assert (opcode, close_code(payload)) == (CLOSE, 1002), case.line
        talk.socket.sendall(plain(payload[:2], CLOSE))
    else:
        talk.socket.sendall(plain(case.arrives[-1][1], CLOSE))
        talk.socket.shutdown(socket.SHUT_WR)
        assert client.frames_until_end() == case.arrives[-1:], case.line
        client.close()
    at_once(talk.ended.is_set, case.line)
    assert len(frames_of(talk)) == count, case.line


def from_backend(client: WireClient, talk: Conversation, case: Case, how: str) -> None:
    send(talk.socket, case, how)
    if case.broken:
        at_once(talk.ended.is_set, case.line)
        told = frames_of(talk)
        assert [(opcode, close_code(payload)) for opcode, payload in told] == [(CLOSE, 1002)], case.line
    frames, got = Frames(), []
    while len(got) < len(case.arrives) + case.broken:
        data = client.socket.recv(65536)
        assert data, case.line
        got += frames.feed(data)
    assert got[: len(case.arrives)] == case.arrives, case.line
    if case.broken:
        opcode, payload = got[-1]
        assert (opcode, close_code(payload)) == (CLOSE, 1002), case.line
        client.send(masked(payload[:2], CLOSE))
        at_once(lambda: client.recv_all() == b"" and client.eof, case.line)
    else:
        client.send(masked(case.arrives[-1][1], CLOSE))
        eventually(lambda: frames_of(talk) == case.arrives[-1:], why=case.line)
        talk.socket.shutdown(socket.SHUT_WR)
        at_once(lambda: client.recv_all() == b"" and client.eof, case.line)
        client.close()
        at_once(talk.ended.is_set, case.line)


def run(front: Proxy, back: RawBackend, lines: list[str], side: str, how: str, target: str, more: str = "") -> None:
    play: Any = from_client if side == "client" else from_backend
    for line in lines:
        case = Case(line, client=side == "client")
        before = len(back.conversations)
        with WireClient(front.port(), target, timeout=30, more=more) as client:
            (talk,) = back.conversations[before:]
            play(client, talk, case, how)


@pytest.mark.parametrize("how", ["whole", "bytes"])
@pytest.mark.parametrize("side", ["client", "backend"])
@pytest.mark.parametrize("kind", CASES)
def test_frames(front: Proxy, back: RawBackend, kind: str, side: str, how: str) -> None:
    run(front, back, CASES[kind], side, how, "/" if how == "whole" else "/on")


@pytest.mark.parametrize("side", ["client", "backend"])
def test_compressed_frames(front: Proxy, back: RawBackend, side: str) -> None:
    run(front, back, COMPRESSED, side, "whole", "/", EXTENSION)

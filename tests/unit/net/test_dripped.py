"""Peers that send a byte at a time: what is looked at is counted, not how long it takes."""

from __future__ import annotations

import socket
import threading
import time

import pytest

from penstock.http import chunked, reader
from penstock.http.chunked import RequestBodyDecoder
from penstock.http.h2 import wire as h2_wire
from penstock.http.h2.wire import HeadLimits, SettingCodes, Wire
from penstock.http.proxy_protocol import needed, parse_proxy_header
from penstock.http.reader import HeadReader
from penstock.net.loop import Loop
from penstock.net.stream import Stream
from penstock.net.tls.hello import MOST, MOST_RECORDS, HelloReader, NotTls

MESSAGE = b"\x01\x00\x06\x00\x03\x03" + bytes(32) + b"\x00\x00\x02\x13\x01\x01\x00" + bytes(1600)


class Watched(bytes):
    """Bytes that count what is taken out of them."""

    looked = 0

    def __getitem__(self, key):  # type: ignore[no-untyped-def,override]
        found = super().__getitem__(key)
        Watched.looked += len(found) if isinstance(found, bytes) else 1
        return found


def records(message: bytes, size: int) -> bytes:
    pieces = [message[at : at + size] for at in range(0, len(message), size)]
    return b"".join(b"\x16\x03\x01" + len(piece).to_bytes(2, "big") + piece for piece in pieces)


@pytest.mark.parametrize("size", [1, 7, 300, 16384])
def test_a_hello(size: int) -> None:
    data = records(MESSAGE[:1540], size)
    hello, looks = HelloReader(), 0
    Watched.looked = 0
    for end in range(1, len(data) + 1):
        if end >= hello.need:
            looks += 1
            if hello.read(Watched(data[:end])) is not None:
                break
    assert end == len(data), "the hello was known too early, or never"
    count = -(-1540 // size)
    assert looks <= (count if size == 1 else 2 * count) + 2, "a look for its length, and one for the record"
    assert Watched.looked <= 1540 + 20 * (count + 2), "and each byte once"


def test_a_hello_has_bounds() -> None:
    endless = b"\x01\x00\xff\x00" + bytes(70000)
    for size in (1, 20, 16384):
        with pytest.raises(NotTls):
            HelloReader().read(records(endless, size))
    hello = HelloReader()
    with pytest.raises(NotTls, match="too many pieces"):
        hello.read(records(endless[: MOST_RECORDS + 1], 1))
    assert hello.need <= MOST


class Counting(Stream):
    __slots__ = ("peeks",)

    def peek_now(self, limit: int = 16384) -> bytes | None:
        self.peeks += 1
        return super().peek_now(limit)


def test_waiting_for_enough_is_one_waiting(loop: Loop) -> None:
    listening = socket.create_server(("127.0.0.1", 0))
    client = socket.create_connection(listening.getsockname())
    server = listening.accept()[0]
    server.setblocking(False)
    client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    stream = Counting(server, loop)
    stream.peeks = 0

    def drip() -> None:
        for _ in range(300):
            client.sendall(b"x")
            time.sleep(0.0005)

    thread = threading.Thread(target=drip)

    async def main() -> None:
        thread.start()
        assert len(await stream.peek(299, 16384, 20)) == 300

    try:
        loop.run(main())
    finally:
        thread.join()
        stream.close()
        client.close()
        listening.close()
    assert stream.peeks <= 4


class Scans:
    """Stands for a search of a pattern: counts the bytes it is given."""

    def __init__(self, search) -> None:  # type: ignore[no-untyped-def]
        self.search = search
        self.count = 0

    def __call__(self, data: bytes, start: int = 0):  # type: ignore[no-untyped-def]
        self.count += len(data) - start
        return self.search(data, start)


def dripped(feed, data: bytes) -> None:  # type: ignore[no-untyped-def]
    for at in range(len(data)):
        feed(data[at : at + 1])


def test_trailers(monkeypatch: pytest.MonkeyPatch) -> None:
    scans = Scans(chunked._lone_line_feed)
    monkeypatch.setattr(chunked, "_lone_line_feed", scans)
    body = RequestBodyDecoder()
    data = b"0\r\n" + b"".join(b"a%d: %b\r\n" % (number, b"b" * 90) for number in range(70)) + b"\r\n"
    dripped(body.feed, data)
    assert body.done and len(body.trailers) == 70
    assert scans.count <= 2 * len(data)
    for wrong in (b"0\r\na: b\r\nc: d\n", b"0\r\na: b\n"):
        body = RequestBodyDecoder()
        with pytest.raises(Exception, match="invalid trailer"):
            dripped(body.feed, wrong)


def test_a_head_of_http_1(monkeypatch: pytest.MonkeyPatch) -> None:
    scans = Scans(reader._control)
    monkeypatch.setattr(reader, "_control", scans)
    data = b"GET / HTTP/1.1\r\nHost: a\r\n" + b"".join(b"a%d: b\r\n" % number for number in range(90)) + b"\r\n"
    head = HeadReader()
    dripped(head.feed, data)
    assert scans.count <= 2 * len(data)


@pytest.mark.parametrize("kind", [1, 0x42], ids=["HEADERS", "unknown"])
def test_a_frame_of_http_2(monkeypatch: pytest.MonkeyPatch, kind: int) -> None:
    class Head:
        count = 0

        @staticmethod
        def unpack_from(data: bytes, at: int) -> tuple[int, ...]:
            Head.count += 1
            return real.unpack_from(data, at)

        @staticmethod
        def pack(*values: int) -> bytes:
            return real.pack(*values)

    real = h2_wire.HEAD
    wire = Wire({SettingCodes.INITIAL_WINDOW_SIZE: 65535}, HeadLimits())
    list(wire.receive(h2_wire.PREFACE + real.pack(0, 0, 4, 0, 0)))
    monkeypatch.setattr(h2_wire, "HEAD", Head)
    name = b"\x00\x7f\x81\x77" + b"a" * 12000
    value = b"\x01b"
    block = b"\x82\x86\x84\x41\x01a" + name[:4] + b"a" * (127 + 0x81 - 0x80 + 0x77 * 128) + value
    payload = block if kind == 1 else bytes(12000)
    frame = real.pack(len(payload) >> 8, len(payload) & 255, kind, 5, 1) + payload
    events = []
    dripped(lambda data: events.extend(wire.receive(data)), frame)
    assert len(events) == 1
    assert Head.count <= 3, "its head is looked at when it is there, and when the frame is"
    assert not wire.incomplete


def test_the_header_of_the_proxy_protocol() -> None:
    addresses = bytes(12) + b"\x04\x0f\xff" + bytes(4080)
    data = b"\r\n\r\n\x00\r\nQUIT\n\x21\x11" + len(addresses).to_bytes(2, "big") + addresses
    data = data[:4096] if len(data) > 4096 else data
    data = data[:14] + (len(data) - 16).to_bytes(2, "big") + data[16:]
    need, looks = 1, 0
    for end in range(1, len(data) + 1):
        if end < need:
            continue
        looks += 1
        if parse_proxy_header(data[:end]) is not None:
            break
        need = needed(data[:end])
    assert end == len(data) and looks <= 17

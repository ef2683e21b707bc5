"""The body of a request on its way to a backend: from memory, from a file, or as the client sends it."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from penstock.net.errors import PeerGone, TimedOut
from penstock.net.fiber import Fiber, pause
from penstock.upstream.errors import ProxyError
from penstock.upstream.exchange.sending import CHUNKS, FromSpool, InMemory, OutgoingBody, Streamed
from penstock.upstream.exchange.spool import Spooled

HEAD = b"POST / HTTP/1.1\r\n\r\n"
PIECES = st.lists(st.binary(min_size=1, max_size=50), max_size=6)


class FakeBackend:
    """Takes what is sent, a write at a time. `broken`: what a write raises."""

    def __init__(self, content: bytes = b"", broken: Exception | None = None) -> None:
        self.writes: list[bytes] = []
        self.content = content
        self.broken = broken

    async def send_all(self, data: bytes, timeout: float) -> None:
        if self.broken is not None:
            raise self.broken
        self.writes.append(bytes(data))

    async def sendfile(self, fd: int, at: int, count: int, timeout: float) -> int:
        if self.broken is not None:
            raise self.broken
        self.writes.append(self.content[at : at + count])
        return count


class FakeBody:
    """What a client sends, a piece for each read; `late` is the number of the piece that has to be waited for. The end
    is `known` with the last piece, or seen behind it."""

    def __init__(self, pieces: list[bytes], late: int = -1, *, known: bool = False) -> None:
        self.pieces = list(pieces)
        self.late = late
        self.known = known
        self.done = False
        self.received = 0
        self.read_count = 0

    async def read(self) -> bytes:
        if self.read_count == self.late:
            await pause()
        self.read_count += 1
        piece = self.pieces.pop(0) if self.pieces else b""
        self.received += len(piece)
        self.done = not self.pieces and (self.known or not piece)
        return piece


def sent(body: OutgoingBody, backend: FakeBackend) -> list[bytes]:
    """The writes, after whatever had to be waited for."""
    stream: Any = backend
    fiber: Fiber[None] = Fiber(body.send(stream, HEAD, 1.0))
    fiber.keep_error = True
    fiber.resume()
    while not fiber.done:
        fiber.resume()
    fiber.take()
    return backend.writes


def client(pieces: list[bytes], late: int = -1, *, known: bool = False) -> Any:
    return SimpleNamespace(body=FakeBody(pieces, late, known=known))


def test_a_body_in_memory_is_one_write_with_the_head() -> None:
    assert sent(InMemory(b"abc"), FakeBackend()) == [HEAD + b"abc"]


@given(pieces=PIECES, late=st.integers(-1, 6), known=st.booleans())
def test_a_body_as_it_comes_is_what_the_client_sent(pieces: list[bytes], late: int, known: bool) -> None:
    writes = sent(Streamed(client(pieces, late, known=known), 0, None), FakeBackend())
    assert b"".join(writes) == HEAD + b"".join(pieces)


@given(pieces=PIECES, late=st.integers(-1, 6), known=st.booleans())
def test_chunks_hold_what_the_client_sent_and_an_end(pieces: list[bytes], late: int, known: bool) -> None:
    data = b"".join(sent(Streamed(client(pieces, late, known=known), 0, CHUNKS), FakeBackend()))[len(HEAD) :]
    found = b""
    while True:
        size, _, data = data.partition(b"\r\n")
        count = int(size, 16)
        found += data[:count]
        assert data[count : count + 2] == b"\r\n"
        data = data[count + 2 :]
        if not count:
            break
    assert (found, data) == (b"".join(pieces), b"")


def test_what_is_there_leaves_with_the_head_and_what_is_late_does_not_hold_it_up() -> None:
    assert sent(Streamed(client([b"a", b"b"]), 0, None), FakeBackend()) == [HEAD + b"a", b"b"]
    assert sent(Streamed(client([b"a", b"b"], late=0), 0, None), FakeBackend()) == [HEAD, b"a", b"b"]
    assert sent(Streamed(client([]), 0, None), FakeBackend()) == [HEAD]


def test_the_end_leaves_with_the_last_piece_where_it_is_known() -> None:
    assert sent(Streamed(client([b"a", b"b"], known=True), 0, CHUNKS), FakeBackend()) == [
        HEAD + b"1\r\na\r\n",
        b"1\r\nb\r\n0\r\n\r\n",
    ]
    assert sent(Streamed(client([b"a"]), 0, CHUNKS), FakeBackend()) == [HEAD + b"1\r\na\r\n", b"0\r\n\r\n"]


@pytest.mark.parametrize(("keep", "kept"), [(4, True), (3, False)])
def test_a_small_body_is_remembered_as_if_it_had_been_read_before(keep: int, kept: bool) -> None:
    request = client([b"ab", b"cd"])
    sent(Streamed(request, keep, None), FakeBackend())
    assert isinstance(request.body, Spooled) is kept
    if kept:
        assert (request.body.memory, request.body.file) == (b"abcd", None)


def test_a_body_in_a_file_follows_what_is_in_memory() -> None:
    file: Any = SimpleNamespace(fd=3, size=5)
    assert sent(FromSpool(Spooled(b"ab", file, 7)), FakeBackend(b"cdefg")) == [HEAD + b"ab", b"cdefg"]


@pytest.mark.parametrize(("broken", "status"), [(PeerGone(104, "send"), 502), (TimedOut(), 504)])
@pytest.mark.parametrize(
    "body",
    [InMemory(b"a"), FromSpool(Spooled(b"", SimpleNamespace(fd=3, size=1), 1))],  # type: ignore[arg-type]
)
def test_a_backend_that_takes_nothing_is_at_fault(body: OutgoingBody, broken: Exception, status: int) -> None:
    with pytest.raises(ProxyError, match="while sending request to upstream") as caught:
        sent(body, FakeBackend(broken=broken))
    assert caught.value.status == status


def test_what_can_be_sent_again_says_so() -> None:
    assert InMemory(b"a").replayable
    assert FromSpool(Spooled(b"a", None, 1)).replayable
    assert not Streamed(client([]), 0, None).replayable

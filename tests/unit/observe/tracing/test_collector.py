"""What a collector may answer, and how long it may take: nothing of it is waited for without end."""

from __future__ import annotations

import pytest

from harness.backends import RawBackend, read_head
from harness.backends.scripted import Conversation, Step, hold
from penstock.net.fiber import spawn
from penstock.net.loop import new_loop
from penstock.observe.tracing import collector as collector_module
from penstock.observe.tracing.collector import BODY, Collector, CollectorPlace, Undelivered

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"


def read_another(talk: Conversation) -> None:
    """Wait for a second head."""
    while talk.received.count(b"\r\n\r\n") < 2 and talk.fill():
        pass


def delivered(port: int, times: int = 1) -> list[bytes | tuple[str, bool]]:
    """What becomes of so many batches: what the collector says, or why it has none and whether to try again."""
    loop = new_loop()
    found: list[bytes | tuple[str, bool]] = []

    async def go() -> None:
        place = CollectorPlace("http://c", "c", "/v1/traces", "c", (("127.0.0.1", port),), None, ())
        collector = Collector(place, "me")
        for _ in range(times):
            try:
                found.append(await collector.deliver(b""))
            except Undelivered as error:
                found.append((str(error), error.again))
        collector.close()
        loop.stop()

    try:
        loop.call_soon(lambda: spawn(go()))
        loop.call_later(20.0, loop.stop)
        loop.run_forever()
    finally:
        loop.close()
    return found


@pytest.mark.parametrize(
    ("steps", "outcome"),
    [
        ([OK], b"ok"),
        ([b"HTTP/1.1 103 Early Hints\r\n\r\n" + OK], b"ok"),
        ([b"HTTP/1.1 200 OK\r\n\r\nall that comes"], b"all that comes"),
        ([b"HTTP/1.1 400 No\r\nContent-Length: 0\r\n\r\n"], ("it answered 400", False)),
        ([b"HTTP/1.1 503 Later\r\nContent-Length: 0\r\n\r\n"], ("it answered 503", True)),
        ([], ("the connection was closed without an answer", True)),
        ([b"HTTP/1.1 200"], ("the answer is cut off", True)),
        ([b"SSH-2.0-OpenSSH\r\n"], ("the answer is not HTTP", True)),
        ([b"HTTP/1.1 200 OK\r\n" + b"X: %s\r\n" % (b"y" * 100_000)], ("the head of the answer is too long", True)),
        ([b"HTTP/1.1 103 Early Hints\r\n\r\n" * 10_000], ("the head of the answer is too long", True)),
        ([hold], ("no answer in time", True)),
    ],
)
def test_answers(steps: list[Step], outcome: bytes | tuple[str, bool], monkeypatch: pytest.MonkeyPatch) -> None:
    if hold in steps:
        monkeypatch.setattr(collector_module, "LIMIT", 0.3)
    with RawBackend([read_head, *steps]) as backend:
        assert delivered(backend.port) == [outcome]


def test_of_a_long_answer_so_much_is_read() -> None:
    answer = b"HTTP/1.1 200 OK\r\nContent-Length: 9000000\r\n\r\n" + b"x" * 200_000
    with RawBackend([read_head, answer, hold]) as backend:
        (found,) = delivered(backend.port)
    assert found == b"x" * BODY


def test_a_connection_that_was_closed_meanwhile_is_replaced() -> None:
    with RawBackend([read_head, OK]) as backend:
        assert delivered(backend.port, times=3) == [b"ok"] * 3


def test_an_answer_that_breaks_off_is_no_such_connection() -> None:
    """The batch has been read: it is not sent a second time in the same breath."""
    with RawBackend([read_head, OK, read_another, b"HTTP/1.1 2"]) as backend:
        assert delivered(backend.port, times=2) == [b"ok", ("the answer is cut off", True)]

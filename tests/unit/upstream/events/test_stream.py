"""An event stream whose backend is a list of pieces: what is asked for again, and behind which event."""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Iterator
from types import SimpleNamespace
from typing import Any

import pytest

from penstock.http.events.scanner import EventScanner
from penstock.net.loop import Loop, new_loop
from penstock.upstream.errors import failed
from penstock.upstream.events.stream import EventStream
from penstock.upstream.events.terms import EventRedial, EventTerms

Run = Callable[[Coroutine[Any, Any, Any]], Any]
RULE = EventRedial(20.0)


@pytest.fixture
def loop() -> Iterator[Loop]:
    made = new_loop()
    yield made
    made.close()


class Given:
    """An answer's body: pieces that are there at once, and then the loss of its backend; or its proper end."""

    def __init__(self, loop: Loop, *pieces: bytes, whole: bool = False) -> None:
        self._left = list(pieces)
        self._whole = whole
        self.closed = False
        stream = SimpleNamespace(hot=loop.hot, loop=loop)
        request = SimpleNamespace(method="GET", head=SimpleNamespace(fields={}))
        self.exchange = SimpleNamespace(stream=stream, request=request)

    async def read(self) -> bytes:
        if self._left:
            return self._left.pop(0)
        if self._whole:
            return b""
        raise failed("upstream prematurely closed connection")

    def close(self) -> None:
        self.closed = True


class Asked:
    """A `Redialler` that takes note of what it is asked with, and gives these answers."""

    gave_up = False
    rule = RULE

    def __init__(self, *answers: Any) -> None:
        self._left = list(answers)
        self.asked: list[tuple[bytes, int]] = []

    def may(self, last_id: bytes | None, events: int, *, lost: bool) -> bool:
        return lost and last_id is not None

    async def redial(self, last_id: bytes, events: int, watch: Any) -> Any:
        self.asked.append((last_id, events))
        return self._left.pop(0), b""


@pytest.mark.parametrize(
    "pieces", [[b"id: 1\ndata: a\n\n"], [b"id: 1\ndata: a\n\n", b"id: 2\ndata: b\n\n", b"id: 3\nda"]]
)
def test_what_came_before_a_loss_is_known_when_another_answer_is_asked_for(loop: Loop, pieces: list[bytes]) -> None:
    """The backend is read ahead, by one piece. A loss that can be seen at once is met in the moment in which the piece
    before it is fetched: it must have been looked at by then, or its last event would be asked for again."""
    before = b"".join(pieces)
    whole = before.count(b"\n\n")
    rest = b"id: 9\ndata: z\n\n"

    async def main() -> None:
        incoming: Any = Given(loop, *pieces)
        redialler: Any = Asked(Given(loop, rest, whole=True))
        stream = EventStream(incoming, b"", EventTerms(redial=RULE), EventScanner(), None, redialler)
        got = b"".join([piece async for piece in stream])
        assert redialler.asked == [(b"%d" % whole, whole)]
        assert got == before[: before.rindex(b"\n\n") + 2] + rest
        stream.close()

    loop.call_later(60, loop.stop)
    loop.run(main())

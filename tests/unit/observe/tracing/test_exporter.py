"""What waits to be sent: how much of it at most, and what is said of the rest."""

from __future__ import annotations

from collections.abc import Iterator
from types import SimpleNamespace

import pytest

from penstock.net.loop import new_loop
from penstock.observe import errorlog
from penstock.observe.tracing.collector import CollectorPlace
from penstock.observe.tracing.exporter import USUAL, Exporter
from penstock.observe.tracing.otlp import SpanWriter
from penstock.observe.tracing.span import SpanRecord
from penstock.shared.hints import Hints


class Counts:
    def __init__(self) -> None:
        self.dropped = 0

    def traced(self, result: str, spans: int) -> None:
        assert result == "dropped"
        self.dropped += spans


@pytest.fixture
def said() -> Iterator[list[str]]:
    lines: list[str] = []
    before = errorlog.fallback()
    errorlog.set_fallback(SimpleNamespace(level=8, write=lambda level, text, number=0: lines.append(text)))  # type: ignore[arg-type]
    yield lines
    errorlog.set_fallback(before)


def span(text: str = "") -> SpanRecord:
    return SpanRecord(bytes(range(16)), b"12345678", b"", "", "", 1.0, 2.0, (("text", text),))


def exporter(hints: Hints | None = None) -> Exporter:
    place = CollectorPlace("http://collector", "collector", "/", "collector", (("127.0.0.1", 9),), None, ())
    made = Exporter(place, SpanWriter({}, "1"), "me", hints, interval=3600.0, batch_size=10, batch_count=2)
    made.meters = Counts()  # type: ignore[assignment]
    return made


def dropped(*exporters: tuple[Exporter, list[SpanRecord]]) -> list[int]:
    """How many each has dropped of what it got; nothing is sent meanwhile."""
    loop = new_loop()

    async def add() -> None:
        for each, spans in exporters:
            for one in spans:
                each.add(one)
        for each, _ in exporters:
            if each._fiber is not None:
                each._fiber.cancel()

    loop.run_until_complete(add())
    loop.close()
    return [each.meters.dropped for each, _ in exporters]  # type: ignore[union-attr]


def test_many_spans_are_too_many(said: list[str]) -> None:
    assert dropped((exporter(), [span()] * 25)) == [5]
    assert said[0] == "OTel export to http://collector: spans are dropped, as 20 wait in this worker already"


def test_long_spans_are_too_many_sooner(said: list[str]) -> None:
    assert dropped((exporter(), [span("x" * USUAL * 5)] * 20)) == [16]


def test_all_workers_together_say_it_once(said: list[str]) -> None:
    hints = Hints()
    assert dropped((exporter(hints), [span()] * 25), (exporter(hints), [span()] * 25)) == [5, 5]
    assert len(said) == 1


def test_a_rehearsal_sends_nothing_and_drops_nothing(said: list[str]) -> None:
    muted = exporter()
    muted.muted = True
    assert dropped((muted, [span()] * 25)) == [0]
    assert said == []

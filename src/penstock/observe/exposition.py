"""The figures of `figures.py` as text for Prometheus, through its own library. Imported only where `metrics` stands."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.exposition import CONTENT_TYPE_LATEST, generate_latest
from prometheus_client.registry import Collector, CollectorRegistry

from penstock import __version__
from penstock.observe.figures import GAUGES, HISTOGRAMS, PLACES, SUMS
from penstock.plan.counters import Figures

PREFIX = "penstock_"
CONTENT_TYPE = CONTENT_TYPE_LATEST


class _Figures(Collector):
    """One page's worth of figures."""

    def __init__(self, figures: Sequence[int], connections: Figures) -> None:
        self._figures = figures
        self._connections = connections

    def collect(self) -> Iterator[Metric]:
        figures = self._figures
        build = GaugeMetricFamily(f"{PREFIX}build_info", "The version that runs", labels=("version",))
        build.add_metric((__version__,), 1)
        yield build
        for family in GAUGES:
            yield GaugeMetricFamily(PREFIX + family.name, family.doc, value=figures[PLACES[family.name,]])
        yield from self._of_connections()
        for family in SUMS:
            counter = CounterMetricFamily(PREFIX + family.name, family.doc, labels=family.labels)
            for values in family.cells():
                value = figures[PLACES[family.name, *values]]
                # Of the many pairs of side and code only those that were seen; once there, they stay.
                if value or len(family.labels) < 2:
                    counter.add_metric(values, value)
            yield counter
        for histogram in HISTOGRAMS:
            at = PLACES[histogram.name]
            buckets: list[tuple[str, float]] = []
            count = 0
            for number, bound in enumerate((*histogram.bounds, float("inf"))):
                count += figures[at + number]
                buckets.append(("+Inf" if bound == float("inf") else str(bound), count))
            total = figures[at + len(histogram.bounds) + 1] / 1e6
            yield HistogramMetricFamily(PREFIX + histogram.name, histogram.doc, buckets=buckets, sum_value=total)


    def _of_connections(self) -> Iterator[Metric]:
        seen = self._connections
        gauge = GaugeMetricFamily(f"{PREFIX}connections", "Connections of clients, and tunnels", labels=("state",))
        for state in ("reading", "writing", "waiting"):
            gauge.add_metric((state,), getattr(seen, state))
        yield gauge
        yield CounterMetricFamily(f"{PREFIX}connections_accepted", "Connections that were accepted", value=seen.accepts)


def page(figures: Sequence[int], connections: Figures) -> bytes:
    """The whole page."""
    registry = CollectorRegistry(auto_describe=False)
    registry.register(_Figures(figures, connections))
    return generate_latest(registry)

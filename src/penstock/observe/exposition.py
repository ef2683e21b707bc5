"""The figures of `metric_names.py` as text for Prometheus, through its own library, which is imported only where
`metrics` stands."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, cast

from penstock import __version__
from penstock.observe.metric_names import (
    BY_PEER,
    GAUGES,
    HISTOGRAMS,
    PEER_LABELS,
    PEER_PLACES,
    PER_WORKER,
    PLACES,
    SUMS,
)
from penstock.shared.counters import Figures
from penstock.shared.labelled_sums import Sums
from penstock.shared.reload_record import NO_RELOAD, ReloadRecord

if TYPE_CHECKING:
    from prometheus_client.metrics_core import Metric
    from prometheus_client.registry import Collector

    from penstock.observe.upstream_list import ToldUpstream

PREFIX = "penstock_"
STATES = ("up", "draining", "down", "unavail", "checking", "unhealthy")


def need_library() -> None:
    """Import the library: now, so that nobody has to wait for it later. Raises `ImportError`."""
    import prometheus_client.core
    import prometheus_client.exposition
    import prometheus_client.registry  # noqa: F401  what the others import from it


@dataclass(frozen=True, slots=True)
class Shown:
    """All that a page shows. `figures` are the sums of all workers, `workers` the figures of each by its place;
    `certificates` are (server, name as written, end in seconds since 1970)."""

    figures: Sequence[int]
    connections: Figures
    by_peer: Sequence[Sums] = ()
    workers: Mapping[int, Sequence[int]] = field(default_factory=dict)
    reload: ReloadRecord = NO_RELOAD
    certificates: Sequence[tuple[str, str, float]] = ()
    nginx_names: bool = False
    upstreams: Sequence[ToldUpstream] = ()


class _Figures:
    """A collector of the figures for one page."""

    def __init__(self, shown: Shown) -> None:
        self._shown = shown

    def collect(self) -> Iterator[Metric]:
        from prometheus_client.core import GaugeMetricFamily

        build = GaugeMetricFamily(f"{PREFIX}build_info", "The version that runs", labels=("version",))
        build.add_metric((__version__,), 1)
        yield build
        yield from self._gauges()
        yield from self._of_connections()
        yield from self._counters()
        yield from self._times()
        yield from self._of_peers()
        yield from self._of_servers()
        yield from self._of_workers()
        yield from self._of_reloads()
        yield from self._of_certificates()
        if self._shown.nginx_names:
            yield from self._by_nginx_names()

    def _gauges(self) -> Iterator[Metric]:
        from prometheus_client.core import GaugeMetricFamily

        for family in GAUGES:
            gauge = GaugeMetricFamily(PREFIX + family.name, family.doc, labels=family.labels)
            for values in family.cells():
                gauge.add_metric(values, self._shown.figures[PLACES[family.name, *values]])
            yield gauge

    def _counters(self) -> Iterator[Metric]:
        from prometheus_client.core import CounterMetricFamily

        for family in SUMS:
            counter = CounterMetricFamily(PREFIX + family.name, family.doc, labels=family.labels)
            for values in family.cells():
                value = self._shown.figures[PLACES[family.name, *values]]
                # Of the many pairs of side and code only those that were seen; once there, they stay.
                if value or len(family.labels) < 2:
                    counter.add_metric(values, value)
            yield counter

    def _times(self) -> Iterator[Metric]:
        from prometheus_client.core import HistogramMetricFamily

        figures = self._shown.figures
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
        from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily

        seen = self._shown.connections
        gauge = GaugeMetricFamily(f"{PREFIX}connections", "Connections of clients, and tunnels", labels=("state",))
        for state in ("reading", "writing", "waiting"):
            gauge.add_metric((state,), getattr(seen, state))
        yield gauge
        yield CounterMetricFamily(f"{PREFIX}connections_accepted", "Connections that were accepted", value=seen.accepts)

    def _of_peers(self) -> Iterator[Metric]:
        from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily

        opened = GaugeMetricFamily(f"{PREFIX}peer_tunnels_open", "Tunnels that are open now", labels=PEER_LABELS)
        for each in self._shown.by_peer:
            opened.add_metric(each.labels, each.open)
        yield opened
        for family in BY_PEER:
            counter = CounterMetricFamily(PREFIX + family.name, family.doc, labels=(*PEER_LABELS, *family.labels))
            for each in self._shown.by_peer:
                for (value,) in family.cells():
                    figure = each.sums[PEER_PLACES[family.name, value]]
                    if figure:
                        counter.add_metric((*each.labels, value), figure)
            yield counter

    def _of_servers(self) -> Iterator[Metric]:
        """What becomes of the servers of upstreams; the addresses of one `server` line are counted together."""
        from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily

        states: dict[tuple[str, str, str], int] = {}
        checks: dict[tuple[str, str, str], int] = {}
        for upstream in self._shown.upstreams:
            for peer in upstream["peers"]:
                place = upstream["name"], peer["server"]
                for state in STATES:
                    states[*place, state] = states.get((*place, state), 0) + (peer["state"] == state)
                checked = peer["checks"]
                if checked is not None:
                    passed = checked["checks"] - checked["fails"]
                    for result, count in (("passed", passed), ("failed", checked["fails"])):
                        checks[*place, result] = checks.get((*place, result), 0) + count
        gauge = GaugeMetricFamily(
            f"{PREFIX}peer_addresses", "Addresses of a server by their state", labels=("upstream", "peer", "state")
        )
        for labels, value in states.items():
            gauge.add_metric(labels, value)
        yield gauge
        counter = CounterMetricFamily(
            f"{PREFIX}peer_checks", "Active checks, by their result", labels=("upstream", "peer", "result")
        )
        for labels, value in checks.items():
            counter.add_metric(labels, value)
        yield counter

    def _of_workers(self) -> Iterator[Metric]:
        from prometheus_client.core import GaugeMetricFamily

        for family in PER_WORKER:
            gauge = GaugeMetricFamily(PREFIX + family.name, family.doc, labels=("worker",))
            for number, figures in self._shown.workers.items():
                gauge.add_metric((str(number),), figures[PLACES[family.name,]])
            yield gauge

    def _of_reloads(self) -> Iterator[Metric]:
        from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily

        seen = self._shown.reload
        doc = "The configuration in force, from 1 on"
        yield GaugeMetricFamily(f"{PREFIX}config_generation", doc, value=seen.generation)
        doc = "Whether the last reload was taken up: 1, or 0 where the configuration before it stayed in force"
        yield GaugeMetricFamily(f"{PREFIX}config_last_reload_successful", doc, value=int(seen.succeeded))
        doc = "When the last reload ended; the start where there was none"
        yield GaugeMetricFamily(f"{PREFIX}config_last_reload_timestamp_seconds", doc, value=seen.time)
        counter = CounterMetricFamily(f"{PREFIX}config_reloads", "Reloads, by what became of them", labels=("result",))
        counter.add_metric(("success",), seen.good)
        counter.add_metric(("failure",), seen.bad)
        yield counter

    def _of_certificates(self) -> Iterator[Metric]:
        from prometheus_client.core import GaugeMetricFamily

        name, doc = f"{PREFIX}certificate_expiry_timestamp_seconds", "When the time of a certificate is over"
        gauge = GaugeMetricFamily(name, doc, labels=("server", "certificate"))
        for server, certificate, end in self._shown.certificates:
            gauge.add_metric((server, certificate), end)
        yield gauge

    def _by_nginx_names(self) -> Iterator[Metric]:
        """The same by the names of nginx's own exporter, which reads `stub_status`."""
        from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily

        seen = self._shown.connections
        yield GaugeMetricFamily("nginx_up", "Whether the figures could be had", value=1)
        for name in ("active", "reading", "waiting", "writing"):
            doc = f"As stub_status has it: {name}"
            yield GaugeMetricFamily(f"nginx_connections_{name}", doc, value=getattr(seen, name))
        sums = {"connections_accepted": seen.accepts, "connections_handled": seen.handled}
        for name, value in sums.items():
            # The exporter's counters of connections have no _total at the end, which the library would add.
            yield GaugeMetricFamily(f"nginx_{name}", "As stub_status has it", value=value)
        yield CounterMetricFamily("nginx_http_requests", "As stub_status has it: requests", value=seen.requests)


def page(shown: Shown) -> tuple[bytes, str]:
    """Return the whole page, and its type."""
    from prometheus_client.exposition import CONTENT_TYPE_LATEST, generate_latest
    from prometheus_client.registry import CollectorRegistry

    registry = CollectorRegistry(auto_describe=False)
    registry.register(cast("Collector", _Figures(shown)))
    return generate_latest(registry), CONTENT_TYPE_LATEST

"""What the samples say: ratios, verdicts, tables."""

import json
import os
import platform
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from statistics import median

from rounds import Sample
from scenarios import Scenario, Traffic

_PER_SECOND = ("handshakes", "tls-handshakes")  # shown as handshakes per CPU-second too
_NOISY = 0.25
_SATURATED = 0.9


@dataclass(slots=True)
class Row:
    """One scenario: samples by peer (one per round, in the same order for all), and why peers have none."""

    scenario: Scenario
    samples: dict[str, list[Sample]] = field(default_factory=dict)
    failures: dict[str, str] = field(default_factory=dict)

    def value(self, peer: str) -> float | None:
        samples = self.samples.get(peer)
        return median(sample.value for sample in samples) if samples else None

    def ratios(self, peer: str, base: str) -> list[float]:
        """Round by round; empty unless both were measured in every round."""
        ours, theirs = self.samples.get(peer, []), self.samples.get(base, [])
        if len(ours) != len(theirs):
            return []
        return [mine.value / other.value for mine, other in zip(ours, theirs, strict=True) if other.value > 0]

    def verdict(self, peer: str, base: str) -> str:
        """`met`, or by how much the target is missed; nothing where there is no target."""
        target = self.scenario.target
        reached = self.value(peer) if self.scenario.absolute else _middle(self.ratios(peer, base))
        if peer in self.failures:
            return "failed"
        if reached is None or target is None:
            return ""
        return "met" if reached <= target else f"missed by {reached / target - 1:.1%}"

    def goal(self) -> str:
        """The target as the table shows it: a ratio, or an amount where it is one."""
        target = self.scenario.target
        if target is None:
            return ""
        return f"{target:g} {self.scenario.unit}" if self.scenario.absolute else f"{target:.2f}"


def _middle(values: list[float]) -> float | None:
    return median(values) if values else None


@dataclass(frozen=True, slots=True)
class Report:
    """All rows. `base` is the peer that the others are compared with, `others` are peers of a table of their own."""

    peers: Sequence[str]
    rows: Sequence[Row]
    versions: Mapping[str, str]
    others: Sequence[str] = ()

    @property
    def judged(self) -> str:
        """The first peer that is Penstock in some form."""
        return next((peer for peer in self.peers[1:] if peer.startswith("penstock")), "")

    @property
    def base(self) -> str:
        return self.peers[0]

    def headings(self) -> list[str]:
        compared = [word for peer in self.peers[1:] for word in (peer, "ratio (min-max)")]
        return ["scenario", "unit", self.base, *compared, *(("target", "verdict") if self._judges else ())]

    def cells(self, row: Row) -> list[str]:
        cells = [row.scenario.title, row.scenario.unit, _figure(row, self.base)]
        for peer in self.peers[1:]:
            cells += [_figure(row, peer), _ratio(row.ratios(peer, self.base))]
        if self._judges:
            cells += [row.goal(), row.verdict(self.judged, self.base)]
        return cells

    def markdown(self) -> str:
        """For the README; scenarios left out for want of TLS or a proxy are left out here."""
        rows = [self.cells(row) for row in self.rows if row.samples]
        lines = [self.headings(), ["---", "---", *["---:"] * (len(self.headings()) - 2)], *rows]
        return "\n".join("| " + " | ".join(line) + " |" for line in lines)

    def beside(self) -> str:
        """Each peer's ratio to the base where the others were measured too; "" without others."""
        names = [*self.peers[1:], *self.others]
        rows = [row for row in self.rows if any(row.samples.get(peer) for peer in self.others)]
        if not rows:
            return ""
        lines = [["scenario", self.base, *names], ["---", *["---:"] * (len(names) + 1)]]
        for row in rows:
            base = f"{_figure(row, self.base).partition(' (')[0]} {row.scenario.unit}"
            ratios = [_middle(row.ratios(peer, self.base)) for peer in names]
            lines.append([row.scenario.title, base, *("-" if each is None else f"{each:.2f}" for each in ratios)])
        return "\n".join("| " + " | ".join(line) + " |" for line in lines)

    def circumstances(self) -> str:
        """Latencies, and whether it was the proxy that set the pace."""
        shares = ["proxy", "client", "backend", "others"]
        table = [["scenario", "peer", "p50 us", "p99 us", "per CPU-s", *shares, ""]]
        for row in self.rows:
            if not isinstance(row.scenario, Traffic):
                continue
            for peer, samples in row.samples.items():
                table.append([row.scenario.title, peer, *_circumstances(samples)])
        return aligned(table)

    def write_json(self, path: Path) -> None:
        """Every sample of every round."""
        rows = [
            {
                "scenario": asdict(row.scenario),
                "median": {peer: row.value(peer) for peer in row.samples},
                "ratios": {peer: row.ratios(peer, self.base) for peer in (*self.peers[1:], *self.others)},
                "verdict": row.verdict(self.judged, self.base) if self._judges else None,
                "samples": {peer: [asdict(sample) for sample in row.samples[peer]] for peer in row.samples},
                "failures": row.failures,
            }
            for row in self.rows
        ]
        document = {"machine": machine(), "versions": dict(self.versions), "base": self.base, "rows": rows}
        path.write_text(json.dumps(document, indent=2) + "\n")

    @property
    def _judges(self) -> bool:
        return bool(self.judged) and self.base == "nginx"


def machine() -> dict[str, str | int]:
    """What the figures were measured on."""
    described = Path("/proc/cpuinfo").read_text().splitlines()
    models = [entry for entry in described if entry.startswith("model name")]
    return {
        "processor": models[0].partition(":")[2].strip() if models else platform.machine(),
        "processors": len(os.sched_getaffinity(0)),
        "kernel": platform.release(),
        "python": platform.python_version(),
    }


def aligned(table: Sequence[Sequence[str]]) -> str:
    """Columns of text; the first is set left, the others right."""
    widths = [max(map(len, column)) for column in zip(*table, strict=True)]
    return "\n".join(line(cells, widths) for cells in table)


def line(cells: Sequence[str], widths: Sequence[int]) -> str:
    """One row of a table whose columns are known."""
    first, *rest = zip(cells, widths, strict=True)
    return "  ".join([first[0].ljust(first[1]), *(cell.rjust(width) for cell, width in rest)]).rstrip()


def _figure(row: Row, peer: str) -> str:
    value = row.value(peer)
    if value is None:
        return "failed" if peer in row.failures else "-"
    figure = f"{value:.0f}" if value >= 100 else f"{value:.1f}"
    return f"{figure} ({1e6 / value:,.0f}/s)" if row.scenario.name in _PER_SECOND else figure


def _ratio(ratios: Sequence[float]) -> str:
    if not ratios:
        return "-"
    return f"{median(ratios):.2f} ({min(ratios):.2f}-{max(ratios):.2f})"


def _circumstances(samples: Sequence[Sample]) -> list[str]:
    results = [sample.result for sample in samples if sample.result]
    proxy, client, backend, others = (
        median(getattr(sample, name) for sample in samples)
        for name in ("proxy_busy", "client_busy", "backend_busy", "others_busy")
    )
    remarks = []
    if max(client, backend) > _SATURATED > proxy:
        remarks.append("loadgen sets the pace")
    if others > _NOISY:
        remarks.append("noisy machine")
    if not all(result.complete for result in results):
        remarks.append("cut short by time")
    return [
        f"{median(result.p50_us for result in results):.0f}",
        f"{median(result.p99_us for result in results):.0f}",
        f"{1e6 / median(sample.value for sample in samples):,.0f}",
        *(f"{share:.0%}" for share in (proxy, client, backend, others)),
        ", ".join(remarks),
    ]

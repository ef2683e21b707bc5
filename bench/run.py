"""`make bench`: Penstock beside nginx and what users would pick instead, one worker each, rounds interleaved.

    python bench/run.py [--quick] [--peers nginx,penstock] [--others caddy,node] [--scenario NAME] ...

See bench/README.md for what the figures mean.
"""

import argparse
import itertools
import os
import signal
import sys
import tempfile
import time
from collections.abc import Iterable, Sequence
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from types import FrameType

import load
import others
import proxies
import report
import rounds
from scenarios import BESIDE, SCENARIOS, Beside, Idle, Multiplexed, Paced, Scenario, Start, Storm, Traffic, can

_PEERS = "nginx,penstock"
_ROUNDS = 5
_QUICK_ROUNDS = 3
_QUICK_PORTION = 0.3
_BURSTS = 25
_BURST = 0.1
_MEMORY_ROUNDS = 2  # memory hardly varies
_DESCRIPTORS = 4200
_INTERRUPTED = 130


class Bench:
    """What all scenarios share: the backend, the compiled loadgen, one running proxy per peer."""

    def __init__(self, directory: Path, loadgen: load.Loadgen, portion: float, stack: ExitStack) -> None:
        self._directory = directory
        self._loadgen = loadgen
        self._portion = portion
        self._stack = stack
        self._numbers = itertools.count()
        self._running: dict[str, proxies.Proxy] = {}
        self._values = proxies.certificate(directory)
        self._backends = load.behind(stack, loadgen, self._values)
        bulk = stack.enter_context(load.Backend(loadgen))
        self._values |= load.ports_of({**self._backends, "bulk": bulk})
        self._saturation: dict[tuple[int, int], float] = {}

    def start(self, peer: proxies.Peer) -> None:
        """Start the proxy that the scenarios of traffic share. Raises DidNotStart."""
        self._running[peer.name] = self._stack.enter_context(self._fresh(peer))

    def measure(self, scenario: Scenario, peer: proxies.Peer) -> rounds.Sample:
        """One run. Raises LoadFailed, DidNotStart."""
        if isinstance(scenario, Traffic):
            backend = self._backends["secure" if scenario.relay == "relay_preread" else "backend"]
            return rounds.traffic(scenario, self._fitted(peer, scenario), backend, self._loadgen, self._portion)
        if isinstance(scenario, Paced):
            half = self._saturation_of_first(scenario) / 2
            return rounds.paced(scenario, self._running[peer.name], self._loadgen, half, self._portion)
        if isinstance(scenario, Beside):
            return rounds.beside(scenario, self._running[peer.name], self._loadgen, self._portion)
        if isinstance(scenario, Multiplexed):
            return rounds.multiplexed(scenario, self._running[peer.name], self._portion)
        if isinstance(scenario, Storm):
            return rounds.storm(scenario, self._running[peer.name], self._loadgen, self._portion)
        with self._fresh(peer) as proxy:
            if isinstance(scenario, Start):
                return rounds.start(scenario, proxy)
            return rounds.idle(scenario, proxy, self._loadgen)

    def _fitted(self, peer: proxies.Peer, scenario: Traffic) -> proxies.Proxy:
        """The proxy for a scenario; one that has a cache or streams is started when it is first asked for."""
        what = "with a cache" if scenario.caches else "with streams" if scenario.relay else ""
        name = f"{peer.name} {what}".rstrip()
        if name not in self._running:
            self._running[name] = self._stack.enter_context(self._fresh(proxies.fitted(peer, scenario)))
        return self._running[name]

    def _saturation_of_first(self, scenario: Paced) -> float:
        wanted = scenario.tunnels, scenario.size
        if wanted not in self._saturation:
            first = next(iter(self._running.values()))
            self._saturation[wanted] = rounds.saturation(first, self._loadgen, *wanted)
        return self._saturation[wanted]

    def explain(self, peer: proxies.Peer) -> str:
        """The last words of the shared proxy."""
        return self._running[peer.name].said()

    def _fresh(self, peer: proxies.Peer) -> proxies.Proxy:
        return proxies.Proxy(peer, self._directory / f"{peer.name}-{next(self._numbers)}", self._values)


def main() -> int:
    options = _options()
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, _interrupt)
    descriptors = proxies.raise_descriptor_limit()
    if descriptors < _DESCRIPTORS:
        print(f"bench: {descriptors} descriptors per process; 2,000 tunnels take more", file=sys.stderr)
    peers = _installed(options.peers.split(","), options)
    if not peers:
        return 1
    more = _installed(filter(None, options.others.split(",")), options)
    began = time.monotonic()
    with ExitStack() as stack:
        directory = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="penstock-bench-")))
        try:
            loadgen = load.build(directory, _on(1) if options.pin else ())
            bench = Bench(directory, loadgen, _portion(options), stack)
        except (load.CannotBuild, proxies.NotInstalled) as why:
            print(f"bench: {why}", file=sys.stderr)
            return 1
        started = _started(bench, peers)
        if not started:
            return 1
        rows: list[report.Row] = []
        beside = _started(bench, more)
        versions = {peer.name: peer.version() for peer in (*started, *beside)}
        result = report.Report([p.name for p in started], rows, versions, [p.name for p in beside])
        _introduce(result)
        interrupted = False
        try:
            _run(bench, (started, beside), _chosen(options.scenario, loadgen), options, rows, result)
        except KeyboardInterrupt:
            interrupted = True  # what is complete is still worth showing
    _conclude(result, time.monotonic() - began, options.json)
    if interrupted:
        return _INTERRUPTED
    return 1 if len(started) < len(peers) or any(row.failures for row in rows) else 0


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Penstock beside nginx: CPU per message, memory per tunnel.")
    parser.add_argument("--peers", metavar="NAMES", help=f"{_PEERS} unless told; the first is the measure of all")
    parser.add_argument(
        "--others",
        metavar="NAMES",
        help=f"in a table of their own: {','.join(others.NAMES)} unless --peers is given; '' for none",
    )
    names = [scenario.name for scenario in SCENARIOS]
    parser.add_argument("--scenario", action="append", choices=names, metavar="NAME", help=", ".join(names))
    parser.add_argument("--rounds", type=int, help=f"{_ROUNDS} unless told, {_QUICK_ROUNDS} with --quick")
    parser.add_argument("--quick", action="store_true", help="fewer messages: under a minute, and less exact")
    parser.add_argument("--bursts", action="store_true", help="many short rounds in random turns, for a busy machine")
    parser.add_argument("--pin", action="store_true", help="proxy on one processor, load on another: steadier")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write every sample there")
    options = parser.parse_args()
    if options.others is None:
        options.others = "" if options.peers else ",".join(others.NAMES)
    options.peers = options.peers or _PEERS
    return options


def _on(which: int) -> tuple[str, ...]:
    """The command that starts a program on the first or second processor that we may use."""
    usable = sorted(os.sched_getaffinity(0))
    return ("taskset", "-c", str(usable[which % len(usable)]))


def _interrupt(_number: int, _frame: FrameType | None) -> None:
    raise KeyboardInterrupt


def _installed(names: Iterable[str], options: argparse.Namespace) -> list[proxies.Peer]:
    found = []
    for name in names:
        try:
            peer = proxies.find(name)
            found.append(replace(peer, program=(*_on(0), *peer.program)) if options.pin else peer)
        except proxies.NotInstalled as why:
            print(f"bench: {why}: left out", file=sys.stderr)
    return found


def _started(bench: Bench, peers: Sequence[proxies.Peer]) -> list[proxies.Peer]:
    started = []
    for peer in peers:
        try:
            bench.start(peer)
        except proxies.DidNotStart as why:
            print(f"bench: {peer.name} left out: it {why}", file=sys.stderr)
        else:
            started.append(peer)
    return started


def _chosen(names: Sequence[str] | None, loadgen: load.Loadgen) -> list[Scenario]:
    chosen = [scenario for scenario in SCENARIOS if not names or scenario.name in names]
    if not loadgen.tls and any(scenario.tls for scenario in chosen):
        print("bench: TLS scenarios skipped: no OpenSSL headers (apt-get install libssl-dev)", file=sys.stderr)
    return [scenario for scenario in chosen if loadgen.tls or not scenario.tls]


def _run(
    bench: Bench,
    peers: tuple[Sequence[proxies.Peer], Sequence[proxies.Peer]],
    chosen: Sequence[Scenario],
    options: argparse.Namespace,
    rows: list[report.Row],
    result: report.Report,
) -> None:
    widths = [max((len(scenario.title) for scenario in chosen), default=0), 7]
    widths += [max(15, len(heading)) for heading in result.headings()[2:]]
    print(report.line(result.headings(), widths), flush=True)
    for scenario in chosen:
        row = report.Row(scenario)
        taking = (*peers[0], *(peers[1] if scenario.name in BESIDE else ()))
        for order in rounds.interleaved(taking, _rounds_of(scenario, options)):
            for peer in order:
                if peer.name not in row.failures and can(peer.name, scenario):
                    _sample(bench, scenario, peer, row)
        rows.append(row)
        print(report.line(result.cells(row), widths), flush=True)


def _portion(options: argparse.Namespace) -> float:
    """How much of each scenario a round is."""
    if options.bursts:
        return _BURST
    return _QUICK_PORTION if options.quick else 1.0


def _rounds_of(scenario: Scenario, options: argparse.Namespace) -> int:
    if options.rounds:
        return int(options.rounds)
    if isinstance(scenario, Idle | Start):
        return 1 if options.quick else _MEMORY_ROUNDS
    if options.bursts:
        return _BURSTS
    return _QUICK_ROUNDS if options.quick else _ROUNDS


def _sample(bench: Bench, scenario: Scenario, peer: proxies.Peer, row: report.Row) -> None:
    try:
        row.samples.setdefault(peer.name, []).append(bench.measure(scenario, peer))
    except (load.LoadFailed, proxies.DidNotStart, OSError) as why:
        row.failures[peer.name] = str(why)
        row.samples.pop(peer.name, None)
        print(f"bench: {scenario.name}, {peer.name}: {why}\n{bench.explain(peer)}", file=sys.stderr)


def _introduce(result: report.Report) -> None:
    machine = report.machine()
    print(f"{machine['processors']} x {machine['processor']}, Linux {machine['kernel']}")
    for peer, version in result.versions.items():
        print(f"{peer}: {version}")
    print(f"load average {os.getloadavg()[0]:.2f}\n")


def _conclude(result: report.Report, seconds: float, json_file: Path | None) -> None:
    if any(isinstance(row.scenario, Traffic) for row in result.rows):
        print("\nWho set the pace (shares of one processor; medians):\n")
        print(result.circumstances())
    print(f"\n{result.markdown()}\n")
    if beside := result.beside():
        print(f"What users would pick instead, ratios to {result.base}:\n\n{beside}\n")
    print(f"{seconds:.0f} seconds")
    if json_file is not None:
        result.write_json(json_file)


if __name__ == "__main__":
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        sys.exit(_INTERRUPTED)

"""Two versions of Penstock beside each other: CPU per transaction, in user space and in the kernel, interleaved.

    python bench/compare.py SCENARIO [--rounds 9] [--count 6000] NAME=PROGRAM NAME=PROGRAM ...

Each PROGRAM is a command that takes nginx's options, nothing for the one that is installed; a NAME is that of a peer
(`nginx`, `penstock-python`, `penstock-c`), with anything behind an `@`. The ratio is the median of those within a
round, to the first. User space and kernel are counted in ticks of the clock, and do not add up exactly.
"""

import argparse
import shlex
import statistics
import sys
import tempfile
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path

import load
import meters
import proxies
import report
import rounds
from scenarios import SCENARIOS, Traffic, find

_WARMUP = 500
_SECONDS = 60
Figures = tuple[float, float, float]


def main() -> int:
    options = _options()
    scenario = find(options.scenario)
    assert isinstance(scenario, Traffic)
    proxies.raise_descriptor_limit()
    rows: dict[str, list[Figures]] = {}
    with tempfile.TemporaryDirectory(prefix="penstock-compare-") as name:
        directory = Path(name)
        try:
            loadgen = load.build(directory)
            values = proxies.certificate(directory)
            for number in range(options.rounds):
                for version in options.version:
                    label, _, program = version.partition("=")
                    peer = proxies.fitted(proxies.find(label.partition("@")[0]), scenario)
                    if program:
                        peer = replace(peer, program=tuple(shlex.split(program)))
                    home = directory / f"{label}-{number}"
                    rows.setdefault(label, []).append(_measure(scenario, peer, loadgen, home, values, options.count))
        except (load.CannotBuild, load.LoadFailed, proxies.NotInstalled, proxies.DidNotStart) as why:
            print(f"compare: {why}", file=sys.stderr)
            return 1
    base = next(iter(rows.values()))
    table = [[scenario.title, "us", "user", "kernel", "ratio"]]
    for label, found in rows.items():
        ratio = statistics.median(mine[0] / first[0] for mine, first in zip(found, base, strict=True))
        table.append([label, *(f"{statistics.median(part):.1f}" for part in zip(*found, strict=True)), f"{ratio:.2f}"])
    print(report.aligned(table))
    return 0


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Versions of Penstock beside each other.")
    names = [scenario.name for scenario in SCENARIOS if isinstance(scenario, Traffic) and not scenario.streams]
    parser.add_argument("scenario", choices=names, metavar="SCENARIO", help=", ".join(names))
    parser.add_argument("version", nargs="+", metavar="NAME=PROGRAM")
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--count", type=int, default=6000, help="transactions a round, 6,000 unless told")
    return parser.parse_args()


def _measure(
    scenario: Traffic, peer: proxies.Peer, loadgen: load.Loadgen, home: Path, values: dict[str, str], count: int
) -> Figures:
    """Microseconds a transaction: all, user space, kernel. Raises LoadFailed, DidNotStart."""
    with ExitStack() as stack:
        ports = load.ports_of(load.behind(stack, loadgen, values))
        with (
            proxies.Proxy(peer, home, {**values, **ports}) as proxy,
            rounds.driving(scenario, proxy, loadgen, warmup=_WARMUP, count=count, seconds=_SECONDS) as client,
        ):
            client.ready()
            pids = meters.tree(proxy.pid)
            began, parts = meters.cpu(pids), meters.user_and_kernel(pids)
            result = client.go()
            ended, later = meters.cpu(pids), meters.user_and_kernel(pids)
    each = 1e6 / result.count
    return (ended - began) * each, (later[0] - parts[0]) * each, (later[1] - parts[1]) * each


if __name__ == "__main__":
    sys.exit(main())

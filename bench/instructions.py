"""What a transaction costs where no noise on the machine moves it: instructions and first-level cache misses of user
space under valgrind, system calls, blocks of memory.

    python bench/instructions.py [--scenario handshakes] [--peers nginx,penstock-c] [--only calls] [--count 2000]
    python bench/instructions.py --peers penstock-c,penstock-c@before=/old/.venv/bin/penstock --only instructions

Counted is what the one process does between two points in time, divided by the transactions between them. A message of
a tunnel is mostly the kernel's work, of which this says nothing but how often it is called. HTTP/2 is asked for by
`h2-requests` and `h2-tunnels` (RFC 8441), TLS included: of the first, with a handshake for some 700 requests. A peer
may have anything behind an `@`, and a program of its own behind an equals sign: so versions are compared.
"""

import argparse
import shlex
import sys
import tempfile
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path

import counting
import load
import proxies
import report
import rounds
from scenarios import SCENARIOS, Multiplexed, Traffic, can, find

_PEERS = "nginx,penstock-python,penstock-c"
_WARMUP = 200
_CONNECTIONS = 20
_SECONDS = 300
_PER_CONNECTION = 1000
"""What nginx's `keepalive_requests` allows."""


def main() -> int:
    options = _options()
    names = options.scenario or ["tunnels-100", "handshakes", "requests"]
    peers = options.peers.split(",")
    failed = False
    table = [["a transaction", *(each.partition("=")[0] for each in peers)]]
    with tempfile.TemporaryDirectory(prefix="penstock-instructions-") as name:
        directory = Path(name)
        try:
            loadgen = load.build(directory)
            for scenario in map(find, names):
                assert isinstance(scenario, Traffic | Multiplexed)
                for kind in options.only or counting.COUNTERS:
                    columns = [_column(scenario, peer, kind, loadgen, directory, options.count) for peer in peers]
                    for at, figure in enumerate(counting.COUNTERS[kind].figures):
                        cells = [f"{column[at]:,.1f}" if column else "" for column in columns]
                        row = [f"{scenario.name}: {figure}", *(cell.removesuffix(".0") for cell in cells)]
                        print(*row, sep="\t", flush=True)
                        table.append(row)
        except (load.CannotBuild, load.LoadFailed, proxies.NotInstalled, proxies.DidNotStart) as why:
            print(f"instructions: {why}", file=sys.stderr)
            failed = True
    print(f"\n{report.aligned(table)}")
    return int(failed)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Instructions, cache misses, system calls, blocks per transaction.")
    names = [scenario.name for scenario in SCENARIOS if isinstance(scenario, Traffic | Multiplexed)]
    parser.add_argument("--scenario", action="append", choices=names, metavar="NAME", help=", ".join(names))
    parser.add_argument("--peers", default=_PEERS)
    parser.add_argument("--only", action="append", choices=list(counting.COUNTERS), help="count nothing else")
    parser.add_argument("--count", type=int, default=2000, help="transactions, 2,000 unless told")
    return parser.parse_args()


def _column(
    scenario: Traffic | Multiplexed, name: str, kind: str, loadgen: load.Loadgen, directory: Path, count: int
) -> list[float] | None:
    """The figures of one proxy; None where they can not be had, which is said."""
    label = name.partition("=")[0]
    if not can(label.partition("@")[0], scenario):
        print(f"instructions: {label}, {scenario.name}: it does not speak that", file=sys.stderr)
        return None
    home = directory / f"{scenario.name}-{label}-{kind}"
    home.mkdir()
    try:
        counter = counting.COUNTERS[kind](home)
        return _measure(scenario, name, counter, loadgen, home, count)
    except counting.NoTool as why:
        print(f"instructions: {label}, {kind}: {why}", file=sys.stderr)
        return None


def _measure(
    scenario: Traffic | Multiplexed,
    name: str,
    counter: counting.Counter,
    loadgen: load.Loadgen,
    home: Path,
    count: int,
) -> list[float]:
    label, _, program = name.partition("=")
    peer = proxies.fitted(proxies.find(label.partition("@")[0]), scenario)
    if program:
        peer = replace(peer, program=tuple(shlex.split(program)))
    with ExitStack() as stack:
        values = proxies.certificate(home)
        values |= load.ports_of(load.behind(stack, loadgen, values))
        alone = ("-g", "master_process off;") if peer.template == "nginx.conf" else ()
        arguments = (*peer.arguments, *alone)
        counted = replace(peer, program=counter.command(peer.program), arguments=arguments)
        proxy = stack.enter_context(proxies.Proxy(counted, home / "proxy", values, patience=counting.PATIENCE))
        counter.begin(proxy.pid)
        if isinstance(scenario, Multiplexed):
            kept = replace(scenario, connections=count // _PER_CONNECTION + 1)
            rounds.ask_by_h2load(kept, proxy, count=_WARMUP, seconds=_SECONDS)
            return counter.count(proxy.pid, lambda: _asked(kept, proxy, count))
        few = replace(scenario, connections=min(scenario.connections, max(_CONNECTIONS, 4 * scenario.streams)))
        with rounds.driving(few, proxy, loadgen, warmup=_WARMUP, count=count, seconds=_SECONDS) as client:
            client.ready()
            return counter.count(proxy.pid, lambda: client.go().count)


def _asked(scenario: Multiplexed, proxy: proxies.Proxy, count: int) -> int:
    rounds.ask_by_h2load(scenario, proxy, count=count, seconds=_SECONDS)
    return count


if __name__ == "__main__":
    sys.exit(main())

"""Instructions per transaction, which no noise on the machine moves: the proxies under valgrind.

    python bench/instructions.py [--scenario tunnels-100] [--peers nginx,penstock-python,penstock-c] [--count 2000]

What is counted is user space of the one process between two points in time, divided by the transactions between them.
It says nothing about the kernel, where most of a tunnel's time goes, and is for comparing one version with the next.
"""

import argparse
import re
import shutil
import subprocess
import sys
import tempfile
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path

import load
import proxies
import report
from scenarios import SCENARIOS, Traffic, find

_PEERS = "nginx,penstock-python,penstock-c"
_TOTAL = re.compile(r"^(?:summary|totals): (\d+)", re.MULTILINE)
_WARMUP = 200
_CONNECTIONS = 20
_PATIENCE = 120
_SECONDS = 300


def main() -> int:
    options = _options()
    if not (shutil.which("valgrind") and shutil.which("callgrind_control")):
        print("instructions: valgrind is not installed (apt-get install valgrind)", file=sys.stderr)
        return 1
    names = options.scenario or ["tunnels-100", "handshakes", "requests"]
    peers = options.peers.split(",")
    table = [["instructions per transaction", *peers]]
    with tempfile.TemporaryDirectory(prefix="penstock-instructions-") as name:
        directory = Path(name)
        try:
            loadgen = load.build(directory)
            for scenario in map(find, names):
                assert isinstance(scenario, Traffic)
                counts = [_count(scenario, peer, loadgen, directory, options.count) for peer in peers]
                table.append([scenario.title, *(f"{count:,.0f}" for count in counts)])
        except (load.CannotBuild, load.LoadFailed, proxies.NotInstalled, proxies.DidNotStart) as why:
            print(f"instructions: {why}", file=sys.stderr)
            return 1
    print(report.aligned(table))
    return 0


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Instructions per transaction, under valgrind.")
    names = [scenario.name for scenario in SCENARIOS if isinstance(scenario, Traffic) and not scenario.tls]
    parser.add_argument("--scenario", action="append", choices=names, metavar="NAME", help=", ".join(names))
    parser.add_argument("--peers", default=_PEERS)
    parser.add_argument("--count", type=int, default=2000, help="transactions, 2,000 unless told")
    return parser.parse_args()


def _count(scenario: Traffic, name: str, loadgen: load.Loadgen, directory: Path, count: int) -> float:
    peer = proxies.find(name)
    home = directory / f"{scenario.name}-{name}"
    out = directory / f"{scenario.name}-{name}.%p"
    valgrind = ("valgrind", "--tool=callgrind", f"--callgrind-out-file={out}", "--quiet")
    with ExitStack() as stack:
        backend = stack.enter_context(load.Backend(loadgen))
        values = {**proxies.certificate(directory), "backend": str(backend.port), "bulk": str(backend.port)}
        # valgrind can be told to begin and to stop by a process that it started itself, not by a fork of it.
        arguments = (*peer.arguments, "-g", "master_process off;")
        under = replace(peer, program=(*valgrind, *proxies.interpreted(peer.program)), arguments=arguments)
        proxy = stack.enter_context(proxies.Proxy(under, home, values, patience=_PATIENCE))
        worker = proxy.pid
        client = load.Client(
            loadgen,
            scenario.workload,
            proxy.plain,
            path=scenario.path,
            connections=min(scenario.connections, _CONNECTIONS),
            size=scenario.size,
            warmup=_WARMUP,
            count=count,
            seconds=_SECONDS,
        )
        with client:
            client.ready()
            _control("--zero", worker)
            result = client.go()
            _control("--dump", worker)
        dumps = sorted(directory.glob(f"{out.name.replace('%p', str(worker))}.*"))
        found = _TOTAL.search(dumps[0].read_text()) if dumps else None
        if found is None:
            raise load.LoadFailed(f"callgrind wrote no figures for {name}")
        return int(found[1]) / result.count


def _control(what: str, pid: int) -> None:
    subprocess.run(["callgrind_control", what, str(pid)], capture_output=True, check=True, timeout=_PATIENCE)


if __name__ == "__main__":
    sys.exit(main())

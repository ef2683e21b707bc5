"""What do `preconnect`, `listen ... deferred` and `listen ... reuseport` change for who connects?

    python experiments/connecting.py [--rounds 5]

Each is Penstock with the configuration of `make bench` and one line more, in turns with Penstock without it: CPU of the
proxy for a handshake with an echo and close frames (16 at a time), and for a request on a connection of its own. Of
`reuseport` also the shares: how 400 tunnels lie in four workers. `connecting.md` has figures.
"""

from __future__ import annotations

import argparse
import re
import statistics
import sys
import tempfile
from collections import Counter
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "bench"))

import load
import meters
import proxies
import rounds
from scenarios import Traffic, find

CHANGES = {
    "as it is": ("", ""),
    "preconnect 16": ("upstream chat {", "upstream chat { preconnect 16;"),
    "deferred": ("listen 127.0.0.1:@plain@", "listen 127.0.0.1:@plain@ deferred"),
    "reuseport": ("listen 127.0.0.1:@plain@", "listen 127.0.0.1:@plain@ reuseport"),
}
TUNNELS = 400
WORKERS = 4


def main() -> int:
    parser = argparse.ArgumentParser(description="What preconnect, deferred and reuseport change.")
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    proxies.raise_descriptor_limit()
    with tempfile.TemporaryDirectory(prefix="penstock-connecting-") as name:
        folder = Path(name)
        loadgen = load.build(folder)
        values = proxies.certificate(folder)
        for scenario in (find("handshakes"), find("visits")):
            assert isinstance(scenario, Traffic)
            figures: dict[str, list[float]] = {}
            for number in range(options.rounds):
                for change in rotated(list(CHANGES), number):
                    home = folder / f"{scenario.name}-{number}-{change.split()[0]}"
                    figures.setdefault(change, []).append(measured(scenario, change, loadgen, home, values))
            base = figures["as it is"]
            print(scenario.title)
            for change, found in figures.items():
                ratio = statistics.median(mine / first for mine, first in zip(found, base, strict=True))
                print(f"  {change:14} {statistics.median(found):6.0f} us   {ratio:.2f}")
        print(f"{TUNNELS} tunnels in {WORKERS} workers, the fewest and the most")
        for change in ("as it is", "reuseport"):
            shares = shared_among(change, loadgen, folder / f"shares-{change.split()[0]}", values)
            print(f"  {change:14} {min(shares)} {max(shares)}")
    return 0


def rotated(names: list[str], by: int) -> list[str]:
    """The names, beginning with another one each time."""
    at = by % len(names)
    return names[at:] + names[:at]


def configured(change: str, folder: Path, workers: int = 1) -> None:
    """The configuration of the benchmark with one line changed, where `Proxy` looks for it."""
    old, new = CHANGES[change]
    text = (Path(__file__).parents[1] / "bench" / "conf" / "nginx.conf").read_text()
    folder.mkdir(exist_ok=True)
    text = text.replace(old, new) if old else text
    (folder / "nginx.conf").write_text(text.replace("worker_processes 1;", f"worker_processes {workers};"))
    proxies._TEMPLATES = folder


def measured(scenario: Traffic, change: str, loadgen: load.Loadgen, home: Path, values: dict[str, str]) -> float:
    """CPU of the proxy for one of them, in microseconds."""
    configured(change, home.parent / "templates")
    with load.Backend(loadgen) as backend:
        ports = {"backend": str(backend.port), "bulk": str(backend.port)}
        with (
            proxies.Proxy(proxies.find("penstock"), home, {**values, **ports}) as proxy,
            rounds.driving(scenario, proxy, loadgen, warmup=300, count=1500, seconds=30) as client,
        ):
            client.ready()
            processes = meters.tree(proxy.pid)
            began = meters.cpu(processes)
            result = client.go()
            return (meters.cpu(processes) - began) / result.count * 1e6


def shared_among(change: str, loadgen: load.Loadgen, home: Path, values: dict[str, str]) -> list[int]:
    """How many tunnels each worker has: its sockets, half of them to backends."""
    configured(change, home.parent / "templates", WORKERS)
    peer = proxies.find("penstock")
    with load.Backend(loadgen) as backend:
        ports = {"backend": str(backend.port), "bulk": str(backend.port)}
        with (
            proxies.Proxy(peer, home, {**values, **ports}) as proxy,
            load.Client(loadgen, "idle", proxy.plain, path="/ws", connections=TUNNELS) as client,
        ):
            client.ready()
            found = Counter({pid: sockets_of(pid) for pid in proxy.processes() if pid != proxy.pid})
            client.go()
    return [count // 2 for count in found.values()]


def sockets_of(pid: int) -> int:
    """Count the descriptors of a process that are sockets."""
    count = 0
    for entry in Path(f"/proc/{pid}/fd").iterdir():
        try:
            count += bool(re.match(r"socket:", str(entry.readlink())))
        except OSError:
            continue
    return count


if __name__ == "__main__":
    sys.exit(main())

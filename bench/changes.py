"""What happens to open tunnels when something changes: nginx beside Penstock, measured.

    python bench/changes.py [--tunnels 1000] [--peers nginx,penstock]

A thousand WebSockets with a message each every 100 ms go through five reloads with a changed configuration, once as the
configuration is and once with `worker_shutdown_timeout 2s` (what people add so that old workers go), and through an
upgrade of the program (USR2, then QUIT to the old one). Shown is what clients noticed, and what is left of processes.
"""

from __future__ import annotations

import argparse
import os
import re
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import meters
import proxies
import report

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))

from harness.crowd import Crowd, EchoServers, Report

_RELOADS = 5
_BETWEEN = 0.8
_SETTLING = 5.0
_INTERVAL = 0.1


@dataclass(frozen=True, slots=True)
class Change:
    """Something an operator does; `more` is a line of the configuration."""

    title: str
    act: Callable[[Daemon], None]
    more: str = ""


def main() -> int:
    options = _options()
    proxies.raise_descriptor_limit()
    changes = (
        Change(f"{_RELOADS} reloads", _reload),
        Change(f"{_RELOADS} reloads, worker_shutdown_timeout 2s", _reload, "worker_shutdown_timeout 2s;"),
        Change("upgrade: USR2, then QUIT", _upgrade),
        Change("upgrade, worker_shutdown_timeout 2s", _upgrade, "worker_shutdown_timeout 2s;"),
    )
    table = [["", "", "ended", "without close frame", "lost", "slowest", "processes", "private memory"]]
    with tempfile.TemporaryDirectory(prefix="penstock-changes-") as name:
        for number, change in enumerate(changes):
            for peer in options.peers.split(","):
                found = _measure(change, proxies.find(peer), Path(name) / f"{peer}-{number}", options.tunnels)
                table.append([change.title, peer, *found])
                print(report.aligned([table[0], table[-1]]), flush=True)
    print("\n" + "\n".join("| " + " | ".join(row) + " |" for row in [table[0], ["---"] * len(table[0]), *table[1:]]))
    return 0


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="What happens to open tunnels when something changes.")
    parser.add_argument("--tunnels", type=int, default=1000)
    parser.add_argument("--peers", default="nginx,penstock")
    return parser.parse_args()


class Daemon:
    """A proxy in the background, as services run; whoever has taken over from it included."""

    def __init__(self, peer: proxies.Peer, home: Path, more: str, backend: int) -> None:
        self.home = home
        (home / "temp").mkdir(parents=True)
        self.port = proxies.free_ports(1)[0]
        values = {"more": more, "user": proxies.user(), "port": str(self.port), "backend": str(backend)}
        text = (Path(__file__).parent / "conf" / "changes.conf").read_text()
        self.configuration = home / "proxy.conf"
        self.configuration.write_text(re.sub(r"@(\w+)@", lambda match: values[match[1]], text))
        command = [*peer.program, "-p", f"{home}/", "-c", "proxy.conf", "-e", "error.log"]
        subprocess.run(command, cwd=home, check=True, timeout=30, stdin=subprocess.DEVNULL)
        self.first = self.master()
        self._known: set[int] = set()
        _until(lambda: len(self.processes()) > 2, "has no workers")

    def master(self) -> int:
        """Who the pid file names. Raises OSError, ValueError."""
        return int((self.home / "nginx.pid").read_text())

    def processes(self) -> list[int]:
        """All that live now, and have ever been seen here."""
        for root in (self.first, self._named()):
            if root and _lives(root):
                self._known.update(meters.tree(root))
        return sorted(pid for pid in self._known if _lives(pid))

    def end(self) -> None:
        """Everybody."""
        for number in (signal.SIGTERM, signal.SIGKILL):
            for pid in self.processes():
                with suppress(ProcessLookupError):
                    os.kill(pid, number)
            with suppress(TimeoutError):
                _until(lambda: not self.processes(), "goes on", 3)
                return

    def _named(self) -> int:
        try:
            return self.master()
        except (OSError, ValueError):
            return 0


def _measure(change: Change, peer: proxies.Peer, home: Path, tunnels: int) -> list[str]:
    with EchoServers() as echo:
        proxy = Daemon(peer, home, change.more, echo.port)
        try:
            before = proxy.processes()
            with Crowd(proxy.port, interval=_INTERVAL) as crowd:
                crowd.open(tunnels, "/ws")
                crowd.forget()
                change.act(proxy)
                time.sleep(_SETTLING)
                told = crowd.settle()
                after = proxy.processes()
                memory = sum(_memory(pid) for pid in after)
        finally:
            proxy.end()
    return [*_noticed(told), f"{len(before)} -> {len(after)}", f"{memory / 2**20:.0f} MiB"]


def _noticed(told: Report) -> list[str]:
    ended = sum(told.closes.values())
    return [str(ended), str(told.closes.get(1006, 0)), str(told.lost), f"{told.latest * 1000:.0f} ms"]


def _reload(proxy: Daemon) -> None:
    text = proxy.configuration.read_text()
    for number in range(_RELOADS):
        proxy.configuration.write_text(text.replace("X-Version 0", f"X-Version {number + 1}"))
        os.kill(proxy.master(), signal.SIGHUP)
        time.sleep(_BETWEEN)
        proxy.processes()


def _upgrade(proxy: Daemon) -> None:
    old = proxy.master()
    os.kill(old, signal.SIGUSR2)
    _until(lambda: (proxy.home / "nginx.pid").exists() and proxy.master() != old, "started no other program")
    time.sleep(_BETWEEN)
    proxy.processes()
    os.kill(old, signal.SIGQUIT)


def _memory(pid: int) -> int:
    with suppress(FileNotFoundError, ProcessLookupError):
        return meters.private_memory([pid])
    return 0  # gone a moment ago


def _until(true: Callable[[], object], otherwise: str, seconds: float = 15) -> None:
    deadline = time.monotonic() + seconds
    while not true():
        if time.monotonic() > deadline:
            raise TimeoutError(otherwise)
        time.sleep(0.05)


def _lives(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except (FileNotFoundError, ProcessLookupError):
        return False
    return state != "Z"


if __name__ == "__main__":
    sys.exit(main())

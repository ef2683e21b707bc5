"""How long does a message wait because of a reload?

    python experiments/reload_pause.py [--servers 4,2000] [--tunnels 1000] [--reloads 8] [--workers 1]

One tunnel of many bounces a message, a millisecond after the last one came back, while the configuration is reloaded,
each time changed. Shown of each reload: the longest round trip from HUP until a second after the old plan has been
freed, and what worker and master spent of the processor. The longest round trip without any reload stands beside them:
what the machine itself does to a message.
`reload_pause.md` has figures.
"""

from __future__ import annotations

import argparse
import os
import re
import select
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests"))

from harness.crowd import Crowd, EchoServers

WINDOW = 2.5
"""Seconds after a plan is in force that belong to a reload: the old one is freed in them."""

SITE = """
daemon off;
worker_processes {workers};
worker_rlimit_nofile 20000;
events {{ worker_connections 8192; }}
error_log error.log notice;
pid nginx.pid;
http {{
    access_log off;
    map $http_upgrade $connection_upgrade {{ default upgrade; '' close; }}
    upstream app {{ least_conn; server 127.0.0.1:{echo}; }}
    server {{
        listen 127.0.0.1:{port};
        add_header X-Version {number};
        location / {{
            proxy_pass http://app;
            proxy_http_version 1.1;
            proxy_set_header Upgrade $http_upgrade;
            proxy_set_header Connection $connection_upgrade;
        }}
    }}
{more}
}}
"""

ANOTHER = """
    server {{
        listen 127.0.0.1:{port};
        server_name site{each}.test;
        location / {{ proxy_pass http://app; proxy_set_header Host $host; }}
        location /chat {{
            proxy_pass http://app;
            proxy_http_version 1.1;
            proxy_set_header Upgrade $http_upgrade;
            proxy_set_header Connection $connection_upgrade;
        }}
        location ~ \\.(png|css)$ {{ expires 1d; proxy_pass http://app; }}
    }}
"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--servers", default="4,2000")
    parser.add_argument("--tunnels", type=int, default=1000)
    parser.add_argument("--reloads", type=int, default=8)
    parser.add_argument("--workers", type=int, default=1)
    parser.add_argument("--interval", type=float, default=1.0, help="seconds between messages of the other tunnels")
    options = parser.parse_args()
    for servers in options.servers.split(","):
        measure(int(servers), options)


def measure(servers: int, options: argparse.Namespace) -> None:
    with tempfile.TemporaryDirectory(prefix="penstock-pause-") as name, EchoServers() as echo:
        front = Front(Path(name), servers, echo.port, options.workers)
        try:
            with Crowd(front.port, interval=options.interval) as crowd:
                crowd.open(options.tunnels, "/")
                probe = Probe(front.port)
                quiet = probe.run(WINDOW)
                rows = []
                for _ in range(options.reloads):
                    before = front.spent()
                    front.reload()
                    worst = probe.run(60, front.over)
                    worst = max(worst, probe.run(WINDOW))
                    after = front.spent()
                    rows.append((worst, *(b - a for a, b in zip(before, after, strict=True))))
                told = crowd.settle()
        finally:
            front.end()
        lines = len(front.text().splitlines())
        print(f"{lines} lines, {options.tunnels} tunnels; quiet: {1000 * quiet:.1f} ms; crowd {told.latest:.3f} s")
        for title, column in zip(("longest", "master", "workers"), zip(*rows, strict=True), strict=True):
            values = " ".join(f"{1000 * value:.0f}" for value in column)
            print(f"  {title:8} median {1000 * statistics.median(column):6.1f} ms   ({values})")
        print("  in force after", ", ".join(front.times()))


class Front:
    """Penstock with so many servers."""

    def __init__(self, home: Path, servers: int, echo: int, workers: int) -> None:
        self.home = home
        with socket.create_server(("127.0.0.1", 0)) as free:
            self.port = free.getsockname()[1]
        more = "".join(ANOTHER.format(port=self.port, each=each) for each in range(servers - 1))
        self.given = {"workers": workers, "echo": echo, "port": self.port, "more": more}
        self.number = 0
        self._write()
        self.process = subprocess.Popen(
            [sys.executable, "-m", "penstock", "-p", f"{home}/", "-c", "site.conf", "-e", "error.log"], cwd=home
        )
        deadline = time.monotonic() + 60
        while not (home / "nginx.pid").exists() or len(self.workers()) < workers:
            if time.monotonic() > deadline:
                raise TimeoutError("does not start")
            time.sleep(0.05)
        time.sleep(0.5)

    def text(self) -> str:
        return SITE.format(number=self.number, **self.given)

    def _write(self) -> None:
        (self.home / "site.conf").write_text(self.text())

    def workers(self) -> list[int]:
        pid = self.process.pid
        return [int(each) for each in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]

    def spent(self) -> tuple[float, float]:
        """Seconds of the processor: the master's, the workers'."""
        return used(self.process.pid), sum(used(pid) for pid in self.workers())

    def reload(self) -> None:
        self.number += 1
        self._write()
        os.kill(self.process.pid, signal.SIGHUP)

    def over(self) -> bool:
        """Whether what was asked for last is in force."""
        return len(self.times()) == self.number

    def times(self) -> list[str]:
        """What reloads took, by the log."""
        text = (self.home / "error.log").read_text()
        if "[alert]" in text:
            raise RuntimeError(text)
        return re.findall(r"is in force, (\d+ ms)", text)

    def end(self) -> None:
        self.process.terminate()
        self.process.wait(10)


def used(pid: int) -> float:
    """Of all threads, by the scheduler's own books."""
    threads = Path(f"/proc/{pid}/task").iterdir()
    return sum(int((each / "schedstat").read_text().split()[0]) for each in threads) / 1e9


class Probe:
    """A tunnel with one message on its way."""

    def __init__(self, port: int) -> None:
        self.sock = socket.create_connection(("127.0.0.1", port), 10)
        self.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.sock.sendall(
            b"GET / HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
            b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
        )
        head = self.sock.recv(4096)
        if not head.startswith(b"HTTP/1.1 101"):
            raise RuntimeError(head[:100])

    def run(self, seconds: float, until: Callable[[], bool] = lambda: False) -> float:
        """The longest round trip meanwhile."""
        ends = time.monotonic() + seconds
        worst = 0.0
        frame = b"\x82\x84\x00\x00\x00\x00ping"
        while True:
            sent = time.monotonic()
            if sent > ends:
                return worst
            self.sock.sendall(frame)
            wanted = 6  # header and four bytes, without a mask
            while wanted > 0:
                if not select.select([self.sock], [], [], 10)[0]:
                    raise TimeoutError("no echo")
                data = self.sock.recv(wanted)
                if not data:
                    raise RuntimeError("the tunnel has ended")
                wanted -= len(data)
            worst = max(worst, time.monotonic() - sent)
            time.sleep(0.001)
            if until():
                return worst


if __name__ == "__main__":
    main()

"""The proxies that are compared: where their programs are, how each is started and ended."""

import os
import pwd
import random
import re
import resource
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from types import TracebackType
from typing import Self

import meters
import others
from fleet_redis import BenchRedis
from peer import NotInstalled, Peer, program
from scenarios import Scenario

__all__ = ["DidNotStart", "NotInstalled", "Peer", "Proxy"]

_TEMPLATES = Path(__file__).with_name("conf")
_PATIENCE = 15.0
_WATCHED = "websocket auto; websocket_ping 20s; websocket_max_message 16m from=both;"
_REDIAL = f"{_WATCHED} websocket_redial 30s;"
_ZONES = "limit_conn_zone $server_port zone=ports:1m{sync}; limit_conn_zone $remote_addr zone=clients:1m{sync};"
_PLACES = "limit_conn ports 60000; limit_conn clients 60000;"
_COUNTED = {"zones": (_ZONES.format(sync=""), False), "fleet": (_ZONES.format(sync=""), True)}
_COUNTED["sync"] = (_ZONES.format(sync=" sync"), True)
"""What `penstock-zones` and its kin have: zones of `limit_conn`, and whether they are in a fleet."""
_CACHE = {
    "cache": "proxy_cache_path temp/cache levels=1:2 keys_zone=bench:1m;",
    "kept": "proxy_cache bench; proxy_cache_valid 1h;",
}
_MODULE = Path("/usr/lib/nginx/modules/ngx_stream_module.so")
"""Where Debian has nginx's module for streams (libnginx-mod-stream)."""
_STREAM = """
stream {
    server { listen 127.0.0.1:@relay@; proxy_pass 127.0.0.1:@backend@; }
    server {
        listen 127.0.0.1:@relay_tls@ ssl;
        ssl_certificate @certificate@;
        ssl_certificate_key @key@;
        ssl_protocols TLSv1.2 TLSv1.3;
        proxy_pass 127.0.0.1:@backend@;
    }
    map $ssl_preread_server_name $behind { bench.example 127.0.0.1:@secure@; default 127.0.0.1:@backend@; }
    server { listen 127.0.0.1:@relay_preread@; ssl_preread on; proxy_pass $behind; }
}
"""
_PORTS = ("plain", "tls", "relay", "relay_tls", "relay_preread")
_EPHEMERAL = Path("/proc/sys/net/ipv4/ip_local_port_range")


class DidNotStart(Exception):
    """The message holds what the proxy printed and logged."""


def find(name: str) -> Peer:
    """`nginx`, `penstock`, or one of `others.NAMES`; `NGINX_BINARY` and so on name another program to run in its place.

    `penstock-python` and `penstock-c` are Penstock with the one or the other of its two relays, `penstock-watched` is
    Penstock that looks at every frame, `penstock-redial` one that may go on with another backend besides.
    `penstock-zones` counts WebSockets in two zones, `penstock-fleet` likewise, in a fleet that has nothing to say about
    them, and `penstock-sync` in two zones of the fleet. `nginx-two` and `penstock-two` have two workers. Raises
    NotInstalled.
    """
    if name in others.NAMES:
        return others.find(name)
    arguments = ("-p", "./", "-c", "proxy.conf", "-e", "error.log")
    base, _, relay = name.partition("-")
    command = program(base, f"apt-get install {base}")
    if relay in ("watched", "redial"):
        return Peer(name, command, arguments, "nginx.conf", watch=_WATCHED if relay == "watched" else _REDIAL)
    if relay == "two":
        return Peer(name, command, arguments, "nginx.conf", workers=2)
    if relay in _COUNTED:
        zones, fleet = _COUNTED[relay]
        return Peer(name, command, arguments, "nginx.conf", watch=_PLACES, zones=zones, fleet=fleet)
    environment = (("PENSTOCK_RELAY", relay),) if relay else ()
    return Peer(name, command, arguments, "nginx.conf", environment)


def fitted(peer: Peer, scenario: Scenario) -> Peer:
    """A peer with what a scenario takes beside the usual: a cache, streams."""
    return replace(peer, caches=getattr(scenario, "caches", False), relays=bool(getattr(scenario, "relay", "")))


def interpreted(program: tuple[str, ...]) -> tuple[str, ...]:
    """The interpreter that the first line of a script names, and the script; a program as it is."""
    with Path(program[0]).open("rb") as file:
        first = file.readline()
    return (first[2:].decode().strip(), *program) if first.startswith(b"#!") else program


def certificate(directory: Path) -> dict[str, str]:
    """A key on P-256 and its certificate in `directory`: the values that the templates want.

    Raises NotInstalled, CalledProcessError.
    """
    if shutil.which("openssl") is None:
        raise NotInstalled("the command openssl is not installed (apt-get install openssl)")
    key, chain, both = directory / "key.pem", directory / "certificate.pem", directory / "both.pem"
    command = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"]
    command += ["-days", "2", "-subj", "/CN=bench.example", "-keyout", str(key), "-out", str(chain)]
    subprocess.run(command, capture_output=True, check=True, timeout=60)
    both.write_text(chain.read_text() + key.read_text())
    return {"certificate": str(chain), "key": str(key), "certificate_and_key": str(both)}


def raise_descriptor_limit() -> int:
    """For this process and all that it starts; what the limit is now."""
    _soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = 65536 if hard == resource.RLIM_INFINITY else hard
    resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
    return wanted


class Proxy:
    """A running proxy. `plain` and `tls` are its ports, and those of its streams are among `ports`; `pid` is its first
    process; `patience` is for its start, in seconds."""

    def __init__(
        self,
        peer: Peer,
        directory: Path,
        values: Mapping[str, str],
        environment: Mapping[str, str] | None = None,
        patience: float = _PATIENCE,
    ) -> None:
        self.peer = peer
        self.directory = directory
        self.ports = dict(zip(_PORTS, free_ports(len(_PORTS)), strict=True))
        self.plain, self.tls = self.ports["plain"], self.ports["tls"]
        self._patience = patience
        ports = {name: str(port) for name, port in self.ports.items()}
        self._values = {**values, **ports, "user": user(), "watch": peer.watch}
        self._values |= _CACHE if peer.caches else dict.fromkeys(_CACHE, "")
        self._values |= {"module": "", "stream": ""}
        if peer.relays:
            self._values["stream"] = self._filled(_STREAM)
            if peer.name.startswith("nginx") and _MODULE.exists():
                self._values["module"] = f"load_module {_MODULE};"
        self._values |= {"zones": peer.zones, "fleet": "", "workers": str(peer.workers)}
        self._redis: BenchRedis | None = None
        self._environment = {**os.environ, **dict(peer.environment), **(environment or {})}

    def __enter__(self) -> Self:
        (self.directory / "temp").mkdir(parents=True)
        if self.peer.fleet:
            (port,) = free_ports(1)
            self._redis = BenchRedis(port, self.directory)
            # Under a tool that slows it down an answer takes long.
            self._values["fleet"] = f"fleet redis://127.0.0.1:{port}/0 timeout=4s;"
        template = (_TEMPLATES / self.peer.template).read_text()
        (self.directory / self.peer.file).write_text(self._filled(template))
        with (self.directory / "output.log").open("wb") as output:
            self._process = subprocess.Popen(
                [*self.peer.program, *map(self._filled, self.peer.arguments)],
                cwd=self.directory,
                env=self._environment,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                start_new_session=True,
            )
        try:
            self._wait_until_listening()
            if self._redis is not None:
                self._redis.wait_until_sure(self._patience + 15)
        except BaseException:
            self._end()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._end()

    def _filled(self, text: str) -> str:
        return re.sub(r"@(\w+)@", lambda match: self._values[match[1]], text)

    @property
    def pid(self) -> int:
        return self._process.pid

    def processes(self) -> list[int]:
        return meters.tree(self.pid)

    def worker(self) -> int:
        """The process that serves: the one child, or the only process."""
        return self.processes()[-1]

    def said(self) -> str:
        """What it printed and logged, the last of it."""
        logs = [self.directory / name for name in ("output.log", "error.log")]
        return "\n".join(log.read_text(errors="replace")[-2000:] for log in logs if log.exists()).strip()

    def _wait_until_listening(self) -> None:
        deadline = time.monotonic() + self._patience
        for port in (self.plain, self.tls):
            while not (_answers(port) if self.peer.late else _listens(port)):
                if self._process.poll() is not None:
                    raise DidNotStart(f"ended with status {self._process.returncode}\n{self.said()}")
                if time.monotonic() > deadline:
                    raise DidNotStart(f"does not listen after {self._patience:.0f} seconds\n{self.said()}")
                time.sleep(0.02)

    def _end(self) -> None:
        family = {pid: meters.started_at(pid) for pid in self.processes()}
        if self._process.poll() is None:
            self._process.terminate()
        try:
            self._process.wait(timeout=5)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        deadline = time.monotonic() + 2
        while time.monotonic() < deadline and any(_lives(*member) for member in family.items()):
            time.sleep(0.02)
        for pid, started in family.items():
            if _lives(pid, started):
                os.kill(pid, signal.SIGKILL)
        if self._redis is not None:
            self._redis.end()


def _lives(pid: int, started: int | None) -> bool:
    return started is not None and meters.started_at(pid) == started


def user() -> str:
    """The line of a configuration that keeps workers what we are, if we are root."""
    # A worker that changes its user may no longer be looked at without CAP_SYS_PTRACE, which containers lack.
    return f"user {pwd.getpwuid(0).pw_name};" if os.geteuid() == 0 else ""


def _listens(port: int) -> bool:
    with socket.socket() as probe:
        probe.settimeout(1)
        return probe.connect_ex(("127.0.0.1", port)) == 0


def _answers(port: int) -> bool:
    """Whether a request is passed on. A port with TLS is as ready as the one without, which is asked first."""
    with socket.socket() as probe:
        probe.settimeout(1)
        try:
            probe.connect(("127.0.0.1", port))
            probe.sendall(b"GET / HTTP/1.1\r\nHost: bench.example\r\nConnection: close\r\n\r\n")
            return b" 404 " not in probe.recv(64)
        except OSError:
            return False


def free_ports(count: int) -> list[int]:
    """Ports below those that the kernel gives to outgoing connections, which may come at any time."""
    lowest_ephemeral = int(_EPHEMERAL.read_text().split()[0])
    found: list[int] = []
    for port in random.sample(range(10240, max(lowest_ephemeral, 20480)), 200):
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
        found.append(port)
        if len(found) == count:
            return found
    raise DidNotStart("no free ports in 200 tries")

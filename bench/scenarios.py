"""What is measured, in what amounts, and how far from nginx Penstock may be."""

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True, slots=True)
class Traffic:
    """CPU of the proxy per transaction.

    `workload` is a mode of loadgen; `count` transactions are measured after `warmup` others. `target` is the
    greatest ratio to nginx that is good enough. `caches`: the answers come out of a cache. With `streams` so many
    tunnels share a connection of HTTP/2 (RFC 8441), for which nginx has no figure. `relay` is the port of a `stream`
    block that passes the same traffic on without looking into it.
    """

    name: str
    title: str
    workload: Literal["tunnels", "handshakes", "requests", "visits"]
    connections: int
    count: int
    warmup: int
    target: float | None
    size: int = 64
    path: str = "/ws"
    tls: bool = False
    absolute: bool = False
    streams: int = 0
    caches: bool = False
    relay: Literal["", "relay", "relay_tls", "relay_preread"] = ""

    @property
    def unit(self) -> str:
        return {"tunnels": "us/msg", "handshakes": "us each", "requests": "us/req", "visits": "us/req"}[self.workload]


@dataclass(frozen=True, slots=True)
class Idle:
    """Private memory per tunnel that has carried one message and is silent, in KiB: `target` is an amount."""

    name: str
    title: str
    tunnels: int
    target: float
    tls: bool = False
    unit: str = "KiB"
    absolute: bool = True
    streams: int = 0
    path: str = "/ws"


@dataclass(frozen=True, slots=True)
class Storm:
    """Wall time until all clients that come at once have a tunnel and its first echo: `turns` times `tunnels` of them,
    as many as descriptors allow, each turn on top of nothing. Client, backend and proxy share the processors."""

    name: str
    title: str
    tunnels: int
    turns: int
    target: float
    tls: bool = False
    unit: str = "s"
    absolute: bool = False


@dataclass(frozen=True, slots=True)
class Start:
    """Resident memory of the worker before its first connection, in MiB; `share`: its share of it, where pages that it
    has in common with the master count half."""

    name: str
    title: str
    target: float | None
    share: bool = False
    tls: bool = False
    unit: str = "MiB"
    absolute: bool = True


@dataclass(frozen=True, slots=True)
class Paced:
    """Latency at half the load that saturates the first peer: the 99th percentile, from when a message is due."""

    name: str
    title: str
    tunnels: int
    count: int
    target: float
    size: int = 64
    tls: bool = False
    unit: str = "us p99"
    absolute: bool = False


@dataclass(frozen=True, slots=True)
class Beside:
    """What chatting tunnels notice of a download of `mib` MiB: their median latency meanwhile, in multiples of
    that before. `rate` is messages per second, of all of them. With `streams` all are on one connection of HTTP/2."""

    name: str
    title: str
    tunnels: int
    rate: int
    mib: int
    target: float
    tls: bool = False
    unit: str = "x alone"
    absolute: bool = True
    streams: int = 0


@dataclass(frozen=True, slots=True)
class Multiplexed:
    """CPU of the proxy per request over HTTP/2 with TLS, by h2load: `streams` at once on each of `connections`."""

    name: str
    title: str
    connections: int
    streams: int
    count: int
    target: float | None = None
    path: str = "/"
    tls: bool = False
    unit: str = "us/req"
    absolute: bool = False


Scenario = Traffic | Idle | Storm | Start | Paced | Beside | Multiplexed


def can(peer: str, scenario: Scenario) -> bool:
    """Whether a peer can do it at all: few speak RFC 8441, and node's http-proxy speaks no HTTP/2."""
    if isinstance(scenario, Multiplexed):
        return peer != "node"
    if getattr(scenario, "relay", "") and not peer.startswith(("nginx", "penstock")):
        return False
    return not getattr(scenario, "streams", 0) or peer == "haproxy" or peer.startswith("penstock")


BESIDE = (
    "tunnels-100",
    "tunnels-64k",
    "tls-100",
    "handshakes",
    "tls-handshakes",
    "requests",
    "visits",
    "h2-requests",
    "idle",
    "tls-idle",
)
"""What is asked of all that users would pick instead (`others.NAMES`): the usual, and no fine points."""


_KIB = 1024

SCENARIOS: tuple[Scenario, ...] = (
    Traffic("tunnels-1", "1 tunnel x 64 B", "tunnels", 1, 20_000, 500, 1.4),
    Traffic("tunnels-100", "100 tunnels x 64 B", "tunnels", 100, 50_000, 5_000, 1.25),
    Traffic("tunnels-1000", "1,000 tunnels x 64 B", "tunnels", 1000, 50_000, 5_000, 1.2),
    Traffic("tunnels-16k", "50 tunnels x 16 KiB", "tunnels", 50, 10_000, 1_000, 0.35, 16 * _KIB),
    Traffic("tunnels-64k", "20 tunnels x 64 KiB", "tunnels", 20, 3_000, 300, 0.2, 64 * _KIB),
    Traffic(
        "tunnels-64k-buffer",
        "20 tunnels x 64 KiB, proxy_buffer_size 64k",
        "tunnels",
        20,
        6_000,
        300,
        0.95,
        64 * _KIB,
        "/ws-64k",
    ),
    Traffic("tls-1", "TLS, 1 tunnel x 64 B", "tunnels", 1, 10_000, 500, 1.6, tls=True),
    Traffic("tls-100", "TLS, 100 tunnels x 64 B", "tunnels", 100, 40_000, 4_000, 1.35, tls=True),
    Traffic("tls-1000", "TLS, 1,000 tunnels x 64 B", "tunnels", 1000, 40_000, 4_000, 1.6, tls=True),
    Traffic("tls-16k", "TLS, 20 tunnels x 16 KiB", "tunnels", 20, 6_000, 600, 0.8, 16 * _KIB, tls=True),
    Traffic("tls-64k", "TLS, 20 tunnels x 64 KiB", "tunnels", 20, 2_000, 200, 1.0, 64 * _KIB, tls=True),
    Traffic("handshakes", "handshake, one echo, close", "handshakes", 16, 3_000, 300, 1.9),
    Traffic("tls-handshakes", "TLS handshake, one echo, close", "handshakes", 16, 1_200, 100, 1.6, tls=True),
    Traffic("requests", "HTTP GET, kept connections", "requests", 32, 15_000, 1_500, 2.2, path="/"),
    Traffic("cached", "the same, out of a cache", "requests", 32, 15_000, 1_500, 2.2, path="/cached", caches=True),
    Traffic("visits", "HTTP GET, a connection each", "visits", 16, 4_000, 400, 1.9, path="/"),
    Traffic("stream", "stream, 100 connections x 64 B", "tunnels", 100, 50_000, 5_000, 1.25, relay="relay"),
    Traffic("stream-64k", "stream, 20 x 64 KiB", "tunnels", 20, 3_000, 300, 0.95, 64 * _KIB, relay="relay"),
    Traffic(
        "stream-tls", "stream, TLS ended, 100 x 64 B", "tunnels", 100, 40_000, 4_000, 1.35, tls=True, relay="relay_tls"
    ),
    Traffic(
        "stream-preread",
        "stream, ssl_preread, 100 x 64 B",
        "tunnels",
        100,
        40_000,
        4_000,
        1.25,
        tls=True,
        relay="relay_preread",
    ),
    Traffic("stream-visits", "stream, a connection each", "handshakes", 16, 3_000, 300, None, relay="relay"),
    Traffic(
        "stream-tls-visits",
        "stream, TLS ended, a connection each",
        "handshakes",
        16,
        1_200,
        100,
        None,
        tls=True,
        relay="relay_tls",
    ),
    Traffic(
        "stream-preread-visits",
        "stream, ssl_preread, a connection each",
        "handshakes",
        16,
        2_000,
        200,
        None,
        tls=True,
        relay="relay_preread",
    ),
    Multiplexed("h2-requests", "HTTP/2 GET over TLS, 10 connections x 10", 10, 10, 10_000),
    Traffic(
        "h2-tunnels",
        "HTTP/2 over TLS, 4 connections x 25 tunnels x 64 B",
        "tunnels",
        100,
        40_000,
        4_000,
        None,
        tls=True,
        streams=25,
    ),
    Paced("paced", "latency, 100 tunnels x 64 B at half load", 100, 40_000, 1.3),
    Beside("beside", "latency of 100 tunnels beside a download of 1 GiB", 100, 2_000, 1024, 3.0),
    Beside("h2-beside", "the same on one connection of HTTP/2 over TLS", 100, 2_000, 1024, 3.0, tls=True, streams=100),
    Storm("storm", "20,000 clients reconnect, 2,500 at once", 2500, 8, 1.3),
    Idle("idle", "idle tunnel, of 2,000", 2000, 3.0),
    Idle("idle-long", "the same, with a handshake of 800 bytes", 2000, 4.5, path=f"/ws?token={'x' * 600}"),
    Idle("tls-idle", "TLS, idle tunnel, of 1,000", 1000, 28.0, tls=True),
    Idle("h2-idle", "HTTP/2 over TLS, idle tunnel, of 20 connections x 100", 2000, 8.0, tls=True, streams=100),
    Start("start", "worker's RSS at start", 30.0),
    Start("start-share", "worker's PSS at start", None, share=True),
)


def find(name: str) -> Scenario:
    """By name; raises KeyError."""
    return {scenario.name: scenario for scenario in SCENARIOS}[name]

"""One run of one scenario against one proxy, and the order of the runs."""

import random
import shutil
import subprocess
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TypeVar

import meters
from load import Backend, Client, LoadFailed, Loadgen, Result
from proxies import Proxy
from scenarios import Beside, Idle, Multiplexed, Paced, Start, Storm, Traffic

P = TypeVar("P")
_SECONDS_PER_RUN = 20
_SETTLING = 0.3
_LOOKS = 50
_WARMING_HANDSHAKES = 100


@dataclass(frozen=True, slots=True)
class Sample:
    """One figure in the scenario's unit. Of traffic also: the client's own view, and how busy each party was.

    The shares are of one processor: `proxy_busy` 1.0 is a proxy that never waited. `others_busy` is all else
    on this machine.
    """

    value: float
    result: Result | None = None
    proxy_busy: float = 0.0
    client_busy: float = 0.0
    backend_busy: float = 0.0
    others_busy: float = 0.0


def interleaved(peers: Sequence[P], rounds: int) -> Iterator[list[P]]:
    """A B, B A, A B, ...: who comes first alternates, so that neither always finds the warmer machine."""
    for number in range(rounds):
        yield list(peers) if number % 2 == 0 else list(reversed(peers))


def in_turns(peers: Sequence[P], rounds: int) -> Iterator[list[P]]:
    """As many rounds, each in an order of its own: what else the machine does, at whatever pace, meets all alike."""
    for _ in range(rounds):
        yield random.sample(peers, len(peers))


def driving(scenario: Traffic, proxy: Proxy, loadgen: Loadgen, *, warmup: int, count: int, seconds: int) -> Client:
    """The client that makes a scenario's traffic, for at most so many seconds."""
    return Client(
        loadgen,
        scenario.workload,
        proxy.ports[scenario.relay or ("tls" if scenario.tls else "plain")],
        path=scenario.path,
        connections=scenario.connections,
        size=scenario.size,
        warmup=warmup,
        count=count,
        seconds=seconds,
        tls=scenario.tls,
        **_over_http2(scenario.streams),
    )


def traffic(scenario: Traffic, proxy: Proxy, backend: Backend, loadgen: Loadgen, portion: float) -> Sample:
    """CPU of all the proxy's processes around exactly `count * portion` transactions.

    Raises LoadFailed.
    """
    count, warmup = int(scenario.count * portion), int(scenario.warmup * portion)
    warmup = max(warmup, scenario.connections)
    with driving(scenario, proxy, loadgen, warmup=warmup, count=count, seconds=_SECONDS_PER_RUN) as client:
        client.ready()
        processes = proxy.processes()
        machine, behind, began = meters.machine_busy(), meters.cpu([backend.pid]), meters.cpu(processes)
        result = client.go()
        used = meters.cpu(processes) - began
        behind, machine = meters.cpu([backend.pid]) - behind, meters.machine_busy() - machine
    others = max(0.0, machine - used - behind - result.cpu_seconds)
    return Sample(
        used / result.count * 1e6,
        result,
        proxy_busy=used / result.seconds,
        client_busy=result.cpu_seconds / result.seconds,
        backend_busy=behind / result.seconds,
        others_busy=others / result.seconds,
    )


def multiplexed(scenario: Multiplexed, proxy: Proxy, portion: float) -> Sample:
    """CPU of all the proxy's processes around h2load's requests, its handshakes included. Raises LoadFailed."""
    count = int(scenario.count * portion)
    processes = proxy.processes()
    began = meters.cpu(processes)
    ask_by_h2load(scenario, proxy, count=count, seconds=_SECONDS_PER_RUN * 3)
    used = meters.cpu(processes) - began
    return Sample(used / count * 1e6)


def ask_by_h2load(scenario: Multiplexed, proxy: Proxy, *, count: int, seconds: int) -> None:
    """Send so many requests, each of which has to succeed, within so many seconds. Raises LoadFailed."""
    if shutil.which("h2load") is None:
        raise LoadFailed("h2load is not installed (Debian: apt-get install nghttp2-client)")
    url = f"https://127.0.0.1:{proxy.tls}{scenario.path}"
    command = ["h2load", "-n", str(count), "-c", str(scenario.connections), "-m", str(scenario.streams), url]
    done = subprocess.run(command, capture_output=True, text=True, timeout=seconds, check=False)
    if f"{count} succeeded" not in done.stdout or "protocol: h2" not in done.stdout:
        raise LoadFailed(f"h2load: {done.stdout[-300:]}{done.stderr[-300:]}")


def idle(scenario: Idle, proxy: Proxy, loadgen: Loadgen) -> Sample:
    """What each of `tunnels` silent tunnels adds to a proxy that has served little before.

    Afterwards each tunnel carries one more message, which proves that it was there. Raises LoadFailed.
    """
    port = proxy.tls if scenario.tls else proxy.plain
    with Client(
        loadgen, "handshakes", port, path="/ws", tls=scenario.tls, connections=10, count=_WARMING_HANDSHAKES
    ) as warming:
        warming.ready()
        warming.go()
    time.sleep(_SETTLING)
    processes = proxy.processes()
    before = meters.private_memory(processes)
    over = _over_http2(scenario.streams)
    path, tls, tunnels = scenario.path, scenario.tls, scenario.tunnels
    with Client(loadgen, "idle", port, path=path, tls=tls, connections=tunnels, **over) as client:
        client.ready()
        time.sleep(_SETTLING)
        grown = meters.private_memory(processes) - before
        return Sample(grown / scenario.tunnels / 1024, client.go())


def storm(scenario: Storm, proxy: Proxy, loadgen: Loadgen, portion: float) -> Sample:
    """Seconds until all who come at once have had an echo, in all turns together. Raises LoadFailed."""
    seconds = 0.0
    for _ in range(max(1, int(scenario.turns * portion))):
        began = time.monotonic()
        with Client(loadgen, "idle", proxy.plain, path="/ws", connections=scenario.tunnels) as client:
            client.ready()
            seconds += time.monotonic() - began
        _settled(proxy)
    return Sample(seconds)


def _settled(proxy: Proxy) -> None:
    """Wait until the proxy has nothing left to do, a while at the most."""
    processes = proxy.processes()
    used = meters.cpu(processes)
    for _ in range(_LOOKS):
        time.sleep(_SETTLING)
        before, used = used, meters.cpu(processes)
        if used - before < 0.01:
            return


def saturation(proxy: Proxy, loadgen: Loadgen, tunnels: int, size: int) -> float:
    """Messages per second when every tunnel sends again as soon as it has its echo. Raises LoadFailed."""
    with Client(
        loadgen, "tunnels", proxy.plain, path="/ws", connections=tunnels, size=size, warmup=2_000, count=20_000
    ) as client:
        client.ready()
        result = client.go()
    return result.count / result.seconds


def paced(scenario: Paced, proxy: Proxy, loadgen: Loadgen, rate: float, portion: float) -> Sample:
    """The 99th percentile of the time from when a message is due to its echo. Raises LoadFailed."""
    with Client(
        loadgen,
        "tunnels",
        proxy.tls if scenario.tls else proxy.plain,
        path="/ws",
        connections=scenario.tunnels,
        size=scenario.size,
        warmup=1_000,
        count=int(scenario.count * portion),
        seconds=_SECONDS_PER_RUN,
        rate=int(rate),
        tls=scenario.tls,
    ) as client:
        client.ready()
        result = client.go()
    return Sample(result.p99_us, result)


def beside(scenario: Beside, proxy: Proxy, loadgen: Loadgen, portion: float) -> Sample:
    """Median latency of the tunnels during a download, in multiples of that without one. Raises LoadFailed."""
    mib = max(1, int(scenario.mib * portion))
    if scenario.streams:
        with _chat(scenario, proxy, loadgen, seconds=2) as alone:
            alone.ready()
            quiet = alone.go()
        path = f"/bulk?mib={mib}"
        with _chat(scenario, proxy, loadgen, seconds=_SECONDS_PER_RUN, download=path) as together:
            together.ready()
            busy = together.go()
        if busy.downloaded != mib << 20:
            raise LoadFailed(f"a download of {busy.downloaded} bytes, {mib} MiB expected")
        return Sample(busy.p50_us / quiet.p50_us, busy)
    with (
        _chat(scenario, proxy, loadgen, seconds=2) as alone,
        Client(loadgen, "download", proxy.plain, path="/bulk", count=mib) as bulk,
        _chat(scenario, proxy, loadgen, seconds=1) as together,
    ):
        alone.ready()
        quiet = alone.go()
        together.ready()
        bulk.ready()
        bulk.begin()
        busy = together.go()
        bulk.end()
    return Sample(busy.p50_us / quiet.p50_us, busy)


def _over_http2(streams: int) -> dict[str, int]:
    return {"streams": streams} if streams else {}


def _chat(scenario: Beside, proxy: Proxy, loadgen: Loadgen, seconds: float, **more: str) -> Client:
    return Client(
        loadgen,
        "tunnels",
        proxy.tls if scenario.tls else proxy.plain,
        path="/ws",
        connections=scenario.tunnels,
        warmup=scenario.tunnels,
        count=int(scenario.rate * seconds),
        rate=scenario.rate,
        seconds=_SECONDS_PER_RUN * 2,
        tls=scenario.tls,
        **_over_http2(scenario.streams),
        **more,
    )


def start(scenario: Start, proxy: Proxy) -> Sample:
    """The worker's memory once it waits for its first connection. Raises LoadFailed."""
    # The master listens before there are workers: who looks too early finds the master, at work.
    before: object = None
    for _ in range(_LOOKS):
        time.sleep(_SETTLING)
        seen = proxy.worker(), meters.resident_memory(proxy.worker()), round(meters.cpu(proxy.processes()), 2)
        if seen == before:
            memory = meters.share_of_memory if scenario.share else meters.resident_memory
            return Sample(memory(proxy.worker()) / 2**20)
        before = seen
    raise LoadFailed("the worker does not come to rest")

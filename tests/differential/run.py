"""An area of cases through nginx and through Penstock: all cases at once, each from an address of its own."""

import asyncio
import os
import re
import socket
import subprocess
import time
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

from differential.backend import Backend
from differential.cases import DIRECTORY, Area, Case
from differential.client import Heard, converse
from differential.compare import Difference, differences
from differential.known import Version, version
from differential.observe import Normal, Observation, observe
from differential.streams import StreamBackend, observe_stream
from harness.binary import Binary, load_stream, penstock, reference
from harness.ports import free_port
from harness.proxy import Proxy

# How long nothing must come before a connection counts as staying open; then again, longer, where a case surprises.
AT_ONCE = 250
"""Conversations at a time: each is three connections, and a backend's queue has an end."""
PATIENCE = (0.4, 1.5, 5.0)
_LOG = "cases.log"
_FILES_CHANGED = 1704164645
_LOG_SECONDS = 1.0
_ALARM = re.compile(r"\[(?:alert|emerg|crit)\]|Traceback")
_UNIQUE = re.compile(r"^[^\]]*|\*[0-9]+|client: .*")


@dataclass(slots=True)
class Both:
    """What nginx and Penstock did with a case."""

    case: Case
    nginx: Observation
    penstock: Observation
    differences: list[Difference] = field(default_factory=list)


@dataclass(slots=True)
class Outcome:
    """Of an area: its cases by name, and what a proxy's error log holds that it never should, each once."""

    cases: dict[str, Both]
    alarms: list[str]


@cache
def reference_version() -> Version | None:
    """The version of the nginx at hand, or None."""
    binary = reference()
    if binary is None:
        return None
    said = subprocess.run([*binary.command, "-v"], capture_output=True, text=True, timeout=10).stderr
    found = re.search(r"nginx/([0-9.]+)", said)
    return version(found[1]) if found else None


def run(area: Area, surprising: "Surprising", only: Sequence[str] = ()) -> Outcome:
    """Run an area (or some of its cases), and again, ever more slowly, what is `surprising`."""
    nginx = reference()
    assert nginx is not None
    cases = [case for case in area.cases if not only or case.name in only]
    with socket.socket() as listener, ExitStack() as stack:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(("127.0.0.1", free_port()))
        listener.listen(512)
        given = {"backend": listener.getsockname()[1], "dead": free_port()}
        proxies = [_start(stack, area, binary, given) for binary in (nginx, penstock())]

        def attempted(cases: list[Case], attempt: int) -> dict[str, Both]:
            return asyncio.run(_attempt(cases, proxies, listener.dup(), given, attempt, streams=area.streams))

        results = attempted(cases, 0)
        for attempt in range(1, len(PATIENCE)):
            if again := [both.case for both in results.values() if surprising(both)]:
                results.update(attempted(again, attempt))
        alarms = {_UNIQUE.sub("", line): line for proxy in proxies for line in _alarms(proxy)}
    return Outcome(results, list(alarms.values()))


class Surprising:
    """Whether a case is worth a second look: without a table, whenever anything differs."""

    def __call__(self, both: Both) -> bool:
        return bool(both.differences)


def _alarms(proxy: Proxy) -> list[str]:
    return [line for line in proxy.error_log().splitlines() if _ALARM.search(line)]


def _start(stack: ExitStack, area: Area, binary: Binary, ports: dict[str, int]) -> Proxy:
    proxy = Proxy(area.configuration, binary, ports=ports, values={"module": load_stream()}, expect=(".",))
    for path in sorted((DIRECTORY / "files").rglob("*")):
        if path.is_file():
            made = proxy.write(str(path.relative_to(DIRECTORY / "files")), path.read_bytes())
            os.utime(made, (_FILES_CHANGED, _FILES_CHANGED))
    return stack.enter_context(proxy)


async def _attempt(
    cases: list[Case],
    proxies: list[Proxy],
    listener: socket.socket,
    given: dict[str, int],
    attempt: int,
    *,
    streams: bool,
) -> dict[str, Both]:
    addresses = [
        [f"127.{1 + side + 2 * attempt}.{1 + at // 200}.{1 + at % 200}" for at in range(len(cases))]
        for side in range(2)
    ]
    owners = {address: case for side in addresses for address, case in zip(side, cases, strict=True)}
    backend: Backend | StreamBackend = StreamBackend(owners) if streams else Backend(owners)
    await backend.start(listener)
    room = asyncio.Semaphore(AT_ONCE)

    async def told(case: Case, address: str, port: int) -> Heard:
        async with room:
            return await converse(case, address, port, PATIENCE[attempt])

    try:
        heard = await asyncio.gather(
            *(
                told(case, address, proxy.port(case.port))
                for proxy, side in zip(proxies, addresses, strict=True)
                for case, address in zip(cases, side, strict=True)
            )
        )
        logs = await _logs(proxies, addresses)
    finally:
        await backend.stop()
    stray = backend.received.get("", [])
    assert not stray, f"the backend received what belongs to no case: {stray}"
    results: dict[str, Both] = {}
    for at, case in enumerate(cases):
        one, other = (
            _observation(case, heard[at + side * len(cases)], backend, logs[side], proxy, addresses[side][at], given)
            for side, proxy in enumerate(proxies)
        )
        results[case.name] = Both(case, one, other, differences(one, other))
    return results


def _observation(
    case: Case,
    heard: Heard,
    backend: Backend | StreamBackend,
    log: list[str],
    proxy: Proxy,
    address: str,
    given: dict[str, int],
) -> Observation:
    own = {name: number for name, number in proxy.ports.items() if name not in given}
    lines = [line for line in log if line.startswith(f"{address} ")]
    normal = Normal(own, address)
    if isinstance(backend, StreamBackend):
        return observe_stream(heard, backend.received.get(address, []), lines, normal)
    return observe(case.sent, heard, backend.received.get(address, []), lines, normal)


async def _logs(proxies: list[Proxy], addresses: list[list[str]]) -> list[list[str]]:
    """Both logs, once every client has as many lines in one as in the other, or a second has passed."""
    deadline = time.monotonic() + _LOG_SECONDS
    while True:
        await asyncio.sleep(0.1)
        logs = [Path(proxy.directory / _LOG).read_text("latin-1").splitlines() for proxy in proxies]
        counts = [
            [sum(line.startswith(f"{address} ") for line in log) for address in side]
            for log, side in zip(logs, addresses, strict=True)
        ]
        if counts[0] == counts[1] or time.monotonic() > deadline:
            return logs

"""A crowd of WebSocket clients through a proxy, each with a message every so often, and the echo servers behind it.

    with EchoServers(2) as echo:
        front = proxy(configuration, ports={"one": echo.ports[0], "two": echo.ports[1]})
        with Crowd(front.port(), interval=0.1) as crowd:
            crowd.open(1000, "/chat", "/other")      # returns when all are open, or refused
            ...                                      # whatever may go wrong
            told = crowd.settle()                    # stops sending, waits for the last echo
            assert told.unharmed(1000), told

Clients and servers are processes of their own, so that the test's own work delays nothing. Messages carry a number and
the time they were sent at; a client knows at once when one is missing, doubled, out of order, changed or late.
"""

import json
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from threading import Timer
from types import TracebackType
from typing import Any, Self

_HERE = Path(__file__).resolve().parent
_PATIENCE = 60.0
"""Seconds for any command; then the program is killed, and the test fails."""


@dataclass(frozen=True)
class Report:
    """What has happened to a crowd so far; times in seconds, on the monotonic clock.

    `open` now, `opened` in all; `refused` by status line. `wrong`: doubled, reordered or changed messages; `lost` those
    that a dropped client never had back, `outstanding` those on their way. `closes` by code, 1006 for an end without a
    close frame (`dropped`), `close_times` when. `cut`: ends within a frame. `latest` is the longest that a message took
    to come back, `worst` the longest ones with the moment each was sent, `latencies` counts by 10 ms, `stall` the
    longest that the clients themselves were busy or not scheduled.
    """

    open: int
    opened: int
    refused: Mapping[str, int]
    sent: int
    received: int
    outstanding: int
    wrong: int
    lost: int
    dropped: int
    cut: int
    latest: float
    late: int
    stall: float
    closes: Mapping[int, int]
    close_times: list[float] = field(repr=False)
    worst: list[tuple[float, float]] = field(repr=False)
    latencies: Mapping[int, int] = field(repr=False)

    def unharmed(self, count: int) -> bool:
        """`count` clients are open, and each has every message back, once and in order."""
        bad = self.wrong or self.lost or self.dropped or self.outstanding or self.refused or self.closes
        return self.open == count and not bad


@dataclass(frozen=True)
class Served:
    """What the echo servers saw: connections by server, close codes, ends without a close frame, ends within a frame,
    frames without a mask."""

    live: list[int]
    opened: list[int]
    closes: Mapping[int, int]
    dropped: int
    cut: int
    unmasked: int
    messages: int


class _Program:
    """A process that is given commands, a JSON object a line, and answers each with one."""

    def __init__(self, name: str, given: Mapping[str, Any]) -> None:
        self._name = name
        self._process = subprocess.Popen(
            [sys.executable, str(_HERE / name), json.dumps(given)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            start_new_session=True,
        )

    def _ask(self, command: Mapping[str, Any]) -> None:
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps(command).encode() + b"\n")
        self._process.stdin.flush()

    def _told(self) -> dict[str, Any]:
        assert self._process.stdout is not None
        patience = Timer(_PATIENCE, self._process.kill)
        patience.start()
        try:
            line = self._process.stdout.readline()
        finally:
            patience.cancel()
        if not line:
            raise AssertionError(f"{self._name} has ended with {self._process.wait()}, or was too slow")
        found: dict[str, Any] = json.loads(line)
        if "closes" in found:
            found["closes"] = {int(code): times for code, times in found["closes"].items()}
        return found

    def close(self) -> None:
        """End it, and all its connections."""
        self._process.kill()
        self._process.communicate()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


class EchoServers(_Program):
    """WebSocket echo servers, on `ports`. With `answer_close` off they leave a close frame without reply."""

    def __init__(self, count: int = 1, *, answer_close: bool = True) -> None:
        super().__init__("crowd_echo.py", {"count": count, "answer_close": answer_close})
        self.ports: list[int] = self._told()["ports"]

    @property
    def port(self) -> int:
        """The first one's."""
        return self.ports[0]

    def report(self) -> Served:
        self._ask({})
        return Served(**self._told())


class Crowd(_Program):
    """Clients of the proxy on `port`: each sends `size` bytes every `interval` seconds."""

    def __init__(
        self,
        port: int,
        *,
        host: str = "127.0.0.1",
        interval: float = 0.1,
        size: int = 32,
        tls: bool = False,
        answer_close: bool = True,
    ) -> None:
        given = {"host": host, "port": port, "interval": interval, "size": size, "tls": tls}
        super().__init__("crowd_clients.py", {**given, "answer_close": answer_close})

    def open(self, count: int, *targets: str, wait: bool = True) -> Report:
        """Add clients, their paths in turn. Returns when they are open or refused, if that is waited for."""
        return self._do("open", "opened" if wait else "", count=count, targets=targets or ("/",))

    def report(self) -> Report:
        """How things are."""
        return self._do("report")

    def forget(self) -> Report:
        """Begin anew with latencies, after the opening of many."""
        return self._do("forget")

    def settle(self) -> Report:
        """Send nothing more, and wait until nothing is outstanding."""
        return self._do("pause", "settled")

    def resume(self) -> Report:
        """Go on sending."""
        return self._do("resume")

    def leave(self, count: int) -> Report:
        """Let some say goodbye (1000), and wait until they are gone."""
        return self._do("close", "closed", count=count)

    def _do(self, what: str, until: str = "", **more: Any) -> Report:
        self._ask({"do": what, "until": until, **more})
        return Report(**self._told())

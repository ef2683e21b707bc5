"""Connections to backends that are kept for the next request (nginx: ngx_http_upstream_keepalive_module)."""

from __future__ import annotations

from collections.abc import Container
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from penstock.net.timers import Alarm

if TYPE_CHECKING:
    from penstock.net.dial import Address
    from penstock.net.stream import Stream


class Keeper(Protocol):
    """Who keeps connections, and wants to know which it has lost."""

    def lost(self, line: KeptConnection) -> None:
        """Forget a connection that is of no use any more."""


class KeptConnection:
    """A connection to a backend: how many requests it has carried, and since when it is open (monotonic seconds). It is
    called when the backend closes it while it is kept."""

    __slots__ = ("address", "basis", "expires", "mark", "opened", "owner", "pool", "requests", "reused", "stream")

    def __init__(self, stream: Stream, address: Address, now: float) -> None:
        self.stream = stream
        self.address = address
        self.opened = now
        self.requests = 0
        self.mark = 0
        self.reused = False
        self.expires = 0.0
        self.owner: object = None
        self.basis = b""
        self.pool: Keeper | None = None

    def __call__(self) -> None:
        if self.pool is not None:
            self.pool.lost(self)

    def close(self) -> None:
        """Close the connection to the backend."""
        self.stream.close()


@dataclass(frozen=True, slots=True)
class KeepAlive:
    """The options of `keepalive` and its kin: how many idle connections, for how many requests, for how long (seconds).

    `local`: a connection is used again only by the location that opened it, because others may have set other options.
    `written`: `keepalive` stands in the configuration, so that it is meant.
    """

    most: int = 32
    local: bool = True
    written: bool = False
    requests: int = 1000
    time: float = 3600.0
    timeout: float = 60.0


_NOTHING = KeepAlive(most=0)


class Pool:
    """The idle connections of one group in one worker; the one used last is used first."""

    __slots__ = ("_alarm", "_idle", "options")

    def __init__(self, options: KeepAlive) -> None:
        self.options = options
        self._idle: list[KeptConnection] = []
        self._alarm: Alarm | None = None

    def __len__(self) -> int:
        return len(self._idle)

    def take(self, address: Address, owner: object, basis: bytes = b"") -> KeptConnection | None:
        """Take a connection to `address` that is still good, or None. `basis` is what the backend was judged by."""
        idle = self._idle
        if idle:
            line = idle[-1]
            stream = line.stream
            if (
                line.owner is owner  # nearly always
                and line.address is address
                and line.basis is basis
                and not stream.ready
                and stream.fd >= 0
            ):
                idle.pop()
                stream.on_hangup = None
                line.reused = True
                return line
        local = self.options.local
        for at in range(len(idle) - 1, -1, -1):
            line = idle[at]
            if line.address != address or (local and line.owner != owner) or line.basis != basis:
                continue
            del idle[at]
            stream = line.stream
            stream.on_hangup = None
            if stream.ready or stream.fd < 0:
                stream.close()
                continue
            line.reused = True
            return line
        return None

    def put(self, line: KeptConnection, owner: object, now: float, basis: bytes = b"") -> None:
        """Keep a connection whose answer has been read to its end; it is closed if it may not be kept."""
        options = self.options
        stream = line.stream
        if (
            stream.fd < 0
            or (stream.ready and not stream.is_drained())  # bytes that were put back and read again leave it behind
            or line.requests >= options.requests
            or now - line.opened > options.time
            or not options.most
        ):
            stream.close()
            return
        idle = self._idle
        if len(idle) >= options.most:
            idle.pop(0).close()
        line.owner = owner
        line.basis = basis
        line.pool = self
        line.expires = now + options.timeout
        idle.append(line)
        stream.on_hangup = line
        alarm = self._alarm
        if alarm is None:
            alarm = self._alarm = Alarm(stream.loop.timers, self._expire)
        if len(idle) == 1:
            alarm.at(line.expires)

    def keep_only(self, addresses: Container[Address]) -> None:
        """Close what leads elsewhere after a reload, or is too much by the options of now."""
        gone = [line for line in self._idle if line.address not in addresses]
        self._idle = [line for line in self._idle if line.address in addresses]
        while len(self._idle) > self.options.most:
            gone.append(self._idle.pop(0))
        for line in gone:
            line.close()

    def spare(self, most: int) -> int:
        """Close so many, those first that have waited longest, and return how many there were."""
        spared = self._idle[:most]
        del self._idle[:most]
        for line in spared:
            line.close()
        return len(spared)

    def retire(self) -> None:
        """Keep nothing from now on, whoever brings it: the group is no more."""
        self.options = _NOTHING
        self.close()

    def close(self) -> None:
        """Close every idle connection."""
        for line in self._idle:
            line.close()
        self._idle.clear()
        if self._alarm is not None:
            self._alarm.clear()

    def lost(self, line: KeptConnection) -> None:
        """Forget a connection that is of no use any more."""
        if line in self._idle:
            self._idle.remove(line)
        line.close()

    def _expire(self) -> None:
        idle = self._idle
        if not idle:
            return
        now = idle[0].stream.hot.now
        while idle and idle[0].expires <= now:
            idle.pop(0).close()
        if idle and self._alarm is not None:
            self._alarm.at(idle[0].expires)

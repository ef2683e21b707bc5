"""Connections to backends that are open before anybody asks for one: `preconnect`, for WebSocket handshakes.

A handshake that finds one is spared the round trip of a connect. What is kept here has carried nothing yet, and a
handshake that came is why there is any: a group that nobody asks has none for longer than their `life`.

    a handshake comes      it has the one that was opened first, and the loop's next turn opens as many as are missing
    a backend hangs up     that one is gone, and nothing is opened in its place before the next handshake
    a connect fails        likewise; a handshake that has to connect by itself tells what is wrong
    `max_conns`            bounds them and what is in use together, as far as this worker knows; who has to connect, and
                           needs the room of one, has it
"""

from __future__ import annotations

from collections import deque
from collections.abc import Container
from dataclasses import dataclass
from typing import TYPE_CHECKING

from penstock.net.dial import connect
from penstock.net.errors import NetError
from penstock.net.fiber import spawn
from penstock.net.timers import Alarm
from penstock.upstream.peers.keepalive import KeptConnection

if TYPE_CHECKING:
    from penstock.net.dial import Address
    from penstock.net.loop import Loop
    from penstock.upstream.exchange.exchange import Exchange
    from penstock.upstream.exchange.policy import Policy
    from penstock.upstream.peers.peers import Peer

Key = tuple["Address", object]
"""A server's address, and who made the connection: locations may have set other options for theirs."""


@dataclass(frozen=True, slots=True)
class Preconnect:
    """The options of `preconnect`: so many for each server, each for at most so many seconds."""

    most: int
    life: float = 10.0


class Spares:
    """The spare connections of one group in one worker."""

    __slots__ = ("_alarm", "_filling", "_lines", "options")

    def __init__(self, options: Preconnect) -> None:
        self.options = options
        self._lines: dict[Key, deque[KeptConnection]] = {}
        self._filling: set[Key] = set()
        self._alarm: Alarm | None = None

    def __len__(self) -> int:
        return sum(map(len, self._lines.values()))

    def for_attempt(self, exchange: Exchange, peer: Peer) -> KeptConnection | None:
        """Give a handshake a connection, and see to the next ones; what is tried again connects anew. Whatever else
        connects may have the room of one."""
        line = None
        if exchange.plan.switches and exchange.bind is None:
            policy = exchange.policy
            if len(exchange.request.attempts or ()) == 1:
                line = self.take(peer.address, policy.owner)
            self.refill(peer, policy, exchange.stream.loop)
        if line is None:
            self.make_room(peer)
        return line

    def take(self, address: Address, owner: object) -> KeptConnection | None:
        """Take a connection that is still good, or None."""
        lines = self._lines.get((address, owner))
        while lines:
            line = lines.popleft()
            stream = line.stream
            stream.on_hangup = None
            if stream.ready or stream.fd < 0:
                stream.close()
                continue
            return line
        return None

    def make_room(self, peer: Peer) -> None:
        """Close what would be too much for `max_conns` with the connection that is about to be made."""
        most = peer.options.max_conns
        if not most:
            return
        for key, lines in self._lines.items():
            while key[0] == peer.address and lines and peer.active + self._count(peer.address) > most:
                lines.popleft().close()

    def refill(self, peer: Peer, policy: Policy, loop: Loop) -> None:
        """Open what is missing, when what is under way now has been done."""
        key = peer.address, policy.owner
        if key not in self._filling and self._wanted(key, peer):
            self._filling.add(key)
            loop.call_soon(self._begin, key, peer, policy, loop)

    def keep_only(self, addresses: Container[Address]) -> None:
        """Close what leads elsewhere after a reload, or is too much by the options of now."""
        for key, lines in list(self._lines.items()):
            while lines and (key[0] not in addresses or len(lines) > self.options.most):
                lines.popleft().close()
            if not lines:
                del self._lines[key]

    def spare(self, most: int) -> int:
        """Close so many, and return how many there were."""
        count = 0
        for lines in self._lines.values():
            while lines and count < most:
                lines.popleft().close()
                count += 1
        return count

    def retire(self) -> None:
        """Keep nothing from now on: the group is no more."""
        self.options = Preconnect(0)
        self.keep_only(())
        if self._alarm is not None:
            self._alarm.clear()

    def lost(self, line: KeptConnection) -> None:
        """Forget a connection that its backend has closed."""
        for lines in self._lines.values():
            if line in lines:
                lines.remove(line)
        line.close()

    def _count(self, address: Address) -> int:
        return sum(len(lines) for key, lines in self._lines.items() if key[0] == address)

    def _wanted(self, key: Key, peer: Peer) -> bool:
        """Whether there is one missing, and room for it."""
        if len(self._lines.get(key, ())) >= self.options.most:
            return False
        most = peer.options.max_conns
        return not most or peer.active + self._count(peer.address) < most

    def _begin(self, key: Key, peer: Peer, policy: Policy, loop: Loop) -> None:
        spawn(self._fill(key, peer, policy, loop))

    async def _fill(self, key: Key, peer: Peer, policy: Policy, loop: Loop) -> None:
        try:
            while self._wanted(key, peer):
                stream = await connect(
                    peer.address,
                    policy.connect_timeout,
                    keepalive=policy.socket_keepalive,
                    rcvbuf=policy.rcvbuf,
                    sndbuf=policy.sndbuf,
                    loop=loop,
                )
                if not self._wanted(key, peer):
                    stream.close()  # a reload, or another connection, came in between
                    return
                line = KeptConnection(stream, peer.address, loop.hot.now)
                line.owner = policy.owner
                line.reused = True  # as with any that was kept: what it fails by may be its age
                self._keep(key, line)
        except NetError:
            pass
        finally:
            self._filling.discard(key)

    def _keep(self, key: Key, line: KeptConnection) -> None:
        stream = line.stream
        line.expires = line.opened + self.options.life
        line.pool = self
        stream.on_hangup = line
        stream.watch_end()
        self._lines.setdefault(key, deque()).append(line)
        alarm = self._alarm
        if alarm is None:
            alarm = self._alarm = Alarm(stream.loop.timers, self._expire)
        if len(self) == 1:
            alarm.at(line.expires)

    def _expire(self) -> None:
        soonest = None
        for key, lines in list(self._lines.items()):
            while lines and lines[0].expires <= lines[0].stream.hot.now:
                lines.popleft().close()
            if not lines:
                del self._lines[key]
            elif soonest is None or lines[0].expires < soonest:
                soonest = lines[0].expires
        if soonest is not None and self._alarm is not None:
            self._alarm.at(soonest)

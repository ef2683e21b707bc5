"""Peers: the servers of a group, what is configured of them and how they fare (nginx: ngx_http_upstream_module)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from penstock.upstream.peers.health import Health

if TYPE_CHECKING:
    from penstock.net.dial import Address


@dataclass(frozen=True, slots=True)
class ServerOptions:
    """The parameters of a `server` line. `max_fails` 0: failures are not counted. `max_conns` 0: no limit.
    `slow_start` are seconds in which one that comes back gets its full share."""

    weight: int = 1
    max_fails: int = 1
    fail_timeout: float = 10.0
    max_conns: int = 0
    backup: bool = False
    down: bool = False
    drain: bool = False
    route: str = ""
    slow_start: float = 0.0


class Peer:
    """An address of a group's server, as this worker sees it.

    `name` is what the logs call it. `given` are the options of the configuration, `options` those in force. `active`
    counts requests and tunnels it carries. `fails` failures since it last did well; `accessed` and `checked` are when
    it last failed and when it was last given a chance. `failures` counts all that this worker saw, `unavailable` how
    often they put it out of use.
    """

    __slots__ = (
        "_health",
        "accessed",
        "active",
        "address",
        "checked",
        "current_weight",
        "effective_weight",
        "fails",
        "failures",
        "given",
        "heir",
        "label",
        "name",
        "options",
        "served",
        "server",
        "unavailable",
        "weight",
    )

    def __init__(self, address: Address, name: str, server: str, options: ServerOptions) -> None:
        self.address = address
        self.name = name
        self.server = server
        self.options = self.given = options
        self.weight = options.weight
        self.effective_weight = options.weight
        self.current_weight = 0
        self.active = 0
        self.served = self.failures = self.unavailable = 0
        self.fails = 0
        self.accessed = 0.0
        self.checked = 0.0
        self._health: Health | None = None
        self.label = ("", server)
        """Its group's name and its own as the configuration has them: what figures are counted under."""
        self.heir: Peer | None = None
        """Who has its state since a reload."""

    @property
    def health(self) -> Health:
        """Return what checks and answers say of it."""
        health = self._health
        if health is None:
            health = self._health = Health()
        return health

    @property
    def own(self) -> int:
        """Count the requests and tunnels of this worker that it carries."""
        return self.active

    @property
    def sound(self) -> bool:
        """Return whether active checks have nothing against it; without any they have not."""
        return True

    def available(self, now: float) -> bool:
        """Return whether it may be given a request."""
        options = self.options
        if options.down or options.drain:
            return False
        if options.max_fails and self.fails >= options.max_fails and now - self.checked <= options.fail_timeout:
            return False
        return not options.max_conns or self.active < options.max_conns

    def bare(self) -> bool:
        """Return whether it may be given a request if nobody else is left, when failures and a drain do not count."""
        options = self.options
        return not options.down and not (options.max_conns and self.active >= options.max_conns)

    def forgive(self) -> None:
        """Forget its failures."""
        self.fails = 0
        self.accessed = self.checked = 0.0
        self.effective_weight = self.weight

    def failed(self, now: float) -> bool:
        """Count a failure, and return whether that has put the peer out of use."""
        options = self.options
        self.fails += 1
        self.accessed = self.checked = now
        if not options.max_fails:
            return False
        self.effective_weight = max(0, self.effective_weight - self.weight // options.max_fails)
        return self.fails >= options.max_fails

    def did_well(self) -> None:
        """Forgive failures from before the last chance: a request went well."""
        if self.accessed < self.checked:
            self.fails = 0

    def done_alone(self) -> None:
        """Have one request less, which went well, where nobody else could have had it."""
        self.active -= 1
        self.fails = 0

    def gone(self) -> None:
        """Leave the group; requests and tunnels that it carries end in their own time."""

    def __repr__(self) -> str:
        return f"<peer {self.name}>"


MakePeer = Callable[["Address", str, str, ServerOptions, int], Peer]
"""From address, name for the logs, server as written, its parameters, and which of several alike it is."""


def own_peer(address: Address, name: str, server: str, options: ServerOptions, copy: int) -> Peer:
    """Make a peer that only this worker knows of."""
    return Peer(address, name, server, options)


class PeerSet:
    """The primary peers of a group, or its backups. `single`: there is no choice, so failures are not counted."""

    __slots__ = ("peers", "single", "tries", "weight")

    def __init__(self, peers: list[Peer], *, single: bool) -> None:
        self.peers = peers
        self.single = single
        self.weight = sum(peer.weight for peer in peers)
        self.tries = sum(1 for peer in peers if not peer.options.down)

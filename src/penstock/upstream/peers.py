"""Peers: the servers of a group, what is configured of them and how they fare (nginx: ngx_http_upstream_module)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from penstock.net.dial import Address


@dataclass(frozen=True, slots=True)
class ServerOptions:
    """Parameters of a `server` line. `max_fails` 0: failures are not counted. `max_conns` 0: no limit."""

    weight: int = 1
    max_fails: int = 1
    fail_timeout: float = 10.0
    max_conns: int = 0
    backup: bool = False
    down: bool = False
    drain: bool = False
    route: str = ""


class Peer:
    """One address of a group's server, as this worker sees it.

    `name` is what the logs call it. `active` counts requests and tunnels it carries. `fails` failures since it last
    did well; `accessed` and `checked` are when it last failed and when it was last given a chance.
    """

    __slots__ = (
        "accessed",
        "active",
        "address",
        "checked",
        "current_weight",
        "effective_weight",
        "fails",
        "heir",
        "name",
        "options",
        "served",
        "server",
        "weight",
    )

    def __init__(self, address: Address, name: str, server: str, options: ServerOptions) -> None:
        self.address = address
        self.name = name
        self.server = server
        self.options = options
        self.weight = options.weight
        self.effective_weight = options.weight
        self.current_weight = 0
        self.active = 0
        self.served = 0
        self.fails = 0
        self.accessed = 0.0
        self.checked = 0.0
        self.heir: Peer | None = None
        """Who has its state since a reload."""

    @property
    def own(self) -> int:
        """Requests and tunnels of this worker that it carries."""
        return self.active

    def available(self, now: float) -> bool:
        """Whether it may be given a request."""
        options = self.options
        if options.down or options.drain:
            return False
        if options.max_fails and self.fails >= options.max_fails and now - self.checked <= options.fail_timeout:
            return False
        return not options.max_conns or self.active < options.max_conns

    def failed(self, now: float) -> bool:
        """Count a failure; whether that has put the peer out of use."""
        options = self.options
        self.fails += 1
        self.accessed = self.checked = now
        if not options.max_fails:
            return False
        self.effective_weight = max(0, self.effective_weight - self.weight // options.max_fails)
        return self.fails >= options.max_fails

    def did_well(self) -> None:
        """A request went well: failures from before the last chance are forgiven."""
        if self.accessed < self.checked:
            self.fails = 0

    def gone(self) -> None:
        """It belongs to its group no more; requests and tunnels that it carries end in their own time."""

    def __repr__(self) -> str:
        return f"<peer {self.name}>"


class PeerSet:
    """The primary peers of a group, or its backups. `single`: there is no choice, so failures are not counted."""

    __slots__ = ("peers", "single", "tries", "weight")

    def __init__(self, peers: list[Peer], *, single: bool) -> None:
        self.peers = peers
        self.single = single
        self.weight = sum(peer.weight for peer in peers)
        self.tries = sum(1 for peer in peers if not peer.options.down)

"""What a plan knows of its fleet, if it has one. Who is in none needs no more; the directive is in `fleet.py`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from penstock.config.errors import ConfigError
from penstock.config.key import Key
from penstock.config.registry import MAIN

if TYPE_CHECKING:
    from penstock.config.scope import Scope
    from penstock.config.source import Span
    from penstock.config.tree import Word
    from penstock.modules.fleet.link import Link
    from penstock.modules.fleet.sessions import FleetSessions
    from penstock.net.redis.opening import RedisAddress
    from penstock.net.redis.replies import Reply

LOCAL, OPEN, CLOSED = "local", "open", "closed"


@dataclass(frozen=True, slots=True)
class FleetOptions:
    """`timeout` is how long an answer is waited for, `lease` how long a worker that says nothing keeps its places; both
    are seconds. `node` is this machine's own, from its start to its end."""

    address: RedisAddress
    name: str = "penstock"
    timeout: float = 0.05
    lease: float = 15.0
    on_error: str = LOCAL
    node: str = ""

    @property
    def base(self) -> bytes:
        """Return what all keys begin with. What stands in braces is all that a cluster chooses a node by."""
        return b"{penstock:%b}" % self.name.encode("ascii")


class Fleet:
    """The fleet of one configuration. `link` is this worker's, there as long as it serves; `sessions` are those of its
    zones that say `sync`."""

    __slots__ = ("link", "options", "sessions", "span")

    def __init__(self, options: FleetOptions, span: Span) -> None:
        self.options = options
        self.span = span
        self.link: Link | None = None
        self.sessions: list[FleetSessions] = []

    def stale(self, told: list[Reply]) -> None:
        """Ask again for sessions of which another machine has said something: Redis tells their keys."""
        keys = told[1] if len(told) > 1 else None
        begin = self.options.base + b":s:"
        for key in keys if isinstance(keys, list) else ():
            if isinstance(key, bytes) and key.startswith(begin):
                for each in self.sessions:
                    each.changed(key.removeprefix(begin))


FLEET: Key[Fleet] = Key("fleet")
"""The key of the plan's `shared` under which the fleet is, if there is one."""


def fleet_of(scope: Scope, word: Word) -> Fleet:
    """Return the fleet that a `sync` is about, also for a zone of streams. To be called once the whole file has been
    read. Raises `ConfigError` where there is none."""
    found = scope.enclosing(MAIN).compilation.shared.get(FLEET)
    if found is None:
        raise ConfigError(
            '"sync" without a "fleet"', word.span, hint="name the Redis of the fleet at the top: fleet redis://host:6379;"
        )
    return found

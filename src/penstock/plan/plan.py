"""The plan: everything a worker needs to know, made once from one configuration and never changed."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from penstock.config.errors import Problems
    from penstock.config.scope import Scope
    from penstock.config.source import Source
    from penstock.plan.location import Listen, Server


@dataclass(slots=True)
class Plan:
    """`main`, `events` and `http` are the scopes of those levels; `listens` the addresses; `shared` what modules made
    (upstream groups, log files, zones), by module name. `sources` are the files read, for `-T`.
    """

    main: Scope
    events: Scope | None
    http: Scope | None
    servers: list[Server]
    listens: list[Listen]
    problems: Problems
    sources: list[Source]
    prefix: str
    path: str
    shared: dict[str, Any] = field(default_factory=dict)

"""The plan: everything a worker needs to know, made once from one configuration and never changed."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, TypeVar

from penstock.config.key import Key, KeyedValues
from penstock.plan.location import SERVERS

if TYPE_CHECKING:
    from penstock.config.errors import Problems
    from penstock.config.scope import Scope
    from penstock.config.source import Source
    from penstock.plan.location import Listen, Server


T = TypeVar("T")

STREAM_PART: Key[KeyedValues] = Key("stream")
"""What modules made for the streams of a configuration, whose names are not those of HTTP, by the same keys."""


@dataclass(slots=True)
class Plan:
    """`main`, `events` and `http` are the scopes of those levels; `listens` the addresses; `shared` what modules made
    (upstream groups, log files, zones), by their keys. `sources` are the files read, for `-T`.
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
    shared: KeyedValues = field(default_factory=KeyedValues)

    @property
    def parts(self) -> list[KeyedValues]:
        """Return what modules made for HTTP, and for streams where there are some."""
        return parts_of(self.shared)

    @property
    def stream_servers(self) -> list[Server]:
        """Return the servers of streams."""
        stream = self.shared.get(STREAM_PART)
        return [] if stream is None else stream.get(SERVERS) or []

    def each(self, key: Key[T]) -> list[T]:
        """Return what is there by a key, for HTTP and for streams."""
        found = [part.get(key) for part in self.parts]
        return [value for value in found if value is not None]

    def covered_by(self, listen: Listen) -> dict[str, Listen]:
        """Return addresses of a port that is bound by its wildcard only, `listen`'s: the server is chosen by where a
        client came in."""
        address = listen.address
        if isinstance(address, str) or address[0] not in ("0.0.0.0", "::"):
            return {}
        return {
            other.address[0]: other
            for other in self.listens
            if other is not listen and not isinstance(other.address, str) and other.address[1:] == address[1:]
        }


def parts_of(shared: KeyedValues) -> list[KeyedValues]:
    """Return what is shared by all of HTTP, and by all streams if there are some."""
    stream = shared.get(STREAM_PART)
    return [shared] if stream is None else [shared, stream]

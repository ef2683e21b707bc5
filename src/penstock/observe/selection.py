"""Which of the tunnels that are open somebody means: what `penstock tunnels` and the status page filter by."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, NotRequired, TypeAlias, TypedDict

from penstock.config.addresses import network

Entry: TypeAlias = dict[str, Any]  # JSON: what has which type is said where it is made
"""A tunnel as `server/tunnel_list.py` describes it."""

ToldTunnels: TypeAlias = dict[str, Any]  # JSON, from another process; `ask_workers.is_answer` looks at it
"""What a worker answers: `pid`, `open`, `matched`, and `tunnels`, which are entries."""


class TunnelsQuestion(TypedDict):
    """What a worker is asked for a list."""

    do: str
    select: Mapping[str, object]
    limit: int
    sort: NotRequired[str]


RANKS = ("age", "idle", "bytes", "messages")
"""What a list may be sorted by: the oldest first, those last heard of, those with the most bytes or messages."""

_TEXTS = ("id", "kind", "client", "server", "location", "upstream", "peer", "transport", "state", "text")
_TIMES = ("idle", "older")


@dataclass(frozen=True, slots=True)
class TunnelSelection:
    """Everything that is given must hold. `client` may be a network, `peer` an address without its port; `idle` and
    `older` are seconds at least; `text` is part of any of the texts."""

    id: str = ""
    kind: str = ""
    client: str = ""
    server: str = ""
    location: str = ""
    upstream: str = ""
    peer: str = ""
    transport: str = ""
    state: str = ""
    text: str = ""
    idle: float = 0.0
    older: float = 0.0

    def __bool__(self) -> bool:
        return self != TunnelSelection()

    def check(self) -> None:
        """Check the client. Raises `ValueError` if it is neither an address nor a network."""
        if self.client and not self.client.startswith("unix"):
            try:
                network(self.client)
            except ValueError as error:
                raise ValueError(f'client "{self.client}": it {error}') from None

    def admits(self, entry: Entry) -> bool:
        """Return whether a tunnel is meant."""
        if self.idle > entry["idle"] or self.older > entry["age"]:
            return False
        for name in ("id", "kind", "server", "location", "upstream", "transport", "state"):
            wanted = getattr(self, name)
            if wanted and wanted != entry.get(name):
                return False
        if self.text and not _has(self.text.lower(), entry):
            return False
        if self.peer and not _is_peer(self.peer, entry["peer"]):
            return False
        return not self.client or _is_client(self.client, entry["client"])

    def plain(self) -> dict[str, object]:
        """Return it as plain values, without what is not given."""
        return {name: value for name, value in asdict(self).items() if value}

    @classmethod
    def read(cls, plain: object) -> TunnelSelection:
        """Make a selection of what `plain` returned. Raises `ValueError`."""
        if not isinstance(plain, dict) or not plain.keys() <= {*_TEXTS, *_TIMES}:
            raise ValueError("this is no selection of tunnels")
        for name, value in plain.items():
            if not isinstance(value, str if name in _TEXTS else (int, float)):
                raise ValueError(f'"{name}" of a selection is wrong')
        made = cls(**plain)
        made.check()
        return made


def _has(text: str, entry: Entry) -> bool:
    names = ("id", "client", "server", "location", "upstream", "peer")
    return any(text in str(entry.get(name, "")).lower() for name in names)


def _is_peer(wanted: str, peer: str) -> bool:
    return peer == wanted or peer.rpartition(":")[0] == wanted


def _is_client(wanted: str, client: str) -> bool:
    if client == wanted:
        return True
    try:
        return network(wanted).contains(client)
    except ValueError:
        return False

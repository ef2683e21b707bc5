"""Which of the tunnels that are open somebody means: what `penstock tunnels` and the status page filter by."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from ipaddress import IPv4Network, IPv6Network, ip_address, ip_network
from typing import Any

Entry = Mapping[str, Any]
"""A tunnel as `server/registry.py` describes it."""

_TEXTS = ("id", "client", "server", "location", "peer", "state")
_TIMES = ("idle", "older")


@dataclass(frozen=True, slots=True)
class Selection:
    """Everything that is given must hold. `client` may be a network, `peer` an address without its port; `idle` and
    `older` are seconds at least."""

    id: str = ""
    client: str = ""
    server: str = ""
    location: str = ""
    peer: str = ""
    state: str = ""
    idle: float = 0.0
    older: float = 0.0

    def __bool__(self) -> bool:
        return self != Selection()

    def check(self) -> None:
        """Raises `ValueError` for a client that is neither an address nor a network."""
        if self.client and not self.client.startswith("unix"):
            _network(self.client)

    def admits(self, entry: Entry) -> bool:
        """Whether a tunnel is meant."""
        if self.idle > entry["idle"] or self.older > entry["age"]:
            return False
        for name in ("id", "server", "location", "state"):
            wanted = getattr(self, name)
            if wanted and wanted != entry[name]:
                return False
        if self.peer and not _is_peer(self.peer, entry["peer"]):
            return False
        return not self.client or _is_client(self.client, entry["client"])

    def plain(self) -> dict[str, Any]:
        """As plain values, without what is not given."""
        return {name: value for name, value in asdict(self).items() if value}

    @classmethod
    def read(cls, plain: object) -> Selection:
        """From `plain`. Raises `ValueError`."""
        if not isinstance(plain, dict) or not plain.keys() <= {*_TEXTS, *_TIMES}:
            raise ValueError("this is no selection of tunnels")
        for name, value in plain.items():
            if not isinstance(value, str if name in _TEXTS else (int, float)):
                raise ValueError(f'"{name}" of a selection is wrong')
        made = cls(**plain)
        made.check()
        return made


def _is_peer(wanted: str, peer: str) -> bool:
    return peer == wanted or peer.rpartition(":")[0] == wanted


def _is_client(wanted: str, client: str) -> bool:
    if client == wanted:
        return True
    try:
        return ip_address(client) in _network(wanted)
    except ValueError:
        return False


def _network(text: str) -> IPv4Network | IPv6Network:
    return ip_network(text, strict=False)

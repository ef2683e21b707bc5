"""The backend's side of a tunnel that began in another process."""

from __future__ import annotations

from typing import TYPE_CHECKING

from penstock.shared.json_fields import Fields, Strange
from penstock.upstream.exchange.upgrade import Parts, TakenPeer, address_parts
from penstock.upstream.peers.balancers import PeerSelection

if TYPE_CHECKING:
    from penstock.http.request import Attempt
    from penstock.net.loop import HotSelector
    from penstock.upstream.peers.group import Group
    from penstock.upstream.peers.peers import Peer


class ReceivedPeer(TakenPeer):
    """As `TakenPeer`. Where this configuration knows the peer, it has the tunnel's slot: `least_conn` and `max_conns`
    count it here. Others are carried without one."""

    __slots__ = ("_known_as",)

    def __init__(self, told: ReceivedState, hot: HotSelector, attempt: Attempt, groups: list[Group]) -> None:
        self._known_as = told.group, told.peer
        self._hot = hot
        self._attempt = attempt
        self._sent = told.sent
        self._peer = None
        self.module = told.module
        for group in groups:
            for peer in group.peers:
                if address_parts(peer.address) == told.peer:
                    self._count_in(group, peer)
                    return

    def _count_in(self, group: Group, peer: Peer) -> None:
        selection = PeerSelection(group, None)
        if group.backup is not None and peer in group.backup.peers:
            selection.set = group.backup
        self._group = group
        self._selection = selection
        self._peer = peer
        self._attempt.label = peer.label
        peer.active += 1

    @property
    def declared(self) -> bool:
        """Return whether the configuration names the peer: of one that none here has named nothing is known."""
        return self._peer is not None and super().declared

    def _place(self) -> tuple[str, Parts]:
        return self._known_as


class ReceivedState:
    """What `TakenPeer.state` told, read with types. Raises `Strange`."""

    __slots__ = ("group", "module", "peer", "sent")

    def __init__(self, fields: Fields) -> None:
        self.group = fields.text("group")
        self.sent = fields.whole("sent")
        self.module = fields.text("module")
        self.peer: Parts = tuple(fields.items("peer"))
        fields.end()
        if not all(type(part) in (str, int) for part in self.peer):
            raise Strange("a peer's address is none")

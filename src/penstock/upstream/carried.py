"""The backend's side of a tunnel that began in another process."""

from __future__ import annotations

from typing import TYPE_CHECKING

from penstock.plan.strict import Fields, Strange
from penstock.upstream.balancers import Selection
from penstock.upstream.upgrade import Parts, Upgrade, address_parts

if TYPE_CHECKING:
    from penstock.http.request import Attempt
    from penstock.net.loop import HotSelector
    from penstock.upstream.group import Group
    from penstock.upstream.peers import Peer


class Carried(Upgrade):
    """As `Upgrade`, once the relay has the stream. Where this configuration knows the peer, it has the tunnel's slot:
    `least_conn` and `max_conns` count it here. Others are carried without one."""

    __slots__ = ("_known_as",)

    def __init__(self, told: Told, hot: HotSelector, attempt: Attempt, groups: list[Group]) -> None:
        self._known_as = told.group, told.peer
        self._hot = hot
        self._attempt = attempt
        self._sent = told.sent
        self._peer = None
        self.module = told.module
        self.stream = None
        self.rest = b""
        self.read_timeout = self.send_timeout = 0.0
        for group in groups:
            for peer in group.peers:
                if address_parts(peer.address) == told.peer:
                    self._take(group, peer)
                    return

    def _take(self, group: Group, peer: Peer) -> None:
        selection = Selection(group, None)
        if group.backup is not None and peer in group.backup.peers:
            selection.set = group.backup
        self._selection = selection
        self._peer = peer
        peer.active += 1

    def _place(self) -> tuple[str, Parts]:
        return self._known_as


class Told:
    """What `Upgrade.state` told. Raises `Strange`."""

    __slots__ = ("group", "module", "peer", "sent")

    def __init__(self, fields: Fields) -> None:
        self.group = fields.text("group")
        self.sent = fields.whole("sent")
        self.module = fields.text("module")
        self.peer: Parts = tuple(fields.items("peer"))
        fields.end()
        if not all(type(part) in (str, int) for part in self.peer):
            raise Strange("a peer's address is none")

"""The tap on what comes from a client whose backend may be followed by another: as `server/websocket/tap.py`, and what
the backend does not take at once is told to the bridge."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from penstock.net.relay.tunnel import Send

if TYPE_CHECKING:
    from penstock.server.websocket.tap import Slowly
    from penstock.websocket.redial.bridge import Bridge
    from penstock.websocket.redial.way import ClientWay


def tapping_kept(way: ClientWay, bridge: Bridge, slowly: Slowly) -> Callable[[Send], Send]:
    """Make the tap for `Tunnel.tap`: a whole message that is taken whole passes at once; all else is noted."""

    def make(send: Send) -> Send:
        whole, kinds = way.whole, way.kinds

        def passing(view: memoryview) -> int:
            size = len(view)
            if not way.busy and size > 1 and kinds[view[0]] == 1:
                total = whole[view[1]]
                if total == size:
                    way.singles += 1
                    way.payload += size - 6
                elif total or not way.begins(view, size):
                    return slowly(way, view, send)
                try:
                    sent = send(view)
                except OSError:
                    bridge.passing(view)
                    raise
                if sent != size or way.left:
                    bridge.passing(view)
                    bridge.untaken_is(size - sent)
                return sent
            return slowly(way, view, send)

        return passing

    return make

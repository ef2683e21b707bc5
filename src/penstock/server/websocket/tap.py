"""The tap on one direction of a tunnel: what is done with every piece of bytes, and so as little as possible."""

from __future__ import annotations

from collections.abc import Callable

from penstock.net.relay.tunnel import Send
from penstock.websocket.direction import Direction

Slowly = Callable[[Direction, memoryview, Send], int]
"""Takes in what is no simple message, and sends what may be passed on of it: how many bytes need no more thought."""


def tapping(way: Direction, slowly: Slowly) -> Callable[[Send], Send]:
    """Make the tap for `Tunnel.tap`: whole short messages, and the middle of long ones, pass at once; all else goes to
    `slowly`."""

    def make(send: Send) -> Send:
        whole, kinds = way.whole, way.kinds
        header = 6 if way.side else 2

        def passing(view: memoryview) -> int:
            size = len(view)
            if way.busy:
                left = way.left
                if left >= size and not way.mode:
                    way.left = left - size
                    way.payload += size
                    if left == size:
                        way.update_busy()
                    return send(view)
            elif size > 1 and kinds[view[0]] == 1:
                # Nearly always: one short, whole, unfragmented data frame.
                total = whole[view[1]]
                if total == size:
                    way.singles += 1
                    way.payload += size - header
                    return send(view)
                if not total and way.begins(view, size):
                    return send(view)
            return slowly(way, view, send)

        return passing

    return make

"""A 101 on the straight way: whether it may be passed on, and the tunnel that it opens."""

from __future__ import annotations

from typing import TYPE_CHECKING

from penstock.modules.websocket.origins import advise
from penstock.modules.websocket.websocket import answered_wrong
from penstock.server.head import signature
from penstock.server.straight.begun import sent
from penstock.server.straight.known_switch import MOST, known_switch
from penstock.server.tunnel.tunnel import begin_tunnel, open_plain
from penstock.upstream.exchange.upgrade import Upgrade
from penstock.upstream.exchange.wire import SwitchedHead

if TYPE_CHECKING:
    from penstock.http.response import ResponseHead
    from penstock.server.straight.passage import Passage
    from penstock.server.straight.way import Way


def may_switch(passage: Passage, head: ResponseHead) -> bool:
    """Return whether a 101 may be passed on. Who is to say why not is the general transaction."""
    passing = passage.way.passing
    if not passage.head.fields.get("upgrade"):
        return False
    wish = passing.websocket
    if wish is not None and wish.carries and answered_wrong(wish, passage, head):
        return False
    return passing.guard is None or passing.guard.let_in(passage)


def switch(passage: Passage, head: ResponseHead, rest: bytes) -> None:
    """Open the tunnel that a 101 is; `rest` came behind it."""
    connection, way = passage.connection, passage.way
    connection.stream.on_hangup = None
    if way.plain and not way.talks and _at_once(passage, head, rest):
        return
    answer = way.passing.answers.switched(way.passing, passage, head)
    answer.upgraded = upgrade = Upgrade(passage, way.group, rest)
    passage.selection = None
    passage.hold(upgrade)
    for change in way.filters:
        change(passage, answer)
    connection.passage = None
    unsent = begin_tunnel(connection, connection.stream, passage, answer)
    if unsent is not None:
        passage.over(sent(unsent))


def _at_once(passage: Passage, head: ResponseHead, rest: bytes) -> bool:
    """Write the head without an `Answer`; False, and nothing done, where that is not enough."""
    connection, way = passage.connection, passage.way
    data = switched_head(passage, head)
    if data is None:
        return False
    if way.passing.carries_websockets:
        advise(passage)
    passage.keep_alive = False
    passage.status = 101
    count = connection.stream.send_now(data)
    if count != len(data):
        open_late(passage, data, count, rest)
        return True
    passage.bytes_sent = count
    upgrade = Upgrade(passage, way.group, rest)
    passage.selection = None
    connection.passage = None
    open_plain(connection, connection.stream, passage, upgrade, way.core)
    return True


def switched_head(passage: Passage, head: ResponseHead) -> bytes | None:
    """Write the head of a 101 that is passed on, which is the last one of its connection; None where that takes an
    `Answer`."""
    way = passage.way
    lines = way.content.lines(head)
    if lines is None:
        return None
    first, before, after = lines
    text = f"{first}{signature(way.core.server_tokens)}{before}Connection: upgrade\r\n{after}\r\n"
    return text.encode("latin-1")


def remember(way: Way, head: ResponseHead, said: bytes, *, websocket: bool) -> None:
    """Remember a 101 for those that differ from it in Sec-WebSocket-Accept alone, if there have been some."""
    lines = way.content.lines(head) if type(head) is SwitchedHead else None
    if lines is None:
        return
    known = known_switch(head, said, lines, way.core.server_tokens, websocket=websocket)
    if known is not None:
        if len(way.switched) >= MOST:
            way.switched.clear()
        way.switched[len(said)] = known


def open_late(passage: Passage, data: bytes, count: int, rest: bytes = b"") -> None:
    """Open a tunnel once the client has taken what the kernel did not take at once: of its head, so much has gone."""
    passage.bytes_sent = len(data)
    upgrade = Upgrade(passage, passage.way.group, rest)
    passage.selection = None
    passage.hold(upgrade)
    passage.over(sent(_late(passage, upgrade, data[count:])))


async def _late(passage: Passage, upgrade: Upgrade, unsent: bytes) -> None:
    connection, core = passage.connection, passage.way.core
    await connection.stream.send_all(unsent, timeout=core.send_timeout)
    passage.no_longer(upgrade)
    open_plain(connection, connection.stream, passage, upgrade, core)

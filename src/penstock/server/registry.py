"""The tunnels that are open in this worker: described, counted, closed, for whoever asks by the control socket.

There is no second book beside the loop's own set of tunnels: an entry is made of a tunnel when somebody asks.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator
from heapq import heappush, heappushpop
from typing import TYPE_CHECKING, Any

from penstock.observe.selection import Selection

if TYPE_CHECKING:
    from penstock.net.loop import Loop
    from penstock.net.tunnel import Tunnel

SLICE = 200
"""Tunnels that are described before others have their turn."""
MOST_LISTED = 100_000
CODES = (1000, 1001, 1008, 1011, 1012, 1013)
"""Close codes of the protocol that a server may send for reasons of its own; 3000 to 4999 are the applications'."""


async def answer(loop: Loop, question: dict[str, Any]) -> dict[str, Any]:
    """Do what is asked. Raises `ValueError` with words for whoever asks."""
    what = question.get("do")
    if what == "tunnels":
        limit = question.get("limit", MOST_LISTED)
        if type(limit) is not int or limit < 0:
            raise ValueError('"limit" is no number')
        return await listed(loop, Selection.read(question.get("select", {})), min(limit, MOST_LISTED))
    if what == "close":
        return await _close(loop, question)
    raise ValueError("that is nothing this version knows of")


async def listed(loop: Loop, selection: Selection, limit: int) -> dict[str, Any]:
    """The oldest tunnels that are meant, and how many there are of them. `opened` is on the clock that all processes of
    a machine share; see `oldest_first`."""
    kept: list[tuple[float, int, int, int, dict[str, Any]]] = []
    matched = 0
    async for tunnel, entry in _seen(loop):
        if not selection.admits(entry):
            continue
        matched += 1
        entry["opened"] = tunnel.opened
        # The youngest is on top, and makes room for an older one. Those of one turn of the loop are as old, and a set
        # has no order: the numbers decide, so that it is the same the next time.
        owner: Any = tunnel.owner
        place = (-tunnel.opened, -owner.connection.number, -tunnel.backend.fd, -matched, entry)
        if len(kept) < limit:
            heappush(kept, place)
        elif limit:
            heappushpop(kept, place)
    tunnels = [entry for *_, entry in sorted(kept, reverse=True)]
    return {"pid": os.getpid(), "open": len(loop.tunnels), "matched": matched, "tunnels": tunnels}


async def _close(loop: Loop, question: dict[str, Any]) -> dict[str, Any]:
    from penstock.server.drain import Drain
    from penstock.websocket.endings import Why

    selection = Selection.read(question.get("select", {}))
    if not selection and question.get("all") is not True:
        raise ValueError("to close every tunnel has to be asked for in so many words")
    code, reason, spread = question.get("code", 1001), question.get("reason", ""), question.get("spread", 0)
    if type(code) is not int or not (code in CODES or 3000 <= code <= 4999):
        known = ", ".join(map(str, CODES))
        raise ValueError(f"{code} is no close code that a proxy sends; {known} and 3000 to 4999 are")
    if not isinstance(reason, str) or len(reason.encode("utf-8")) > 123:
        raise ValueError("a reason has at most 123 bytes")
    if not isinstance(spread, (int, float)) or not 0 <= spread <= 86400:
        raise ValueError("a spread is between no time and a day")
    meant = [tunnel async for tunnel, entry in _seen(loop) if selection.admits(entry)]
    if meant:
        Drain(loop, meant, float(spread), code, what="tunnels, as was asked by hand", why=Why.KILLED, text=reason)
    return {"pid": os.getpid(), "open": len(loop.tunnels), "matched": len(meant)}


async def _seen(loop: Loop) -> AsyncIterator[tuple[Tunnel, dict[str, Any]]]:
    """Every tunnel with its entry, in slices between which others have their turn."""
    for count, tunnel in enumerate(list(loop.tunnels), 1):
        if count % SLICE == 0:
            await asyncio.sleep(0)
        if tunnel.reason is None:
            entry = describe(tunnel)
            if entry is not None:
                yield tunnel, entry


def describe(tunnel: Tunnel) -> dict[str, Any] | None:
    """A tunnel that is open as plain values; times are seconds. None for one that is not a client's."""
    owner: Any = tunnel.owner
    client = getattr(owner, "client", None)
    if client is None:
        return None
    now = tunnel.loop.timers.now
    attempts = owner.attempts
    entry = {
        # The backend's socket is this tunnel's alone; a connection of HTTP/2 may carry several.
        "id": f"{os.getpid()}-{owner.connection.number}.{tunnel.backend.fd}",
        "client": client,
        "server": owner.server_name,
        "location": owner.location_name,
        "peer": attempts[-1].address if attempts else "",
        "age": round(max(0.0, now - tunnel.opened), 3),
        "idle": round(max(0.0, now - tunnel.last), 3),
        "state": "open",
        "bytes_in": tunnel.from_client,
        "bytes_out": tunnel.from_backend,
    }
    talk = owner.conversation
    if talk is not None:
        entry |= {
            "state": talk.close_state,
            "close_code": talk.close_code,
            "messages_in": talk.messages_in,
            "messages_out": talk.messages_out,
            "pings": talk.pings,
            "rtt": talk.rtt,
            "compressed": talk.compressed,
        }
    return entry


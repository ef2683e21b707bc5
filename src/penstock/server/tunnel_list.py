"""The tunnels and event streams that are open in this worker: described, counted, closed, for whoever asks by the
control socket.

There is no second book beside the loop's own sets of them: an entry is made of each when somebody asks.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator
from heapq import heappush, heappushpop
from typing import TYPE_CHECKING, Any, TypeAlias

from penstock.net.relay.tunnel import Tunnel
from penstock.observe.selection import RANKS, TunnelSelection

if TYPE_CHECKING:
    from penstock.http.events.live import LiveEventStream
    from penstock.http.request import Request
    from penstock.net.loop import Loop
    from penstock.observe.selection import Entry, ToldTunnels

Listed: TypeAlias = "Tunnel | LiveEventStream"

SLICE = 200
"""Tunnels that are described before others have their turn."""
SKIMMED = 2000
"""Tunnels that are looked at for no more than their place in a list, which takes a tenth of the time."""
MOST_LISTED = 100_000
CODES = (1000, 1001, 1008, 1011, 1012, 1013)
"""Close codes of the protocol that a server may send for reasons of its own; 3000 to 4999 are the applications'."""


async def answer(loop: Loop, question: dict[str, object]) -> ToldTunnels:
    """Do what is asked. Raises `ValueError` with words for whoever asks."""
    what = question.get("do")
    if what == "tunnels":
        limit = question.get("limit", MOST_LISTED)
        if type(limit) is not int or limit < 0:
            raise ValueError('"limit" is no number')
        sort = question.get("sort", "age")
        if not isinstance(sort, str) or sort not in RANKS:
            raise ValueError(f'"sort" is one of {", ".join(RANKS)}')
        return await listed(loop, TunnelSelection.read(question.get("select", {})), min(limit, MOST_LISTED), sort)
    if what == "close":
        return await _close(loop, question)
    raise ValueError("that is nothing this version knows of")


async def listed(loop: Loop, selection: TunnelSelection, limit: int, sort: str = "age") -> ToldTunnels:
    """List the oldest tunnels that are meant, and how many there are of them. `opened` is on the clock that all
    processes of a machine share; see `oldest_first`."""
    kept: list[tuple[float, int, int, int, Listed]] = []
    matched = 0
    chosen = bool(selection)
    async for each in _open_ones(loop, SLICE if chosen else SKIMMED):
        if chosen:
            entry = _described(each, loop.timers.now)
            if entry is None or not selection.admits(entry):
                continue
        elif not _is_clients(each):
            continue
        matched += 1
        # The youngest is on top, and makes room for an older one. Those of one turn of the loop are as old, and a set
        # has no order: the numbers decide, so that it is the same the next time.
        place = (_rank(each, sort), *_numbers(each), -matched, each)
        if len(kept) < limit:
            heappush(kept, place)
        elif limit:
            heappushpop(kept, place)
    kept.sort(reverse=True)
    tunnels = []
    for count, (rank, *_, each) in enumerate(kept, 1):
        if count % SLICE == 0:
            await asyncio.sleep(0)
        entry = _described(each, loop.timers.now)
        if entry is not None:
            tunnels.append(entry | {"opened": each.opened, "rank": rank})
    return {"pid": os.getpid(), "open": _open(loop), "matched": matched, "tunnels": tunnels}


def _open(loop: Loop) -> int:
    return len(loop.tunnels) + len(loop.event_streams)


def _numbers(each: Listed) -> tuple[int, int]:
    if isinstance(each, Tunnel):
        owner: Any = each.owner
        return -owner.connection.number, -each.backend_fd
    return -each.request.connection.number, -each.number


def _rank(each: Listed, sort: str) -> float:
    """Return what a list is sorted by: the highest first."""
    if sort == "age":
        return -each.opened
    if sort == "idle":
        return each.last
    if isinstance(each, Tunnel):
        if sort == "bytes":
            return float(each.from_client + each.from_backend)
        owner: Any = each.owner
        talk = owner.conversation
        return -1.0 if talk is None else float(talk.messages_in + talk.messages_out)
    if sort == "bytes":
        return float(each.bytes_out)
    return -1.0 if each.events is None else float(each.events)


async def _close(loop: Loop, question: dict[str, object]) -> ToldTunnels:
    from penstock.server.websocket.drain import Drain
    from penstock.websocket.close_reasons import Why

    selection = TunnelSelection.read(question.get("select", {}))
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
    meant = [each async for each, entry in seen(loop) if selection.admits(entry)]
    if meant:
        Drain(loop, meant, float(spread), code, what="tunnels, as was asked by hand", why=Why.KILLED, text=reason)
    return {"pid": os.getpid(), "open": _open(loop), "matched": len(meant)}


async def seen(loop: Loop) -> AsyncIterator[tuple[Listed, Entry]]:
    """Go over every tunnel and event stream with its entry, in slices between which others have their turn."""
    async for each in _open_ones(loop, SLICE):
        entry = _described(each, loop.timers.now)
        if entry is not None:
            yield each, entry


async def _open_ones(loop: Loop, slice_size: int) -> AsyncIterator[Listed]:
    all_of_them: list[Listed] = [*loop.tunnels, *loop.event_streams]
    for count, each in enumerate(all_of_them, 1):
        if count % slice_size == 0:
            await asyncio.sleep(0)
        if each.reason is None:
            yield each


def _is_clients(each: Listed) -> bool:
    return not isinstance(each, Tunnel) or getattr(each.owner, "client", None) is not None


def _described(each: Listed, now: float) -> Entry | None:
    if each.reason is not None:
        return None
    return describe(each) if isinstance(each, Tunnel) else describe_stream(each, now)


def describe(tunnel: Tunnel) -> Entry | None:
    """Describe a tunnel that is open as plain values; times are seconds. None for one that is not a client's."""
    owner: Any = tunnel.owner
    client = getattr(owner, "client", None)
    if client is None:
        return None
    now = tunnel.loop.timers.now
    attempts = owner.attempts
    entry = {
        # The backend's socket is this tunnel's alone; a connection of HTTP/2 may carry several.
        "id": f"{os.getpid()}-{owner.connection.number}.{tunnel.backend_fd}",
        "kind": "tunnel",
        "client": client,
        "server": owner.server_name,
        "location": owner.location_name,
        "upstream": attempts[-1].label[0] if attempts else "",
        "peer": attempts[-1].address if attempts else "",
        "transport": tunnel.transport,
        "portable": tunnel.portable,
        "age": round(max(0.0, now - tunnel.opened), 3),
        "idle": round(max(0.0, now - tunnel.last), 3),
        "state": "open",
        "flow_in": tunnel.flows[0].value,
        "flow_out": tunnel.flows[1].value,
        "bytes_in": tunnel.from_client,
        "bytes_out": tunnel.from_backend,
    }
    talk = owner.conversation
    if talk is not None:
        entry |= {
            "kind": "websocket",
            "state": "held" if talk.held else talk.close_state,
            "stage": talk.stage.value,
            "close_code": talk.close_code,
            "messages_in": talk.messages_in,
            "messages_out": talk.messages_out,
            "pings": talk.pings,
            "rtt": talk.rtt,
            "redials": talk.redials,
            "compressed": talk.compressed,
        }
    return entry


def describe_stream(stream: LiveEventStream, now: float) -> Entry:
    """Describe an event stream that is open, as `describe` does a tunnel. Its events are its messages."""
    request = stream.request
    connection = request.connection
    attempt = stream.attempt
    entry = {
        "id": f"{os.getpid()}-{connection.number}.e{stream.number}",
        "kind": "event_stream",
        "client": connection.client_address,
        "server": request.server.name,
        "location": request.location.name,
        "upstream": attempt.label[0],
        "peer": attempt.address,
        "transport": carrier_of(request),
        "portable": False,
        "age": round(max(0.0, now - stream.opened), 3),
        "idle": round(max(0.0, now - stream.last), 3),
        "state": "closing" if stream.ending else "open",
        "bytes_in": 0,
        "bytes_out": stream.bytes_out,
        "pings": stream.pings,
        "redials": stream.redials,
    }
    if stream.events is not None:
        entry |= {"events": stream.events, "messages_in": 0, "messages_out": stream.events}
    return entry


def carrier_of(request: Request) -> str:
    """Return what carries the client's side of a request, as `Tunnel.transport` says it."""
    return ("h2" if request.head.version >= 20 else "h1") + ("-tls" if request.connection.tls is not None else "")

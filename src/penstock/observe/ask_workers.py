"""Asking the other workers, from inside one: what the status page stands on."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from errno import ECONNREFUSED, ENOENT
from time import monotonic
from typing import TYPE_CHECKING

from penstock.net.dial import connect
from penstock.net.errors import DialFailed, NetError
from penstock.net.fiber import spawn
from penstock.observe.upstream_list import ToldUpstream, merged

if TYPE_CHECKING:
    from penstock.http.client import ClientService
    from penstock.observe.selection import Entry, ToldTunnels

PATIENCE = 2.0
LONGEST_ANSWER = 16 << 20


async def ask_siblings(folder: str, question: Mapping[str, object]) -> tuple[list[ToldTunnels], int]:
    """Ask the other workers, all at once: what they answer, and how many did not. To be awaited inside a fiber."""
    own = str(os.getpid())
    found: list[ToldTunnels] = []
    silent = 0
    try:
        names = sorted(name for name in os.listdir(folder.encode("latin-1")) if name.isdigit())  # noqa: PTH208  bytes
    except OSError:
        return [], 0
    paths = [f"{folder}/{raw.decode('latin-1')}" for raw in names if raw.decode("latin-1") != own]
    asked = [spawn(_ask(path, question)) for path in paths[1:]]
    try:
        for at, path in enumerate(paths):
            answer = await (asked[at - 1].join() if at else _ask(path, question))
            if answer is None:
                silent += 1
            elif answer:
                found.append(answer)
    finally:
        for each in asked:
            each.cancel()
    return found, silent


async def upstreams_of_all(service: ClientService) -> list[ToldUpstream]:
    """Return the upstreams as all workers see them; of this one alone where there are no control sockets."""
    answers = [service.upstreams()]
    if service.control:
        others, _ = await ask_siblings(service.control, {"do": "upstreams"})
        answers += [answer["upstreams"] for answer in others if "upstreams" in answer]
    return merged(answers)


async def tunnels_of_all(
    service: ClientService, selection: Mapping[str, object], limit: int, sort: str = "age"
) -> list[ToldTunnels]:
    """Return what all workers say of their tunnels, `limit` each at most; see `best_first`."""
    if not service.control:
        return [await service.tunnels(selection, limit, sort)]
    question = {"do": "tunnels", "select": selection, "limit": limit, "sort": sort}
    others = spawn(ask_siblings(service.control, question))
    try:
        own = await service.tunnels(selection, limit, sort)
        return [own, *(await others.join())[0]]
    finally:
        others.cancel()


def best_first(answers: list[ToldTunnels]) -> list[Entry]:
    """Return the tunnels of all answers in the order in which they were asked for, with the ages of this moment."""
    listed: list[Entry] = [entry for answer in answers for entry in answer["tunnels"]]
    listed.sort(key=lambda entry: (-float(entry.pop("rank", 0.0)), str(entry["id"])))
    now = monotonic()
    for entry in listed:
        if "opened" in entry:
            entry["age"] = round(max(0.0, now - entry.pop("opened")), 3)
    return listed


async def _ask(path: str, question: Mapping[str, object]) -> ToldTunnels | None:
    """Ask one worker: {} from one that is gone, None from one that says nothing of use."""
    try:
        stream = await connect(os.fsdecode(path.encode("latin-1")), PATIENCE)
    except NetError as error:
        gone = isinstance(error, DialFailed) and error.errno in (ECONNREFUSED, ENOENT)
        return {} if gone else None
    pieces: list[bytes] = []
    size = 0
    try:
        await stream.send_all(json.dumps(question).encode() + b"\n", timeout=PATIENCE)
        while piece := await stream.recv(1 << 16, timeout=PATIENCE):
            pieces.append(piece)
            size += len(piece)
            if size > LONGEST_ANSWER:
                return None
        answer = json.loads(b"".join(pieces))
    except (NetError, ValueError):
        return None
    finally:
        stream.close()
    return answer if is_answer(answer) and "error" not in answer else None


def oldest_first(answers: list[ToldTunnels]) -> list[Entry]:
    """Sort the tunnels of all answers, the same each time. Workers are asked one after the other, so their ages do not
    compare: `opened` does, which goes, and the ages are of this moment."""
    # Each worker's are in order already, and stay so where they are as old.
    answers = sorted(answers, key=lambda answer: int(answer["pid"]))
    listed: list[Entry] = [entry for answer in answers for entry in answer["tunnels"]]
    now = monotonic()
    for entry in listed:
        if "opened" in entry:  # a worker of an older version says no more than the age
            entry["age"] = max(0.0, now - entry.pop("opened"))
        entry.pop("rank", None)
    listed.sort(key=lambda entry: -float(entry["age"]))
    for entry in listed:
        entry["age"] = round(entry["age"], 3)
    return listed


def is_answer(found: object) -> bool:
    """Return whether a worker of this version, or of one that is like it, can have said that."""
    if not isinstance(found, dict):
        return False
    if isinstance(found.get("error"), str):
        return True
    entries = found.get("tunnels", [])
    counts = all(type(found.get(name)) is int for name in ("pid", "open", "matched"))
    return counts and isinstance(entries, list) and all(map(_is_entry, entries))


def _is_entry(entry: object) -> bool:
    if not isinstance(entry, dict):
        return False
    # Workers of an older program do not tell the transport.
    texts = ("id", "client", "server", "location", "peer", "state", *(("transport",) if "transport" in entry else ()))
    numbers = ("age", "idle", "bytes_in", "bytes_out", *(("opened",) if "opened" in entry else ()))
    return all(isinstance(entry.get(name), str) for name in texts) and all(
        isinstance(entry.get(name), (int, float)) for name in numbers
    )

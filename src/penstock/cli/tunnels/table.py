"""How tunnels are shown: the answers of all workers as one, and each tunnel as a row of texts."""

from __future__ import annotations

import json
from collections.abc import Callable
from time import time
from typing import TYPE_CHECKING

from penstock.observe.ask_workers import oldest_first

if TYPE_CHECKING:
    from penstock.observe.selection import Entry, ToldTunnels


def gather(
    answers: list[ToldTunnels], limit: int, order: Callable[[list[ToldTunnels]], list[Entry]] = oldest_first
) -> ToldTunnels:
    """Gather what all workers said, as one: the oldest tunnels first, or in the order that was asked for."""
    listed = order(answers)
    return {
        "workers": sorted(answer["pid"] for answer in answers),
        "open": sum(answer["open"] for answer in answers),
        "matched": sum(answer["matched"] for answer in answers),
        "tunnels": listed[:limit],
    }


def oldest_of_machines(answers: list[ToldTunnels]) -> list[Entry]:
    """Sort the tunnels of several machines, the same each time: by `since`, which is on the wall's clock, and goes.

    Ages would not do, as each machine tells its own a moment later or earlier than the time before.
    """
    listed: list[Entry] = [entry for answer in answers for entry in answer["tunnels"]]
    now = time()
    for entry in listed:
        entry.pop("rank", None)
    # A machine with an older version says no more than the age.
    listed.sort(key=lambda entry: (float(entry.pop("since", now - entry["age"])), str(entry["id"])))
    return listed


def as_json(found: ToldTunnels) -> str:
    """Write what was gathered as JSON, a line for each tunnel: with indents, ten thousand take three times as long."""
    head = json.dumps({**found, "tunnels": []}, indent=2)
    lines = ",\n".join(f"    {json.dumps(entry)}" for entry in found["tunnels"])
    return head.replace('"tunnels": []', f'"tunnels": [\n{lines}\n  ]') if lines else head


def size_shown(count: float) -> str:
    """Write a size as `12.3M`."""
    for unit in ("", "K", "M", "G"):
        if count < 1000:
            return f"{count:.0f}{unit}" if unit == "" or count >= 100 else f"{count:.1f}{unit}"
        count /= 1000
    return f"{count:.1f}T"


def age_shown(seconds: float) -> str:
    """Write an age as `0.3s`, `42s`, `5m10s`, `3h05m` or `2d04h`."""
    if seconds < 10:
        return f"{seconds:.1f}s"
    whole = int(seconds)
    if whole < 60:
        return f"{whole}s"
    if whole < 3600:
        return f"{whole // 60}m{whole % 60:02d}s"
    if whole < 86400:
        return f"{whole // 3600}h{whole % 3600 // 60:02d}m"
    return f"{whole // 86400}d{whole % 86400 // 3600:02d}h"


def safe(text: str) -> str:
    """Make latin-1 text of peers and configurations safe for a terminal."""
    return "".join(char if char.isprintable() else f"\\x{ord(char):02x}" for char in text)


COLUMNS = (
    "ID", "KIND", "CLIENT", "SERVER", "LOCATION", "PEER", "VIA", "AGE", "IDLE", "MSG IN", "MSG OUT", "IN", "OUT",
    "STATE",
)  # fmt: skip
LEAST_NEEDED = (
    "KIND", "VIA", "MSG IN", "MSG OUT", "SERVER", "LOCATION", "TRAFFIC", "OUT", "IN", "STATE", "AGE", "CLIENT",
    "PEER", "IDLE",
)  # fmt: skip
"""Columns that are left out where there is no room, in this order; one that is not named here goes first."""
LEFT = frozenset({"MACHINE", "ID", "KIND", "CLIENT", "SERVER", "VIA", "LOCATION", "PEER", "STATE"})


def fitting(widths: dict[str, int], room: int) -> list[str]:
    """Choose the columns that fit side by side, two spaces between them: none is cut, for a cut id, port or number is a
    wrong one. The id stays whatever happens."""
    kept = list(widths)
    order = [name for name in widths if name not in LEAST_NEEDED and name != "ID"] + list(LEAST_NEEDED)
    for name in order:
        if sum(widths[each] for each in kept) + 2 * (len(kept) - 1) <= room:
            break
        if name in kept:
            kept.remove(name)
    return kept


def row(entry: Entry) -> tuple[str, ...]:
    """Write one tunnel as texts, in the order of `COLUMNS`."""
    messages = [size_shown(entry[name]) if name in entry else "-" for name in ("messages_in", "messages_out")]
    code = entry.get("close_code")
    state = f"{entry['state']} {code}" if code is not None else entry["state"]
    if entry.get("redials"):
        state += f", redial {entry['redials']}"
    return (
        safe(entry["id"]),
        safe(entry.get("kind", "")),
        *(safe(entry[name]) or "-" for name in ("client", "server", "location", "peer")),
        safe(entry.get("transport", "")),
        age_shown(entry["age"]),
        age_shown(entry["idle"]),
        *messages,
        size_shown(entry["bytes_in"]),
        size_shown(entry["bytes_out"]),
        state,
    )


def summary(found: ToldTunnels) -> str:
    """Say in a line how many there are."""
    workers = len(found["workers"])
    parts = [f"{found['open']} open in {workers} worker{'s' if workers != 1 else ''}"]
    if "machines" in found:
        parts[0] += f" on {found['machines']} machine{'s' if found['machines'] != 1 else ''}"
    if found.get("silent"):
        parts.append(f"{found['silent']} workers did not answer")
    if found["matched"] != found["open"]:
        parts.append(f"{found['matched']} matched")
    if len(found["tunnels"]) < found["matched"]:
        parts.append(f"the {len(found['tunnels'])} oldest shown")
    return ", ".join(parts)

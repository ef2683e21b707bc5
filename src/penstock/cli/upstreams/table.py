"""How upstreams are shown: a table for each, with the columns there is room for."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from penstock.cli.tunnels.table import age_shown, safe, size_shown
from penstock.observe.upstream_list import ToldUpstream

COLUMNS = (
    "ID", "SERVER", "STATE", "SINCE", "WEIGHT", "ACTIVE", "TUNNELS", "REQUESTS", "FAILURES", "CHECKS", "NOTE",
)  # fmt: skip
LEAST_NEEDED = ("NOTE", "REQUESTS", "WEIGHT", "FAILURES", "CHECKS", "ACTIVE", "SINCE", "TUNNELS")
"""Columns that are left out where there is no room, in this order."""
LEFT = frozenset({"SERVER", "STATE", "CHECKS", "NOTE"})
GAP = 2


def shown(upstreams: Sequence[ToldUpstream], width: int) -> list[str]:
    """Write all of them as lines that fit; nothing is cut."""
    lines: list[str] = []
    for upstream in upstreams:
        tunnels = sum(peer["tunnels"] for peer in upstream["peers"])
        about = [f"{len(upstream['peers'])} servers", f"{tunnels} tunnels", f"{upstream['idle']} idle connections"]
        if upstream.get("queue"):
            about.append(f"{upstream['queue']['size']} of {upstream['queue']['max_size']} in the queue")
        if upstream["zone"]:
            about.append(f"zone {safe(upstream['zone'])}")
        lines += ["", f"{safe(upstream['name'])}: {', '.join(about)}"] if lines else [
            f"{safe(upstream['name'])}: {', '.join(about)}"
        ]
        lines += _table([row(peer) for peer in upstream["peers"]], width)
    return lines


def row(peer: dict[str, Any]) -> dict[str, str]:
    """Write one server as texts, by column."""
    return {
        "ID": str(peer["id"]),
        "SERVER": _server(peer),
        "STATE": peer["state"],
        "SINCE": "-" if peer["since"] is None else age_shown(peer["since"]),
        "WEIGHT": str(peer["weight"]),
        "ACTIVE": f"{peer['active']}/{peer['max_conns']}" if peer["max_conns"] else str(peer["active"]),
        "TUNNELS": str(peer["tunnels"]),
        "REQUESTS": size_shown(peer["requests"]),
        "FAILURES": size_shown(peer["failures"]),
        "CHECKS": _checks(peer["checks"]),
        "NOTE": _note(peer),
    }


def _server(peer: dict[str, Any]) -> str:
    name, server = safe(peer["name"]), safe(peer["server"])
    return name if name == server or name.startswith(f"{server}:") else f"{name} ({server})"


def _checks(checks: dict[str, Any] | None) -> str:
    if checks is None:
        return "-"
    last = {True: "passed", False: "failed", None: "none yet"}[checks["last_passed"]]
    why = f": {safe(checks['why'])}" if checks["why"] else ""
    return f"{checks['checks'] - checks['fails']}/{checks['checks']} {last}{why}"


def _note(peer: dict[str, Any]) -> str:
    words = ["backup"] if peer["backup"] else []
    if peer["added"]:
        words.append("added")
    elif peer["set"]:
        words.append("set")
    return ", ".join(words)


def _table(rows: list[dict[str, str]], width: int) -> list[str]:
    if not rows:
        return ["  no servers"]
    empty = {name for name in ("CHECKS", "NOTE") if all(row[name] in ("", "-") for row in rows)}
    names = [name for name in COLUMNS if name not in empty]
    widths = {name: max(len(name), *(len(row[name]) for row in rows)) for name in names}
    for name in LEAST_NEEDED:
        if 2 + sum(widths[each] for each in names) + GAP * (len(names) - 1) <= width:
            break
        if name in names:
            names.remove(name)
    lines = [dict(zip(COLUMNS, COLUMNS, strict=True)), *rows]
    gap = " " * GAP
    return [
        "  " + gap.join(_cell(name, line[name], widths[name]) for name in names).rstrip() for line in lines
    ]


def _cell(name: str, text: str, width: int) -> str:
    return text.ljust(width) if name in LEFT else text.rjust(width)

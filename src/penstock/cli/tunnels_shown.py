"""How tunnels are shown: the answers of all workers as one, and each tunnel as a row of texts."""

from __future__ import annotations

from typing import Any

from penstock.observe.siblings import oldest_first


def gather(answers: list[dict[str, Any]], limit: int) -> dict[str, Any]:
    """What all workers said, as one: the oldest tunnels first."""
    listed = oldest_first(answers)
    return {
        "workers": sorted(answer["pid"] for answer in answers),
        "open": sum(answer["open"] for answer in answers),
        "matched": sum(answer["matched"] for answer in answers),
        "tunnels": listed[:limit],
    }


def size_shown(count: float) -> str:
    """12.3M"""
    for unit in ("", "K", "M", "G"):
        if count < 1000:
            return f"{count:.0f}{unit}" if unit == "" or count >= 100 else f"{count:.1f}{unit}"
        count /= 1000
    return f"{count:.1f}T"


def age_shown(seconds: float) -> str:
    """0.3s, 42s, 5m10s, 3h05m, 2d04h"""
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
    """Latin-1 text of peers and configurations, for a terminal."""
    return "".join(char if char.isprintable() else f"\\x{ord(char):02x}" for char in text)


COLUMNS = ("ID", "CLIENT", "SERVER", "LOCATION", "PEER", "AGE", "IDLE", "MSG IN", "MSG OUT", "IN", "OUT", "STATE")
LEFT = frozenset({"ID", "CLIENT", "SERVER", "LOCATION", "PEER", "STATE"})


def row(entry: dict[str, Any]) -> tuple[str, ...]:
    """One tunnel as texts, in the order of `COLUMNS`."""
    messages = [size_shown(entry[name]) if name in entry else "-" for name in ("messages_in", "messages_out")]
    code = entry.get("close_code")
    state = f"{entry['state']} {code}" if code is not None else entry["state"]
    return (
        *(safe(entry[name]) or "-" for name in ("id", "client", "server", "location", "peer")),
        age_shown(entry["age"]),
        age_shown(entry["idle"]),
        *messages,
        size_shown(entry["bytes_in"]),
        size_shown(entry["bytes_out"]),
        state,
    )


def summary(found: dict[str, Any]) -> str:
    """How many there are, in a line."""
    workers = len(found["workers"])
    parts = [f"{found['open']} open in {workers} worker{'s' if workers != 1 else ''}"]
    if found["matched"] != found["open"]:
        parts.append(f"{found['matched']} of them meant")
    if len(found["tunnels"]) < found["matched"]:
        parts.append(f"the {len(found['tunnels'])} oldest shown")
    return ", ".join(parts)

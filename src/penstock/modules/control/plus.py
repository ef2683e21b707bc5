"""The objects of the API of nginx's paid edition, version 9, made of what workers say of themselves.

https://nginx.org/en/docs/http/ngx_http_api_module.html#definitions. What is not counted here is left out of an object,
rather than shown as zero.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from time import time
from typing import Any

from penstock.observe.upstream_list import ToldUpstream

Plain = dict[str, Any]  # JSON

HREF = "https://nginx.org/en/docs/http/ngx_http_api_module.html"


class ApiRefused(Exception):
    """Raised for a request that is not carried out: nginx's status, code and words."""

    def __init__(self, status: int, code: str, text: str) -> None:
        super().__init__(text)
        self.status = status
        self.code = code


def error_object(status: int, code: str, text: str, request_id: str) -> Plain:
    """Return an error."""
    return {"error": {"status": status, "text": text, "code": code}, "request_id": request_id, "href": HREF}


def moment(seconds: float) -> str:
    """Write a time of day as the API does, in UTC with milliseconds; `seconds` since 1970."""
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def upstream_object(upstream: ToldUpstream) -> Plain:
    """Return a group with its peers."""
    made: Plain = {
        "peers": [peer_object(peer) for peer in upstream["peers"]],
        "keepalive": upstream["idle"],
        "zombies": 0,
        "zone": upstream["zone"],
    }
    if upstream["queue"] is not None:
        made["queue"] = upstream["queue"]
    return made


def peer_object(peer: Mapping[str, Any]) -> Plain:
    """Return a peer of a group: what became of it."""
    made: Plain = {
        "id": peer["id"],
        "server": peer["name"],
        "name": peer["server"],
        "backup": peer["backup"],
        "weight": peer["weight"],
        "state": peer["state"],
        "active": peer["active"],
        "requests": peer["requests"],
        "fails": peer["failures"],
        "unavail": peer["unavailable"],
        "tunnels": peer["tunnels"],
    }
    if peer["max_conns"]:
        made["max_conns"] = peer["max_conns"]
    for name in ("header_time", "response_time"):
        if peer[name] is not None:
            made[name] = round(1000 * peer[name])
    checks = peer["checks"]
    if checks is not None:
        made["health_checks"] = {name: checks[name] for name in ("checks", "fails", "unhealthy")}
        if checks["last_passed"] is not None:
            made["health_checks"]["last_passed"] = checks["last_passed"]
    if peer["state"] in ("unavail", "checking", "unhealthy") and peer["since"] is not None:
        made["downstart"] = moment(time() - peer["since"])
    return made


def server_object(peer: Mapping[str, Any]) -> Plain:
    """Return a server of a group: what is set of it."""
    return {
        "id": peer["id"],
        "server": peer["name"],
        "weight": peer["weight"],
        "max_conns": peer["max_conns"],
        "max_fails": peer["max_fails"],
        "fail_timeout": f"{peer['fail_timeout']:g}s",
        "slow_start": f"{peer['slow_start']:g}s",
        "route": peer["route"],
        "backup": peer["backup"],
        "down": peer["down"],
        **({"drain": True} if peer["drain"] else {}),
        **({"host": peer["server"]} if peer["server"] not in (peer["name"], peer["name"].rpartition(":")[0]) else {}),
    }


def chosen(found: Plain, fields: Sequence[str] | None) -> Plain:
    """Return an object with these fields only; None for all."""
    return found if fields is None else {name: value for name, value in found.items() if name in fields}

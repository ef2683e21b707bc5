"""Pages on the state of the server that anybody may read."""

from __future__ import annotations

from collections.abc import Iterator

from penstock.doctor.finding import WARNING, Finding, Fix
from penstock.doctor.repair.edits import opening
from penstock.doctor.rule import Rule
from penstock.doctor.site.level import Level
from penstock.doctor.site.site import Site

_PAGES = frozenset(
    (
        "stub_status", "status", "api", "metrics", "prometheus", "dashboard", "check_status", "upstream_show",
        "vhost_traffic_status_display", "sts_display", "tunnel_status", "websocket_status",
    )
)  # fmt: skip
_GUARDS = ("deny", "auth_basic", "auth_request", "auth_jwt")


def public(site: Site) -> Iterator[Finding]:
    """Find a status page, or an application's metrics, without a rule on who may see it."""
    for level in site.main.walk():
        if level.kind != "location":
            continue
        pages = [each for each in level.items if each.name.text in _PAGES and each.words[:1] != ("off",)]
        if not pages and level.path.rstrip("/") == "/metrics":
            pages = level.own("proxy_pass")
        if not pages or _guarded(level) or _unreachable(level):
            continue
        # Who collects an application's metrics is not known here; what nginx says of itself is for this machine.
        own = pages[0].name.text != "proxy_pass"
        edit = opening(level, ["allow 127.0.0.1;", "allow ::1;", "deny all;"]) if own else None
        yield Finding(
            "status-public",
            WARNING,
            f"everybody may read location {level.name}",
            pages[0].span,
            label="it tells what goes on here",
            advice="say who may: allow 127.0.0.1; deny all;",
            fix=None if edit is None else Fix("let this machine alone see it", (edit,)),
        )


def _guarded(level: Level) -> bool:
    if level.own("internal"):
        return True
    for name in _GUARDS:
        found = level.find(name)
        if found is not None and found.words[:1] != ("off",):
            return True
    verified = level.find("ssl_verify_client")
    return verified is not None and verified.words[:1] == ("on",)


def _unreachable(level: Level) -> bool:
    """Whether only this machine can connect at all."""
    server = level.enclosing("server")
    listens = [] if server is None else [each.words[0] for each in server.own("listen") if each.args]
    local = ("unix:", "127.", "localhost", "[::1]")
    return bool(listens) and all(each.startswith(local) for each in listens)


RULES = (Rule("status-public", WARNING, "everybody may read the server's state", public),)

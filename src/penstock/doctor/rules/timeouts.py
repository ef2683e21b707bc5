"""Tunnels that end because nobody spoke."""

from __future__ import annotations

from collections.abc import Iterator

from penstock.config.values import seconds
from penstock.doctor.finding import NOTE, WARNING, Finding, Fix, Related
from penstock.doctor.repair.cures import with_directive
from penstock.doctor.repair.edits import replaced
from penstock.doctor.rule import Rule
from penstock.doctor.site.site import PassLevel, Site
from penstock.doctor.site.traffic import carries_sockets, pinged

DEFAULT = 60.0
OTHERS = {
    "proxy_send_timeout": DEFAULT,
    "proxy_connect_timeout": 75.0,
    "send_timeout": DEFAULT,
}
"""Timeouts that are raised in the hope that tunnels live longer, and from where on that is to be suspected."""


def _unspoken(place: PassLevel) -> bool:
    """Whether a silent tunnel ends after the default of 60 seconds."""
    ping = place.level.find("websocket_ping")
    if place.unknown or (ping is not None and ping.words != ("off",)):
        return False
    return place.passes_websockets and place.level.find("proxy_read_timeout") is None


def _raised(place: PassLevel) -> tuple[str, str] | None:
    for name, limit in OTHERS.items():
        found = place.level.find(name)
        if found is None or not found.args:
            continue
        try:
            if seconds(found.words[0]) > limit:
                return name, found.words[0]
        except ValueError:
            continue
    return None


def wrong(site: Site) -> Iterator[Finding]:
    """Find another timeout raised than the one that ends tunnels."""
    for place in site.passes:
        raised = _raised(place)
        if raised is None or not _unspoken(place):
            continue
        name, value = raised
        found = place.level.find(name)
        assert found is not None
        longest = value if seconds(value) > DEFAULT else "1h"
        yield Finding(
            "timeout-wrong",
            WARNING,
            f"silent WebSockets at {place.shown} end after 60 s all the same: {name} does not concern them",
            found.span,
            label="proxy_read_timeout ends them",
            advice=f"add: proxy_read_timeout {longest};",
            related=(Related(place.directive.span, "where they go through"),),
            fix=Fix("raise the timeout that ends tunnels", tuple(with_directive(place.level, _line(longest)))),
        )


def default(site: Site) -> Iterator[Finding]:
    """Find where nobody said how long a tunnel may be silent."""
    for place in site.passes:
        if not _unspoken(place) or _raised(place) is not None:
            continue
        yield Finding(
            "timeout-default",
            NOTE,
            f"WebSockets at {place.shown} end when neither side has sent anything for 60 s",
            place.directive.span,
            label="unless the server or the client sends pings more often",
            advice="if they do not: proxy_read_timeout 1h;",
            fix=Fix("let tunnels be silent for an hour", tuple(with_directive(place.level, _line("1h")))),
        )


def short(site: Site) -> Iterator[Finding]:
    """Find a tunnel that has ended before the next ping comes."""
    for place in site.passes:
        found = place.level.find("proxy_read_timeout")
        ping = place.level.find("websocket_ping")
        if found is None or not found.args or not place.passes_websockets or place.off:
            continue
        if ping is not None and ping.words != ("off",):
            continue  # then silence alone ends nothing
        try:
            limit = seconds(found.words[0])
        except ValueError:
            continue
        often, said = pinged(place.place)
        if not 0 < limit <= often:
            continue
        own = found in place.level.own("proxy_read_timeout")
        edits = [replaced(found.args[0], "1h")] if own else with_directive(place.level, _line("1h"))
        yield Finding(
            "timeout-short",
            WARNING if carries_sockets(place.place) is not None else NOTE,
            f"WebSockets at {place.shown} end after {limit:g} s of silence, before the next ping comes",
            found.span,
            label=said,
            advice="raise it above the time between two pings: proxy_read_timeout 1h;",
            related=() if own else (Related(place.directive.span, "where they go through"),),
            fix=Fix("let tunnels be silent for an hour", tuple(edits)),
        )


def _line(value: str) -> str:
    return f"proxy_read_timeout {value};"


RULES = (
    Rule("timeout-wrong", WARNING, "a timeout is raised that does not concern tunnels", wrong),
    Rule("timeout-short", WARNING, "silent tunnels end before the next ping", short),
    Rule("timeout-default", NOTE, "silent tunnels end after 60 seconds", default, loud=True),
)

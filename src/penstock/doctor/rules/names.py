"""Host names that are looked up once, when the server starts."""

from __future__ import annotations

from collections.abc import Iterator

from penstock.config.source import Span
from penstock.doctor.finding import NOTE, WARNING, Finding
from penstock.doctor.rule import Rule
from penstock.doctor.site.site import Site


def once(site: Site) -> Iterator[Finding]:
    """Find names whose address nginx keeps as it was at its start. Penstock follows names by itself."""
    if not site.target.nginx:
        return
    for place in site.passes:
        if site.piece and not place.port and "." not in place.host:
            continue  # it may be an upstream of another file
        if place.group is None and _is_name(place.host):
            yield _finding(place.host, place.directive.args[0].span)
    for group in site.upstreams.values():
        for each in group.own("server"):
            host = each.words[0].partition(":")[0] if each.args else ""
            if _is_name(host) and "resolve" not in each.words:
                yield _finding(host, each.args[0].span)


def _finding(host: str, span: Span) -> Finding:
    return Finding(
        "name-resolved-once",
        NOTE if "." in host else WARNING,
        f'nginx looks "{host}" up when it starts, and never again',
        span,
        label="502 once a container comes back with another address, until a reload",
        advice=f"in an upstream with a zone: server {host}:PORT resolve; and a resolver (Docker's own is 127.0.0.11)",
    )


def _is_name(host: str) -> bool:
    plain = host and "$" not in host and not host.startswith(("unix", "[", "localhost"))
    return bool(plain) and not host.replace(".", "").isdigit()


RULES = (Rule("name-resolved-once", WARNING, "a host name is looked up at the start only", once),)

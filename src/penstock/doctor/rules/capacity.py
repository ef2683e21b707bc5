"""How many tunnels a configuration can hold on a machine, and limits that contradict each other.

A tunnel is two connections of a worker and two descriptors. To one address and port of a backend, one address of ours
can have as many connections as there are ephemeral ports; a unix socket has no such limit.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from penstock.config.tree import Directive
from penstock.doctor.finding import WARNING, Edit, Finding, Fix, Related
from penstock.doctor.repair.edits import before
from penstock.doctor.rule import Rule
from penstock.doctor.site.level import Level
from penstock.doctor.site.site import PassLevel, Site, members

DEFAULT_CONNECTIONS = 512
SPARE = 64
"""Descriptors of a worker that are no connections: logs, listening sockets, timers."""


@dataclass(frozen=True, slots=True)
class Capacity:
    """Tunnels at once, by what limits them; the ports are those of the backend that has the fewest."""

    workers: int
    connections: int
    by_connections: int
    by_descriptors: int | None
    by_ports: int | None

    @property
    def tunnels(self) -> int:
        return min(each for each in (self.by_connections, self.by_descriptors, self.by_ports) if each is not None)

    @property
    def limit(self) -> str:
        """Name what limits."""
        if self.tunnels == self.by_connections:
            return "worker_connections"
        return "open files" if self.tunnels == self.by_descriptors else "ephemeral ports to one backend"


def capacity(site: Site) -> Capacity:
    """Compute what this configuration can hold on that machine."""
    workers = _workers(site)
    connections = _connections(site)
    files = _files(site)
    ports = [_ports(site, place) for place in site.passes if place.passes_websockets]
    known = [each for each in ports if each is not None]
    return Capacity(
        workers,
        connections,
        workers * connections // 2,
        None if files is None else workers * max(0, files - SPARE) // 2,
        min(known) if known else None,
    )


def _workers(site: Site) -> int:
    found = site.main.find("worker_processes")
    word = found.words[0] if found is not None and found.args else "1"
    if word == "auto":
        return site.machine.cores
    return int(word) if word.isdigit() and 0 < int(word) < 10_000 else 1


def _connections(site: Site) -> int:
    found = _connections_line(site)
    word = found.words[0] if found is not None and found.args else ""
    return int(word) if word.isdigit() else DEFAULT_CONNECTIONS


def _events(site: Site) -> Level | None:
    return next((each for each in site.main.below if each.kind == "events"), None)


def _connections_line(site: Site) -> Directive | None:
    events = _events(site)
    own = [] if events is None else events.own("worker_connections")
    return own[-1] if own else None


def _files(site: Site) -> int | None:
    found = site.main.find("worker_rlimit_nofile")
    if found is not None and found.args and found.words[0].isdigit():
        return int(found.words[0])
    return site.machine.descriptors


def _ports(site: Site, place: PassLevel) -> int | None:
    """Connections that can be had to a backend; None where nothing limits them."""
    bound = place.level.find("proxy_bind")
    if bound is not None and any("$" in word for word in bound.words):
        return None  # spread over several addresses of ours
    group = place.group
    if group is None:
        return None if place.host.startswith("unix:") or "$" in place.host else site.machine.ports
    servers = [each.words[0] for each in members(group)]
    if not servers or any(each.startswith("unix:") for each in servers):
        return None
    return site.machine.ports * len(set(servers))


def descriptors(site: Site) -> Iterator[Finding]:
    """Find more connections than files that may be open."""
    line = _connections_line(site)
    files = _files(site)
    if line is None:
        return
    wanted = _connections(site)
    if files is not None and wanted > files:
        given = site.main.find("worker_rlimit_nofile")
        yield Finding(
            "capacity-descriptors",
            WARNING,
            f"a worker is to hold {wanted} connections, but may have {files} files open",
            line.span,
            label=f'it ends at {max(0, files - SPARE) // 2} tunnels, with "Too many open files"',
            advice=f"raise the limit: worker_rlimit_nofile {wanted + SPARE}; (as root, or LimitNOFILE of the service)",
            related=() if given is None else (Related(given.span, "the limit that is set"),),
            fix=_raise_files(site, given, wanted + SPARE),
        )


def ports(site: Site) -> Iterator[Finding]:
    """Find more tunnels than connections that one backend can have from here."""
    line = _connections_line(site)
    most = capacity(site)
    if line is None or most.by_ports is None:
        return
    promised = min(most.by_connections, most.by_connections if most.by_descriptors is None else most.by_descriptors)
    if most.by_ports < promised:
        yield Finding(
            "capacity-ports",
            WARNING,
            f"{promised} tunnels are wanted, but one backend can have {most.by_ports} connections from here",
            line.span,
            label="beyond them: connect() failed (99: Cannot assign requested address)",
            advice="name the backend by several addresses or a unix socket, or spread proxy_bind over several own ones",
        )


def _raise_files(site: Site, given: Directive | None, wanted: int) -> Fix:
    if given is not None:
        word = given.args[0]
        return Fix("raise the limit", (Edit(word.span.source, word.span.start, word.span.end, str(wanted)),))
    events = _events(site)
    assert events is not None and events.directive is not None
    return Fix("raise the limit", (before(events.directive, [f"worker_rlimit_nofile {wanted};"]),))


RULES = (
    Rule("capacity-descriptors", WARNING, "more connections than files a worker may open", descriptors),
    Rule("capacity-ports", WARNING, "more tunnels than ports to one backend", ports),
)

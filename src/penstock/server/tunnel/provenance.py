"""What all tunnels of a location have in common, so that none of them keeps it by itself."""

from __future__ import annotations

from typing import TYPE_CHECKING

from penstock.modules.logs.log import AccessLogs

if TYPE_CHECKING:
    from collections.abc import Callable

    from penstock.observe.accesslog import AccessLog
    from penstock.observe.errorlog import ErrorLog
    from penstock.observe.format_compiler import Freezer, Thawer
    from penstock.plan.location import Location
    from penstock.server.service import Service
    from penstock.upstream.peers.group import Group


class Provenance:
    """Where tunnels come from: the service, the names of server and location, and where their lines go. `bare`: they
    are those of streams, and there were no requests. `log` is the only access log, where what its line needs is known
    beforehand: `freeze`, `thaw` and `put` make and write the line. `group` and `module` are those of the backend, where
    the location has one place to pass requests to; a peer's settings begin with that name."""

    __slots__ = (
        *("bare", "error_log", "freeze", "group", "location_name", "log", "module", "put", "self_contained"),
        *("server_name", "service", "thaw"),
    )

    log: AccessLog | None
    freeze: Freezer | None
    thaw: Thawer
    put: Callable[[bytes], None]

    def __init__(self, service: Service, server_name: str, location_name: str, *, bare: bool = False) -> None:
        self.service = service
        self.server_name = server_name
        self.location_name = location_name
        self.bare = bare
        self.error_log: ErrorLog | None = None
        self.log = self.freeze = None
        self.self_contained = True
        self.group: Group | None = None
        self.module = ""

    def write_to(self, logs: AccessLogs, error_log: ErrorLog | None) -> None:
        """Write lines there."""
        self.error_log = error_log
        log = logs.alone
        if log is not None and log.file is not None:
            self.log = log
            form = log.format
            self.freeze, self.thaw, self.put = form.freezer(), form.thawer(), log.file.writer()
            self.self_contained = form.self_contained


def provenance_of(service: Service, location: Location, server_name: str) -> Provenance:
    """Return what the tunnels of a location have in common, made for the first of them."""
    known: Provenance | None = location.provenance
    if known is None or known.service is not service or known.server_name != server_name:
        known = Provenance(service, server_name, location.name, bare=location.kind == "stream")
        known.write_to(location[AccessLogs], location.error_log)
        location.provenance = known
    return known

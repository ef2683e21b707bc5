"""Figures for Prometheus: `metrics`. All workers are summed; nothing is counted where no location asks for it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from penstock.config.kinds import custom
from penstock.config.registry import LOCATION, SERVER
from penstock.config.scope import Call, Compilation, Scope
from penstock.config.settings import NOT, Settings, directive, phase
from penstock.http.request import Answer, Outcome, Request, special
from penstock.modules.logs.stub_status import figures
from penstock.observe.exposition import Shown, need_library, page
from penstock.observe.meters import new_labelled, new_rows
from penstock.plan import phases
from penstock.shared.counters import COUNTERS, Counters
from penstock.shared.labelled_sums import LABELLED
from penstock.shared.reload_record import RELOADS, ReloadMemory, ReloadRecord
from penstock.shared.rows import METERS

if TYPE_CHECKING:
    from penstock.plan.plan import Plan


@dataclass(frozen=True, slots=True)
class Naming:
    """Which names the page has beside our own."""

    nginx: bool = False


def _wanted(call: Call) -> Naming:
    try:
        # Here, where the master imports it for its workers: it takes a while, and they may not be able to read it.
        need_library()
    except ImportError as error:
        hint = "install it: pip install prometheus-client"
        raise call.fail(f"metrics need the library prometheus-client ({error})", hint=hint) from None
    count_for(call.compilation)
    return _naming(call)


def count_for(compilation: Compilation) -> None:
    """Have every worker count: for `metrics`, and for whatever else shows these figures."""
    shared, previous = compilation.shared, compilation.previous
    if METERS not in shared:
        shared[METERS] = previous.get(METERS) or new_rows()
        shared[LABELLED] = previous.get(LABELLED) or new_labelled()
    if RELOADS not in shared:
        shared[RELOADS] = previous.get(RELOADS) or ReloadMemory()
    if COUNTERS not in shared:
        shared[COUNTERS] = previous.get(COUNTERS) or Counters()


def _naming(call: Call) -> Naming:
    names = "penstock"
    for word in call.args:
        key, given, names = word.text.partition("=")
        if key != "names" or not given or names not in ("penstock", "nginx"):
            raise call.fail(f'invalid parameter "{word.text}"', word, hint="names=nginx, or names=penstock")
    return Naming(nginx=names == "nginx")


class Metrics(Settings):
    """A page of figures in the text format of Prometheus."""

    naming: Naming | None = directive(
        "metrics",
        where=SERVER | LOCATION,
        takes=custom(_wanted, least=0, most=1, syntax="[names=penstock | nginx]"),
        inherit=NOT,
        doc="Tunnels open, opened, closed by code and by whom, messages and bytes, times of handshakes and pings, HTTP "
        "requests by status; handshakes and tunnels of each peer; memory and descriptors, the last reload, the ends of "
        "certificates: for Prometheus, summed over all workers. With `names=nginx` also by the names of nginx's own "
        "exporter. Protect it with `allow` and `deny`.",
    )

    @phase(phases.CONTENT, when=lambda self: self.naming is not None)
    async def serve(self, request: Request) -> Outcome:
        """Answer GET and HEAD with the page."""
        if request.method not in ("GET", "HEAD"):
            return special(405)
        await request.body.discard()
        service = request.connection.service
        meters = service.meters
        if meters is None:
            return special(503)
        reloads = service.plan.shared.get(RELOADS)
        assert self.naming is not None
        shown = Shown(
            meters.sums(),
            figures(request),
            meters.by_peer(),
            meters.rows.living(),
            ReloadRecord() if reloads is None else reloads.read(),
            certificates(service.plan),
            self.naming.nginx,
            service.upstreams(),
        )
        text, kind = page(shown)
        answer = Answer(200, text, content_type=kind)
        answer.headers.append(("Cache-Control", "no-store"))
        return answer


def certificates(plan: Plan) -> list[tuple[str, str, float]]:
    """Return server, name as written and end of each certificate that the configuration names."""
    found: dict[tuple[str, str], float] = {}
    for server in plan.servers:
        if server.tls is not None:
            for name, end in server.tls.ends.items():
                found[server.name, name] = end
    return [(*key, end) for key, end in found.items()]


class Counted(Settings):
    """Every request is counted once there is a `metrics` anywhere."""

    counts = False

    def keeps_to_itself(self, inside: bool) -> bool:
        """Return False: one counter is for all levels."""
        return False

    def finish(self, scope: Scope) -> None:
        self.counts = METERS in scope.compilation.shared

    @phase(phases.LOG, when=lambda self: self.counts)
    def count(self, request: Request) -> None:
        """Count a request that is over, and no tunnel."""
        meters = request.connection.service.meters
        if meters is None:
            return
        status = request.status or request.error_status
        meters.answered(status)
        if "upgrade" in request.head.fields and request.head.fields["upgrade"].lower() == "websocket":
            meters.refused(status)
            meters.tried(request.server.name, request.attempts, status)

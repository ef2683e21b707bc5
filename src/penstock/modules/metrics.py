"""Figures for Prometheus: `metrics`. All workers are summed; nothing is counted where no location asks for it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from penstock.config.kinds import custom
from penstock.config.registry import LOCATION, SERVER
from penstock.config.scope import Call, Scope
from penstock.config.settings import NOT, Settings, directive, phase
from penstock.http.request import Answer, Outcome, Request, special
from penstock.plan import phases
from penstock.plan.counters import COUNTERS, Counters
from penstock.plan.rows import METERS

if TYPE_CHECKING:
    from penstock.observe.meters import Meters


def _wanted(call: Call) -> bool:
    try:
        # Here, before workers are forked: it takes a while to import, and none of them shall stand still for it.
        import penstock.observe.exposition as exposition
    except ImportError as error:
        hint = "install it: pip install prometheus-client"
        raise call.fail(f"metrics need the library prometheus-client ({error})", hint=hint) from None
    assert exposition is not None
    compilation = call.compilation
    if METERS not in compilation.shared:
        from penstock.observe.meters import new_rows

        compilation.shared[METERS] = compilation.previous.get(METERS) or new_rows()
    if COUNTERS not in compilation.shared:
        compilation.shared[COUNTERS] = compilation.previous.get(COUNTERS) or Counters()
    return True


class Metrics(Settings):
    """A page of figures in the text format of Prometheus."""

    enabled: bool = directive(
        "metrics",
        where=SERVER | LOCATION,
        takes=custom(_wanted, least=0, most=0),
        default=False,
        inherit=NOT,
        doc="Tunnels open, opened, closed by code and by whom, messages and bytes, times of handshakes and pings, HTTP "
        "requests by status: for Prometheus, summed over all workers. Protect it with `allow` and `deny`.",
    )

    @phase(phases.CONTENT, when=lambda self: self.enabled)
    async def serve(self, request: Request) -> Outcome:
        """The page, for GET and HEAD."""
        if request.method not in ("GET", "HEAD"):
            return special(405)
        await request.body.discard()
        meters: Meters | None = request.connection.service.meters
        if meters is None:
            return special(503)
        from penstock.modules.stub_status import figures
        from penstock.observe.exposition import CONTENT_TYPE, page

        answer = Answer(200, page(meters.sums(), figures(request)), content_type=CONTENT_TYPE)
        answer.headers.append(("Cache-Control", "no-store"))
        return answer


class Counted(Settings):
    """Every request is counted once there is a `metrics` anywhere."""

    counts = False

    def keeps_to_itself(self, inside: bool) -> bool:
        """One for all."""
        return False

    def finish(self, scope: Scope) -> None:
        self.counts = METERS in scope.compilation.shared

    @phase(phases.LOG, when=lambda self: self.counts)
    def count(self, request: Request) -> None:
        """A request that is over, and no tunnel."""
        meters: Meters | None = request.connection.service.meters
        if meters is None:
            return
        status = request.status or request.error_status
        meters.answered(status)
        if "upgrade" in request.head.fields and request.head.fields["upgrade"].lower() == "websocket":
            meters.refused(status)

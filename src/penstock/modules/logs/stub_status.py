"""How many connections there are (nginx: ngx_http_stub_status_module).

Workers tell each other their figures once a second; those of the worker that is asked are of this moment. Where no
`stub_status` stands in the configuration, the variables speak of the worker that answers.
"""

from __future__ import annotations

from penstock.config.kinds import custom
from penstock.config.registry import LOCATION, SERVER
from penstock.config.scope import Call
from penstock.config.settings import NOT, Settings, directive, last, phase
from penstock.config.variables import variable
from penstock.http.request import Answer, Outcome, Request, special
from penstock.plan import phases
from penstock.shared.counters import COUNTERS, Counters, Figures

PAGE = "ngx_http_stub_status_module.html"


def _wanted(call: Call) -> bool:
    compilation = call.compilation
    if COUNTERS not in compilation.shared:
        compilation.shared[COUNTERS] = compilation.previous.get(COUNTERS) or Counters()
    return True


class StubStatus(Settings):
    """A page of seven figures, for monitoring that knows nginx's."""

    enabled: bool = directive(
        "stub_status",
        where=SERVER | LOCATION,
        takes=custom(_wanted, least=0, most=1),
        default=False,
        inherit=NOT,
        nginx=PAGE,
        again=last,
    )

    @phase(phases.CONTENT, when=lambda self: self.enabled)
    async def serve(self, request: Request) -> Outcome:
        """Answer GET and HEAD with the page."""
        if request.method not in ("GET", "HEAD"):
            return special(405)
        await request.body.discard()
        seen = figures(request)
        text = (
            f"Active connections: {seen.active} \nserver accepts handled requests\n"
            f" {seen.accepts} {seen.handled} {seen.requests} \n"
            f"Reading: {seen.reading} Writing: {seen.writing} Waiting: {seen.waiting} \n"
        )
        return Answer(200, text.encode("ascii"), content_type="text/plain")


def figures(request: Request) -> Figures:
    """Sum the figures of all workers, or give those of this one where workers do not tell each other."""
    service = request.connection.service
    own: Figures = service.figures()
    if service.counts is None:
        return own
    service.counts.put(own)
    total: Figures = service.counts.total()
    return total


@variable("connections_active")
def connections_active(request: Request) -> str:
    return str(figures(request).active)


@variable("connections_reading")
def connections_reading(request: Request) -> str:
    return str(figures(request).reading)


@variable("connections_writing")
def connections_writing(request: Request) -> str:
    return str(figures(request).writing)


@variable("connections_waiting")
def connections_waiting(request: Request) -> str:
    return str(figures(request).waiting)

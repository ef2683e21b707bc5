"""A request taken through the phases without anything happening: the engine is the real one, so are the matching, the
rewrite programs and the head that a backend would get. Only what would reach out of the process is put aside: passing
requests on, subrequests, counting against limits, logs.

A plan that has been rehearsed with serves nothing else: its handlers are replaced.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from time import monotonic
from typing import TYPE_CHECKING, Any, TypeAlias

from penstock.config.registry import module_of
from penstock.config.source import Span
from penstock.config.tree import Directive
from penstock.doctor.explanation import (
    ExplainedBackend,
    ExplainedObstacle,
    ExplainedStep,
    ExplainedWay,
    Explanation,
)
from penstock.http.request import Answer, Outcome, Redirect, Request
from penstock.modules.access.access import GRANTED
from penstock.modules.core.locations import all_locations
from penstock.modules.proxy.pass_request import Passing
from penstock.modules.rewrite.operations import Op, Run
from penstock.modules.rewrite.rewrite import WATCH
from penstock.modules.tracing.keys import EXPORTER
from penstock.observe.errorlog import WARN, ErrorLog, set_fallback
from penstock.plan import phases
from penstock.plan.location import Handlers, Listen, Location, Server
from penstock.plan.match import LocationTree
from penstock.plan.plan import Plan
from penstock.server.connection import Connection
from penstock.server.service import Service
from penstock.server.straight.obstacles import Obstacle, obstacles, of_address, of_answer, of_request
from penstock.server.transaction import new_request, run

if TYPE_CHECKING:
    from penstock.http.request import Request

Describe: TypeAlias = Callable[[Request, Passing], "ExplainedBackend | None"]
Search: TypeAlias = "tuple[LocationTree, str, Location | None, dict[Location, str]]"
"""A tree of locations, the path that was looked for, what was found, and what the variables of predicates were."""

DONE = frozenset(
    (
        "access", "autoindex", "empty_gif", "flv", "gzip_static", "index", "internal_redirect", "random_index",
        "realip", "ssl_verify", "static", "try_files", "gateways", "websocket", "websocket_origins",
        "websocket_protocols", "otel",
    )
)  # fmt: skip
"""Modules whose handlers do what they always do: they read at most files and clocks."""
UNDONE = {
    "auth_basic": "asks for a name and a password; taken as given",
    "auth_request": "asks another location whether to let the request in; taken as allowed",
    "auth_require": "lets in by variables; taken as set",
    "limit_conn": "counts connections against a limit; taken as below it",
    "limit_req": "counts requests against a rate; taken as below it",
    "websocket_admission": "lets handshakes in at a bounded rate; taken as let in",
    "websocket_quota": "counts tunnels and what they say against a quota; taken as below it",
    "mirror": "sends a copy elsewhere; not done",
}
PHASES = {
    phases.POST_READ: "begin",
    phases.SERVER_REWRITE: "rewrite",
    phases.REWRITE: "rewrite",
    phases.PREACCESS: "access",
    phases.ACCESS: "access",
    phases.PRECONTENT: "content",
    phases.CONTENT: "content",
}


class Notes:
    """What is written down on the way of one request."""

    def __init__(self, describe: Describe) -> None:
        self.told: Explanation
        self.describe = describe
        self.searches: list[Search] = []
        self.decided = ""
        self.over: Callable[[str], bool] | None = None
        self.general: dict[Location, list[Obstacle]] = {}

    def step(self, phase: str, text: str, span: Span | None = None) -> None:
        self.told.steps.append(ExplainedStep(phase, text, span))


NOTES: ContextVar[Notes | None] = ContextVar("notes", default=None)
"""Those of the request that is under way."""


class Quiet:
    """A log that nobody reads but who asked for the rehearsal."""

    __slots__ = ("level", "lines")

    def __init__(self) -> None:
        self.level = WARN
        self.lines: list[str] = []

    def write(self, line: bytes, level: int) -> None:
        text = line.decode("latin-1").rstrip("\n")
        self.lines.append(text.partition("*")[2].partition(" ")[2].partition(", client:")[0])


class StandInStream:
    """Where a stream would be: it knows the address that was reached."""

    __slots__ = ("local_name", "sock")

    def __init__(self, local_name: tuple[str, int] | str) -> None:
        self.local_name = local_name
        self.sock = None


class Hours:
    """The timers and tunnels of a loop that does not turn."""

    def __init__(self) -> None:
        self.timers = self
        self.now = monotonic()
        self.tunnels: set[object] = set()


@contextmanager
def watched() -> Iterator[None]:
    """Let the rewrite directives of a configuration that is read in this tell what they do."""

    def watch(op: Op, directive: Directive) -> Op:
        def told(run: Run) -> Any:
            notes = NOTES.get()
            return op(run) if notes is None else _watched(op, directive, run, notes)

        return told

    token = WATCH.set(watch)
    try:
        yield
    finally:
        WATCH.reset(token)


def _watched(op: Op, directive: Directive, run: Run, notes: Notes) -> Any:
    request = run.request
    steps = notes.told.steps
    name, span = directive.name.text, directive.span
    if name == "if" and notes.over is not None and notes.over(span.text):
        notes.step("rewrite", f"{span.text}: passed over", span)
        return None
    before = request.uri, request.args, request.location
    place = len(steps)
    if name == "if":
        notes.step("rewrite", span.text, span)
    ended = op(run)
    if name == "if":
        held = len(steps) > place + 1 or request.location is not before[2]
        steps[place].text += ": holds" if held else ": does not hold"
    elif name == "set":
        variable = directive.words[0][1:].lower()
        notes.step("rewrite", f"{span.text}: ${variable} is \"{request.variables.get(variable) or ''}\"", span)
    elif name == "rewrite":
        if request.captures is None:
            notes.step("rewrite", f"{span.text}: does not match {before[0]}", span)
        elif isinstance(ended, Answer):
            notes.step("rewrite", f"{span.text}: {ended.status} to {ended.location}", span)
        else:
            args = f"?{request.args}" if request.args else ""
            notes.step("rewrite", f"{span.text}: {before[0]} becomes {request.uri}{args}", span)
    else:
        notes.step("rewrite", span.text, span)
    return ended


class _Watched(LocationTree):
    """A search that is written down."""

    __slots__ = ("notes",)

    def __init__(self, tree: LocationTree, notes: Notes) -> None:
        super().__init__(tree.all)
        self.notes = notes

    def find(self, uri: str, request: Request) -> Location | None:
        asked = self._asked(request)
        found = super().find(uri, request)
        name = "no location: the server itself" if found is None or found.span is None else found.span.text
        self.notes.step("search", f"{uri}: {name}", None if found is None else found.span)
        self.notes.searches.append((self, uri, found, asked))
        return found

    def _asked(self, request: Request) -> dict[Location, str]:
        """What the variables of all predicates are, in the order of the file. The request stays as it was."""
        captures, variables, cached = request.captures, request.variables.copy(), request.cached.copy()
        found = {each: each.predicate.evaluate(request) for each in self.below() if each.predicate is not None}
        request.captures, request.variables, request.cached = captures, variables, cached
        return found


class Rehearsal:
    """A plan made ready for it. `describe` says what a backend would get, None where a target makes no sense."""

    def __init__(self, plan: Plan, describe: Describe) -> None:
        self._plan = plan
        self._notes = notes = Notes(describe)
        self._log = log = Quiet()
        quiet = ErrorLog([log])
        set_fallback(quiet)
        exporter = plan.shared.get(EXPORTER)
        if exporter is not None:
            exporter.muted = True
        roots = [(server, list(all_locations([server.root]))) for server in plan.servers]
        for server, locations in roots:  # all of them, before the first one is put into a shadow
            notes.general.update((location, obstacles(server, location)) for location in locations)
        for _, locations in roots:
            for location in locations:
                location.error_log = quiet
                location.handle(
                    tuple(_shadowed(number, location.phases[number], notes) for number in range(phases.COUNT))
                )
        for server in plan.servers:
            if server.locations is not None:
                server.locations = _Watched(server.locations, notes)

    @property
    def decided(self) -> str:
        """Return the module that answered the request before a backend could, "" where none did."""
        return self._notes.decided

    def run(
        self,
        told: Explanation,
        listen: Listen,
        head: bytes,
        client: tuple[str, int],
        *,
        tls: bool,
        server: Server | None = None,
        over: Callable[[str], bool] | None = None,
    ) -> tuple[Request, list[Search]]:
        """Run the request whose head it is through the plan, and write down what happens; the request afterwards,
        and the searches for its location. `server` has it whatever its Host is; conditions for which `over` is true
        are passed over, as if they did not hold. Raises `BadRequest` for a head that would be refused."""
        notes = self._notes
        notes.told, notes.searches, notes.decided = told, [], ""
        notes.over = over
        self._log.lines = told.log
        connection = _connection(self._plan, listen, client, tls=tls)
        found = connection.service.head_reader(connection.server).feed(head)
        assert found is not None, "a head ends with an empty line"
        request = new_request(connection, found, connection.started, len(head))
        if server is not None and request.server is not server:
            request.server, request.location, request.captures = server, server.root, None
        token = NOTES.set(notes)
        try:
            _run(run(request, RehearsalCarrier(notes)))
        finally:
            NOTES.reset(token)
        return request, notes.searches


def _connection(plan: Plan, listen: Listen, client: tuple[str, int], *, tls: bool) -> Connection:
    hours: Any = Hours()
    name = listen.address if isinstance(listen.address, str) else (listen.address[0], listen.address[1])
    stage: Any = StandInStream(name)
    connection = Connection(Service(plan, hours), 1, stage, client, listen)
    connection.requests = 1
    connection.scheme = "https" if tls else "http"
    return connection


class RehearsalCarrier:
    """What a rehearsed request asks of what carries it (`server.transaction.Carrier`): its answer is written down."""

    def __init__(self, notes: Notes) -> None:
        self.notes = notes

    def prepare(self, request: Request) -> int:
        """Refuse what a connection would refuse. There is no body."""
        connection = request.connection
        if connection.listen.options.ssl and connection.scheme != "https":
            self.say_why(request, "plain HTTP came to a port that speaks TLS: 497, which is shown as 400")
            return 497
        return 0

    def glance(self, request: Request) -> None:
        """Do nothing: there is no body."""

    def send(self, request: Request, answer: Answer) -> None:
        """Write down what the client would get."""
        told = self.notes.told
        request.status = answer.status
        if told.backend is None or answer.status >= 400 or not answer.from_upstream:
            where = f" to {answer.location}" if answer.location else ""
            told.answer = f"{answer.status}{where}"

    def say_why(self, request: Request, reason: str) -> None:
        """Write down the reason as a step."""
        self.notes.step("begin", reason)

    def closed_what(self) -> str:
        """Return "connection", though there is no client that could close anything."""
        return "connection"

    def stalled(self, request: Request, *, sending: bool) -> None:
        """Do nothing: there is no client that could be late."""

    def silenced(self, request: Request) -> None:
        """Write down that there is no answer."""
        self.notes.told.answer = "the connection is closed without a word"


def _run(way: Any) -> None:
    """Nothing on the way waits, so that a coroutine is at its end after one step."""
    try:
        way.send(None)
    except StopIteration:
        return
    way.close()
    raise RuntimeError("a rehearsal waits for nothing")


def _shadowed(number: int, handlers: Handlers, notes: Notes) -> Handlers:
    if number not in PHASES:
        return ()
    return tuple(_shadow(number, handler, waits, notes) for handler, waits in handlers)


def _shadow(number: int, handler: Any, waits: bool, notes: Notes) -> tuple[Any, bool]:
    """What stands for a handler: the handler itself with a note, or a note alone."""
    settings = handler.__self__
    module = module_of(type(settings).__module__)
    phase = PHASES[number]
    if number in (phases.SERVER_REWRITE, phases.REWRITE):
        return handler, waits  # its operations tell what they do
    if isinstance(settings, Passing):
        return lambda request: _passed(request, settings, notes), False
    if module in DONE and not waits:

        def done(request: Request) -> Outcome:
            outcome: Outcome = handler(request)
            if outcome is not None:
                notes.step(phase, f"{module}: {_said(outcome)}")
                if outcome is not GRANTED and isinstance(outcome, Answer):
                    notes.decided = module
            return outcome

        return done, False

    def undone(request: Request) -> Outcome:
        if number != phases.CONTENT:
            notes.step(phase, f"{module}: {UNDONE.get(module, 'not rehearsed')}")
            return None
        notes.step(phase, f"{module} answers")
        return Answer(200)

    return undone, False


def _said(outcome: Outcome) -> str:
    if isinstance(outcome, Redirect):
        return f"goes on in {outcome.name}" if outcome.name is not None else f"goes on as {outcome.uri}"
    if outcome is not GRANTED and isinstance(outcome, Answer):
        return f"answers {outcome.status}"
    return "lets the request in"


def _passed(request: Request, settings: Passing, notes: Notes) -> Outcome:
    backend = notes.describe(request, settings)
    if backend is None:
        notes.step("content", "the target of this request makes no sense: 500")
        return Answer(500)
    notes.told.backend = backend
    notes.told.way = _way(request, notes.general.get(request.location, []))
    answer = Answer(200)
    answer.from_upstream = True
    return answer


def _way(request: Request, of_location: list[Obstacle]) -> ExplainedWay:
    listen = request.connection.listen
    why = [*of_request(request), *of_location]
    later = [*of_address(listen), *of_answer(request)]
    return ExplainedWay("general" if why else "straight", _told(why), _told(later))


def _told(found: list[Obstacle]) -> list[ExplainedObstacle]:
    return [ExplainedObstacle(each.words, each.span) for each in found]

"""Handshakes let in at a bounded rate: `websocket_admission`, in an upstream or a location.

When a backend comes back, all its clients do at once, and that ends it again. What is beyond the bounds waits, and who
waits too long is told when to come back: by a 503, or, since pages never see one, by a WebSocket that is closed with
1013. Over HTTP/2 it is the same.
"""

from __future__ import annotations

from collections.abc import Callable
from errno import ECONNRESET
from typing import Any

from penstock.config.errors import ConfigError
from penstock.config.kinds import custom, either
from penstock.config.registry import LOCATION, UPSTREAM, command
from penstock.config.scope import Call, Scope
from penstock.config.settings import Settings, directive, phase
from penstock.config.tree import Directive, Word
from penstock.config.values import decimal, rate, seconds
from penstock.http.request import Answer, Outcome, Request
from penstock.modules.upstream.upstream import DRAFT, UPSTREAMS, upstreams_of
from penstock.modules.websocket.websocket import asks, closed_at_once, has_refused, refuse, what_is_wrong
from penstock.net.errors import PeerGone
from penstock.net.fiber import current
from penstock.observe.errorlog import INFO, WARN, report
from penstock.plan import phases
from penstock.upstream.admission.gate import Gate
from penstock.upstream.admission.rule import AdmissionRule
from penstock.upstream.admission.selection import ADMITTED, NotAdmitted, has_to_wait, let_in

MODULE = "websocket_admission"
SYNTAX = "[rate=rate] [in_progress=number] [queue=time] [reject=503 | 1013] [retry_after=time..time]"
TRY_AGAIN = 1013
QUIET = 10.0
"""Seconds between two lines of the log that count who was turned away."""


def _span(text: str) -> tuple[float, float]:
    first, dots, last = text.partition("..")
    low = seconds(first)
    high = seconds(last) if dots else low
    if not high or high < low:
        raise ValueError("a time, or two, such as 5s..30s")
    return low, high


def _whole(text: str) -> int:
    found = decimal(text)
    if not found:
        raise ValueError("a number from 1 up")
    return found


def _code(text: str) -> int:
    if text not in ("503", "1013"):
        raise ValueError("it may be: 503, 1013")
    return int(text)


_VALUES: dict[str, tuple[str, Callable[[str], Any]]] = {
    "rate": ("rate", rate),
    "in_progress": ("in_progress", _whole),
    "queue": ("queue", seconds),
    "reject": ("code", _code),
    "retry_after": ("retry_after", _span),
}


def read(name: str, words: tuple[Word, ...], directive: Directive, *, zone: bool) -> AdmissionRule:
    """Read the words of a line. Raises `ConfigError`."""
    values: dict[str, Any] = {}
    for word in words:
        key, given, text = word.text.partition("=")
        if zone and key == "zone" and text:
            values["zone"] = text
            continue
        if key not in _VALUES or not given:
            raise ConfigError(f'invalid parameter "{word.text}"', word.span, hint=SYNTAX)
        attribute, convert = _VALUES[key]
        try:
            values[attribute] = convert(text)
        except ValueError as error:
            raise ConfigError(f'invalid parameter "{word.text}"', word.span, hint=str(error)) from None
    if not values.get("rate") and not values.get("in_progress"):
        raise ConfigError(f'"{name}" needs "rate" or "in_progress"', directive.span, hint=f"{name} {SYNTAX};")
    return AdmissionRule(**values)


@command(MODULE, where=UPSTREAM, most=5, syntax=SYNTAX)
def of_upstream(scope: Scope, directive: Directive) -> None:
    """Bounds for the handshakes that the servers of this group get together: how many begin in a second, how many are
    under way at once; with a `zone`, over all workers. Others wait for `queue` (10s), each client's address in turn."""
    draft = scope.data[DRAFT]
    if draft.admission is not None:
        raise ConfigError(f'"{MODULE}" directive is duplicate', directive.span)
    draft.admission = read(MODULE, directive.args, directive, zone=False)


def _of_location(call: Call) -> AdmissionRule:
    return read(MODULE, call.args, call.directive, zone=True)


class Admission(Settings):
    """Handshakes of a location, let in at a bounded rate."""

    rule: AdmissionRule | None = directive(
        MODULE,
        where=LOCATION,
        takes=either("off", None, custom(_of_location, most=6, syntax=f"{SYNTAX} [zone=name]")),
        shown="off",
        doc="Bounds for handshakes here, in each worker, or with `zone` in all of them and in each location that names "
        "it: how many begin in a second, how many are under way at once. Others wait for `queue` (10s), each client's "
        "address in turn. Who waits in vain gets 503 with a Retry-After between both times of `retry_after` (5s..30s), "
        "or with `reject=1013` a WebSocket that is closed with that code, which pages can see.",
    )

    def finish(self, scope: Scope) -> None:
        """Make the gate of this level; with a zone its bounds are those of all workers, and stay over reloads."""
        rule = self.rule
        self.gate: Gate | None = None
        if rule is None:
            return
        span = self.origin("rule")
        name = rule.zone or ("location" if span is None else f"{span.file}:{span.line}")
        bounds = None
        if rule.zone:
            upstreams = upstreams_of(scope.compilation)
            bounds = upstreams.shared_bounds(f"zone {rule.zone}", scope.compilation.previous.get(UPSTREAMS))
        self.gate = Gate(rule, name, bounds)

    @phase(phases.PRECONTENT, when=lambda self: self.gate is not None)
    async def decide(self, request: Request) -> Outcome:
        """Let a handshake wait until it may go on, or turn it away."""
        gate = self.gate
        assert gate is not None
        if not asks(request) or has_refused(request) or not has_to_wait(request, gate):
            return None
        stream, fiber = request.connection.stream, current()
        stream.on_hangup = lambda: fiber.interrupt(PeerGone(ECONNRESET))
        try:
            await let_in(request, gate)
        except NotAdmitted:
            return turned_away(request, gate)
        finally:
            stream.on_hangup = None
        return None

    @phase(phases.HEADERS, when=lambda self: self.gate is not None)
    def answered(self, request: Request, answer: Answer) -> None:
        """Note that the handshake is not under way any more: there is an answer to it."""
        contexts = request.contexts
        admitted = None if contexts is None or self.gate is None else contexts.get(ADMITTED)
        for each in (admitted or {}).values():
            each.leave()


def turned_away(request: Request, gate: Gate) -> Answer:
    """Make the answer to a handshake that was not let in."""
    now = request.connection.service.timers.now
    if now >= gate.silent:
        gate.silent = now + QUIET
        report(request, WARN, f'{gate.turned} handshakes turned away by "{MODULE}" of "{gate.name}", {len(gate)} wait')
        gate.turned = 0
    rule = gate.rule
    if rule.code == TRY_AGAIN and not what_is_wrong(request):
        return closed_at_once(request, TRY_AGAIN, "try again later")
    words = "too many WebSockets are being opened, come back later"
    return refuse(request, 503, words, [("Retry-After", str(rule.come_back()))], level=INFO)

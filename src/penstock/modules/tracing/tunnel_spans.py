"""A tunnel as spans, each linked to the one before it, so that it is seen before it ends (`otel_tunnel_spans`).

    opens     the handshake's span: it is what the backend was told of, and the parent of the others
    every     one for the time since the last one, where that is asked for
    ends      one for the rest, with why it ended and what has flowed

Plain values of it go to another process with the tunnel.
"""

from __future__ import annotations

from time import time
from typing import TYPE_CHECKING

from penstock.modules.tracing.keys import EXPORTER, TRACE
from penstock.modules.tracing.otel import SpanAtEnd, Tracing, TunnelSpanRule
from penstock.modules.tracing.spans import attributes_of, name_of, outcome
from penstock.net.timers import Alarm
from penstock.observe.tracing.span import INTERNAL, SERVER, SpanRecord
from penstock.observe.tracing.trace_context import new_span
from penstock.shared.json_fields import Strange

if TYPE_CHECKING:
    from penstock.http.client import ClientService, WebSocketView
    from penstock.http.request import Request
    from penstock.net.relay.tunnel import Tunnel
    from penstock.observe.tracing.exporter import Exporter
    from penstock.observe.tracing.span import Attributes, AttributeValue
    from penstock.plan.plan import Plan
    from penstock.shared.json_fields import Fields


class TunnelSpans:
    """The spans of one tunnel. `part` counts those that were sent, `last` is the latest of them, `since` (seconds
    since 1970) where the next one begins."""

    __slots__ = (
        "_alarm",
        "_attributes",
        "_exporter",
        "_name",
        "_parent",
        "_root",
        "_rule",
        "_service",
        "_state",
        "_trace",
        "_tunnel",
        "ended",
        "last",
        "part",
        "since",
    )

    def __init__(
        self, service: ClientService, exporter: Exporter, rule: TunnelSpanRule, trace: bytes, root: bytes, parent: bytes
    ) -> None:
        self._service = service
        self._exporter = exporter
        self._rule = rule
        self._trace = trace
        self._root = root
        self._parent = parent
        self._state = ""
        self._name = ""
        self._attributes: Attributes = ()
        self._tunnel: Tunnel | None = None
        self._alarm: Alarm | None = None
        self.ended = False
        self.part = 0
        self.last = b""
        self.since = 0.0

    @classmethod
    def begin(cls, service: ClientService, request: Request) -> TunnelSpans | None:
        """Take over what would be told of a request at its end: it has become a tunnel. None where it is not traced."""
        trace = None if request.contexts is None else request.contexts.get(TRACE)
        endings = request.endings or []
        at_end = next((each for each in endings if isinstance(each, SpanAtEnd)), None)
        if trace is None or at_end is None:
            return None
        endings.remove(at_end)
        if not trace.sampled:
            return None
        settings = request.location[Tracing]
        made = cls(service, at_end.exporter, settings.tunnel_spans, trace.trace, trace.own, trace.parent)
        made._state = trace.state
        made._name = name_of(request, settings)
        made._attributes = attributes_of(request, settings)
        now = time()
        made.since = now - (service.timers.now - request.started)
        made._exporter.meters = service.meters
        if made._rule.opens:
            made._send(now, outcome(request.status, 0), b"")
        return made

    def follow(self, tunnel: Tunnel) -> None:
        """Tell of it again and again, if that is wanted."""
        if self._rule.every and not self.ended:
            self._tunnel = tunnel
            self._alarm = Alarm(tunnel.loop.timers, self._due)
            self._alarm.set(self._rule.every)

    def over(self, status: int, tunnel: Tunnel, reason: str, talk: WebSocketView | None) -> None:
        """Tell that it has ended."""
        self.ended = True
        self.let_go()
        said: list[tuple[str, AttributeValue]] = [
            ("penstock.tunnel.end", talk.end_reason if talk is not None and talk.end_reason else reason.lower())
        ]
        if talk is not None and talk.close_code is not None:
            said.append(("penstock.tunnel.close_code", talk.close_code))
        self._send(time(), (*outcome(status, tunnel.from_backend), *said, *_flowed(tunnel)), self.last)

    def let_go(self) -> None:
        """Tell no more of it here."""
        self._tunnel = None
        if self._alarm is not None:
            self._alarm.close()
            self._alarm = None

    def _due(self) -> None:
        tunnel, alarm = self._tunnel, self._alarm
        if tunnel is None or alarm is None:
            return
        self._send(time(), _flowed(tunnel), self.last)
        alarm.set(self._rule.every)

    def _send(self, now: float, said: Attributes, last: bytes) -> None:
        first = not self.part
        own = self._root if first else new_span()
        numbered: Attributes = (("penstock.tunnel.part", self.part),) if self._rule.opens else ()
        self._exporter.add(
            SpanRecord(
                self._trace,
                own,
                self._parent if first else self._root,
                self._state,
                self._name,
                self.since,
                now,
                (*self._attributes, *said, *numbered),
                kind=SERVER if first else INTERNAL,
                link=last,
            )
        )
        self.part += 1
        self.last = own
        self.since = now

    # -- to another process

    def described(self) -> dict[str, object]:
        """Return it as plain values."""
        return {
            "opens": self._rule.opens,
            "every": self._rule.every,
            "trace": self._trace.hex(),
            "root": self._root.hex(),
            "parent": self._parent.hex(),
            "last": self.last.hex(),
            "state": self._state,
            "name": self._name,
            "attributes": self._attributes,
            "part": self.part,
            "since": self.since,
        }

    @classmethod
    def received(cls, service: ClientService, plan: Plan, fields: Fields) -> TunnelSpans | None:
        """Go on with what another process tells; None where no spans are sent here. Raises `Strange`."""
        rule = TunnelSpanRule(fields.flag("opens"), fields.real("every"))
        trace, root, parent, last = (_identity(fields, name) for name in ("trace", "root", "parent", "last"))
        state, name = fields.text("state"), fields.text("name")
        attributes = tuple(_attribute(each) for each in fields.items("attributes"))
        part, since = fields.whole("part"), fields.real("since")
        fields.end()
        exporter = plan.shared.get(EXPORTER)
        if exporter is None:
            return None
        exporter.meters = service.meters
        made = cls(service, exporter, rule, trace, root, parent)
        made.last, made._state, made._name, made._attributes = last, state, name, attributes
        made.part, made.since = part, since
        return made


def _identity(fields: Fields, name: str) -> bytes:
    try:
        return bytes.fromhex(fields.text(name))
    except ValueError:
        raise Strange(f"the {name} of a span is none") from None


def _flowed(tunnel: Tunnel) -> Attributes:
    return (
        ("penstock.tunnel.bytes_from_client", tunnel.from_client),
        ("penstock.tunnel.bytes_from_backend", tunnel.from_backend),
    )


def _attribute(given: object) -> tuple[str, AttributeValue]:
    """One attribute, as JSON has it: its name, and a text, a number or a list of texts."""
    match given:
        case [str(name), str(text)]:
            return name, text
        case [str(name), int(number)] if type(number) is int and 0 <= number < 1 << 63:
            return name, number
        case [str(name), [*texts]]:
            listed = tuple(each for each in texts if isinstance(each, str))
            if len(listed) == len(texts):
                return name, listed
    raise Strange("an attribute of a span is none")

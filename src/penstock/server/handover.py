"""The end of a tunnel, told to the process in which it will come: what is to be logged, counted and given back then.

While a tunnel is open, an `Ending` is all that is left of its request. `describe` makes plain values of it,
`ReceivedEnding` an ending of those, and `let_go` gives back here what the other process has taken over.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from penstock.http.request import Attempt
from penstock.modules.access.places import TakenPlace, place_again
from penstock.modules.tracing.keys import EXPORTER
from penstock.modules.upstream.upstream import groups_named
from penstock.modules.websocket.quota_keys import QUOTA_ZONES, AnyTally
from penstock.net.relay.tunnel import End, Tunnel
from penstock.observe.handover import ReceivedPaths, Show, describe_lines, describe_subject
from penstock.server.finish import forget
from penstock.server.stream.ending import StreamEnding
from penstock.server.tunnel.ending import Ending
from penstock.server.tunnel.provenance import Provenance
from penstock.shared.json_fields import Fields, Strange
from penstock.upstream.exchange.handover import ReceivedPeer, ReceivedState

if TYPE_CHECKING:
    from collections.abc import Sequence

    from penstock.plan.plan import Plan
    from penstock.server.service import Service
    from penstock.server.websocket.session import Conversation

_COUNTS = ("body_bytes_sent", "bytes_sent", "request_length", "status")


def ending_of(tunnel: Tunnel) -> Ending | None:
    """Return whose end a tunnel's is; None for one that only this process can bring to its end."""
    owner = tunnel.on_end
    if not isinstance(owner, Ending):
        return None
    talk = owner.conversation
    return owner if talk is None or talk.portable else None


def describe(ending: Ending, tunnel: Tunnel, show: Show) -> dict[str, object]:
    """Describe what another process has to know, as plain values. `show` is called with every log file that is named.
    """
    late = ending.late_so_far(tunnel)
    return {
        "connection": ending.number,
        "connected": ending.connected,
        "started": ending.started,
        "client": ending.client,
        "server": ending.server_name,
        "location": ending.location_name,
        **{name: getattr(ending, name) for name in _COUNTS},
        "attempts": [_told_attempt(attempt) for attempt in ending.attempts or ()],
        "backend": ending.upgraded.state(),
        "lines": describe_lines(ending.lines, late, show),
        "subject": describe_subject(ending.subject, show),
        "conversation": None if ending.conversation is None else _described_conversation(ending.conversation),
        **(_told_of_stream(ending) if isinstance(ending, StreamEnding) else {}),
        **({} if ending.spans is None else {"spans": ending.spans.described()}),
        **({} if ending.conversation is None else _described_quotas(ending)),
        "places": [[action.zone, action.key] for action in ending.endings or () if isinstance(action, TakenPlace)],
    }


def _told_of_stream(ending: StreamEnding) -> dict[str, object]:
    return {"received": ending.received, "rates": list(ending.rates or ())}


def let_go(ending: Ending, tunnel: Tunnel) -> None:
    """Let go of a tunnel that another process goes on with: nothing is logged, and what it holds here is given back."""
    if ending.service.meters is not None and tunnel.owner is not None:
        ending.service.meters.gave(tunnel, ending.conversation)
    if ending.conversation is not None:
        ending.conversation.over(tunnel, End.SHUTDOWN)
    ending.upgraded.leave()
    if ending.spans is not None:
        ending.spans.let_go()
    for action in ending.endings or ():
        action()
    if ending.request is not None:
        forget(ending.request)


def begin_again(tunnel: Tunnel) -> None:
    """Let bytes flow: the tunnel is ours now."""
    ending = tunnel.on_end
    if isinstance(ending, Ending):
        tunnel.owner = ending
        if ending.conversation is not None:
            ending.conversation.attach(tunnel)
            if _counts(ending):
                from penstock.server.websocket.quotas import begin_to_count

                begin_to_count(ending, ending.conversation)
        if isinstance(ending, StreamEnding):
            ending.hold_back(tunnel)
        if ending.spans is not None:
            ending.spans.follow(tunnel)
        if ending.service.meters is not None:
            ending.service.meters.took(tunnel, ending.conversation)
    tunnel.resume()


class ReceivedEnding(Ending):
    """An ending whose request was served by another process."""

    __slots__ = ()

    def __init__(self, service: Service, plan: Plan, fields: Fields, places: ReceivedPaths) -> None:
        """Raises `Strange`, with nothing taken."""
        _fill(self, service, plan, fields, places)


class ReceivedStreamEnding(StreamEnding):
    """The same for a session of a stream."""

    __slots__ = ()

    def __init__(self, service: Service, plan: Plan, fields: Fields, places: ReceivedPaths) -> None:
        """Raises `Strange`, with nothing taken."""
        self.received = fields.whole("received")
        rates = fields.items("rates")
        if len(rates) not in (0, 2) or any(type(rate) is not int or rate < 0 for rate in rates):
            raise Strange("the rates of a stream are none")
        self.rates = (rates[0], rates[1]) if rates else None
        self.timed = False
        _fill(self, service, plan, fields, places)


def received_ending(service: Service, plan: Plan, fields: Fields, places: ReceivedPaths) -> Ending:
    """Return the ending that another process tells of. Raises `Strange`, with nothing taken."""
    if fields.has("received"):  # that of a stream
        return ReceivedStreamEnding(service, plan, fields, places)
    return ReceivedEnding(service, plan, fields, places)


def _fill(ending: Ending, service: Service, plan: Plan, fields: Fields, places: ReceivedPaths) -> None:
    """Give an ending what is told of it. Not through `Ending.__init__`, which reads an open connection: that was in
    another process."""
    ending.number = fields.whole("connection")
    ending.connected = fields.real("connected")
    ending.started = fields.real("started")
    ending.client = fields.text("client")
    bare = ending.bare
    ending.provenance = Provenance(service, fields.text("server"), fields.text("location"), bare=bare)
    for name in _COUNTS:
        setattr(ending, name, fields.whole(name))
    ending.attempts = [_read_attempt(each) for each in fields.objects("attempts")]
    told = ReceivedState(fields.object("backend"))
    ending.lines = places.lines(fields.objects("lines"))
    ending.subject = places.subject(fields.object("subject"))
    held = fields.items("places")
    spans = fields.object("spans") if fields.has("spans") else None
    quotas = fields.objects("quotas") if fields.has("quotas") else []
    talk = fields.plain_or_none("conversation")
    fields.end()
    if not all(isinstance(pair, list) and list(map(type, pair)) == [str, str] for pair in held):
        raise Strange("a place in a zone is none")
    ending.conversation = None if talk is None else _conversation(talk, ending, plan)
    tallies = _received_quotas(plan, quotas)
    ending.spans = None
    if spans is not None and EXPORTER in plan.shared:
        from penstock.modules.tracing.tunnel_spans import TunnelSpans

        ending.spans = TunnelSpans.received(service, plan, spans)
    ending.request = None
    ending.completed = False
    ending.finished = 0.0
    attempt = ending.attempts[-1] if ending.attempts else Attempt("", ending.started)
    found = (place_again(plan, zone, key, of_streams=bare) for zone, key in held)
    ending.endings = [*tallies, *(place for place in found if place is not None)]
    groups = groups_named(plan, told.group, of_streams=bare)
    ending.upgraded = ReceivedPeer(told, service.loop.hot, attempt, groups)


def _counts(ending: Ending) -> bool:
    """Whether the tunnel counts toward quotas."""
    return any(isinstance(action, AnyTally) for action in ending.endings or ())


def _described_quotas(ending: Ending) -> dict[str, object]:
    if not _counts(ending):
        return {}
    from penstock.server.websocket.quotas import described

    return {"quotas": described(ending)}


def _received_quotas(plan: Plan, told: list[Fields]) -> Sequence[AnyTally]:
    if not told or QUOTA_ZONES not in plan.shared:
        return ()
    from penstock.server.websocket.quotas import received

    return received(plan, told)


def _described_conversation(talk: Conversation) -> dict[str, Any]:
    from penstock.server.websocket.handover import state_of

    return state_of(talk)


def _conversation(state: dict[str, Any], ending: Ending, plan: Plan) -> Conversation:
    from penstock.server.websocket.handover import resumed

    try:
        return resumed(state, ending, plan)
    except (ArithmeticError, AttributeError, LookupError, TypeError, ValueError) as error:
        raise Strange(f"a conversation can not be gone on with: {error!r}") from None


_SPANS = ("connect_time", "header_time", "response_time")
_SUMS = ("status", "length", "bytes_sent", "bytes_received")


def _told_attempt(attempt: Attempt) -> dict[str, object]:
    names = ("address", "started", "redirected", *_SPANS, *_SUMS)
    return {name: getattr(attempt, name) for name in names}


def _read_attempt(fields: Fields) -> Attempt:
    attempt = Attempt(fields.text("address"), fields.real("started"))
    attempt.redirected = fields.flag("redirected")
    for name in _SPANS:
        setattr(attempt, name, fields.real_or_none(name))
    for name in _SUMS:
        setattr(attempt, name, fields.whole(name))
    fields.end()
    return attempt

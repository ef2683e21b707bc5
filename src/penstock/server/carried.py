"""The end of a tunnel, told to the process in which it will come: what is to be logged, counted and given back then.

While a tunnel is open, an `Ending` is all that is left of its request. `tell` makes plain values of it, `Carried` an
ending of those, and `let_go` gives back here what the other process has taken over.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from penstock.http.request import Attempt
from penstock.modules.limit_conn import Place, place_again
from penstock.modules.upstream import groups_named
from penstock.net.tunnel import End, Tunnel
from penstock.observe.carried import Places, Show, tell_lines, tell_subject
from penstock.plan.strict import Fields, Strange
from penstock.server.tunnel import Ending, Since
from penstock.upstream.carried import Carried as CarriedUpgrade
from penstock.upstream.carried import Told

if TYPE_CHECKING:
    from penstock.plan.plan import Plan
    from penstock.server.conversation import Conversation
    from penstock.server.service import Service

_COUNTS = ("body_bytes_sent", "bytes_sent", "request_length", "status")


def ending_of(tunnel: Tunnel) -> Ending | None:
    """Whose end a tunnel's is; None for one that only this process can bring to its end."""
    owner = tunnel.on_end
    if not isinstance(owner, Ending):
        return None
    talk = owner.conversation
    return owner if talk is None or talk.portable else None


def tell(ending: Ending, tunnel: Tunnel, show: Show) -> dict[str, Any]:
    """What another process has to know, as plain values. `show` is called with every log file that is named."""
    late = ending.late_so_far(tunnel)
    return {
        "connection": ending.connection.number,
        "connected": ending.connection.started,
        "started": ending.started,
        "client": ending.client,
        "server": ending.server_name,
        "location": ending.location_name,
        **{name: getattr(ending, name) for name in _COUNTS},
        "attempts": [_told_attempt(attempt) for attempt in ending.attempts or ()],
        "backend": ending.upgraded.state(),
        "lines": tell_lines(ending.lines, late, show),
        "subject": tell_subject(ending.subject, show),
        "conversation": None if ending.conversation is None else ending.conversation.state(),
        "places": [[action.zone, action.key] for action in ending.endings or () if isinstance(action, Place)],
    }


def let_go(ending: Ending, tunnel: Tunnel) -> None:
    """Another process goes on with the tunnel: nothing is logged, and what it holds here is given back."""
    if ending.service.meters is not None and tunnel.owner is not None:
        ending.service.meters.gave(tunnel, ending.conversation)
    if ending.conversation is not None:
        ending.conversation.over(tunnel, End.SHUTDOWN)
    ending.upgraded.leave()
    if ending.on_end is not None:
        ending.on_end()
    for action in ending.endings or ():
        action()


def begin_again(tunnel: Tunnel) -> None:
    """It is ours now: let bytes flow."""
    ending = tunnel.on_end
    if isinstance(ending, Ending):
        tunnel.owner = ending
        if ending.conversation is not None:
            ending.conversation.attach(tunnel)
        if ending.service.meters is not None:
            ending.service.meters.took(tunnel, ending.conversation)
    tunnel.resume()


class Carried(Ending):
    """An ending whose request was served by another process."""

    __slots__ = ()

    def __init__(self, service: Service, plan: Plan, fields: Fields, places: Places) -> None:
        """Raises `Strange`, with nothing taken."""
        self.service = service
        since = Since.__new__(Since)
        since.number = fields.whole("connection")
        since.started = fields.real("connected")
        self.connection = since
        self.started = fields.real("started")
        self.client = fields.text("client")
        self.server_name = fields.text("server")
        self.location_name = fields.text("location")
        for name in _COUNTS:
            setattr(self, name, fields.whole(name))
        self.attempts = [_read_attempt(each) for each in fields.objects("attempts")]
        told = Told(fields.object("backend"))
        self.lines = places.lines(fields.objects("lines"))
        self.subject = places.subject(fields.object("subject"))
        held = fields.items("places")
        talk = fields.plain_or_none("conversation")
        fields.end()
        if not all(isinstance(pair, list) and list(map(type, pair)) == [str, str] for pair in held):
            raise Strange("a place in a zone is none")
        self.conversation = None if talk is None else _conversation(talk, self)
        self.request = None
        self.on_end = None
        self.completed = False
        self.finished = 0.0
        attempt = self.attempts[-1] if self.attempts else Attempt("", self.started)
        self.endings = [place for zone, key in held if (place := place_again(plan, zone, key)) is not None]
        self.upgraded = CarriedUpgrade(told, service.loop.hot, attempt, groups_named(plan, told.group))


def _conversation(state: dict[str, Any], ending: Ending) -> Conversation:
    from penstock.server.conversation import Conversation

    try:
        return Conversation.resume(state, ending)
    except (ArithmeticError, AttributeError, LookupError, TypeError, ValueError) as error:
        raise Strange(f"a conversation can not be gone on with: {error!r}") from None


_SPANS = ("connect_time", "header_time", "response_time")
_SUMS = ("status", "length", "bytes_sent", "bytes_received")


def _told_attempt(attempt: Attempt) -> dict[str, Any]:
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

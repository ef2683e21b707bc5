"""A request that is sent again without its client's doing, as its backend was lost: the handshake of a WebSocket
(`websocket_redial`, whose life is in `server/redial/`), and the request of an event stream (`event_stream_redial`).

The two headers that say so of an event stream are written for every request of its location, so that a client can not
say it in our place. The first time `Penstock-Redial` is left out, as only the answer tells that it is a stream; and
`Last-Event-ID` is the client's own.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from penstock.config.errors import ConfigError
from penstock.http.request import Answer
from penstock.modules.events.event_stream import LAST_ID, EventStreams
from penstock.modules.proxy.binding import anew, local_for
from penstock.modules.proxy.head import SetHeader
from penstock.modules.upstream.upstream import groups_named
from penstock.modules.websocket.redial import NOTE, NOTE_VARIABLE, RedialNote
from penstock.net.errors import NetError
from penstock.observe.errorlog import NOTICE, report
from penstock.upstream.errors import ClientGone, ProxyError
from penstock.upstream.events.redial import NotContinued, Redialler
from penstock.upstream.exchange.sending import NOTHING
from penstock.upstream.exchange.upgrade import address_parts
from penstock.websocket.redial.terms import HEADER

if TYPE_CHECKING:
    from penstock.config.scope import Scope
    from penstock.http.request import Attempt, Request
    from penstock.modules.proxy.proxy import Proxy
    from penstock.modules.proxy.targets import Destination
    from penstock.plan.plan import Plan
    from penstock.upstream.exchange.exchange import Exchange
    from penstock.upstream.exchange.incoming import Incoming
    from penstock.upstream.exchange.upgrade import Parts

ID_HEADER = "Last-Event-ID"
MOST_ATTEMPTS = 16
"""Attempts that are remembered of one client, for `$upstream_addr` and its kin."""
OURS = frozenset({HEADER.lower(), ID_HEADER.lower()})


def add_tried(known: list[Attempt], tried: list[Attempt], *, serves: bool = False) -> list[Attempt]:
    """Return the attempts of a client together with those that a redial made. The last one tells who serves: `serves`
    says that this is still who served before. Of many only the first and the last are kept: a client may stay for
    years."""
    last = len(known) - 1 if serves else len(known)
    both = [*known[:last], *tried, *known[last:]]
    if len(both) > MOST_ATTEMPTS:
        del both[MOST_ATTEMPTS // 2 : -MOST_ATTEMPTS // 2]
    return both


async def exchange_again(
    proxy: Proxy, request: Request, length: int | None, avoided: frozenset[Parts]
) -> Exchange | None:
    """Make the exchange for a request without a body that goes out as it did the first time: same location, same
    variables. `length` is what it says of its body. Nobody at the addresses that are `avoided` is asked, and with
    them nobody who is drained: None if there is nobody else. Raises `ProxyError`."""
    there = _now(request.connection.service.plan, proxy.targets.fixed or await proxy.targets.find(request))
    prepared = proxy.prepare(request, there, length, chunked=False)
    if proxy.each:
        prepared.each = anew(proxy, there, proxy.prepare, length, chunked=False)
    local = None if proxy.bind_once is None else local_for(proxy.bind_once, request)
    exchange = proxy.exchange(request, prepared, proxy.policy, NOTHING, local)
    selection = exchange.selection
    group = selection.group
    peers = [
        peer for peer in group.peers if avoided and (peer.options.drain or address_parts(peer.address) in avoided)
    ]
    if peers:
        if group.primary.single or len(peers) == len(group.peers):
            exchange.abandon()
            return None
        selection.tried = [*(selection.tried or ()), *peers]
    return exchange


def _now(plan: Plan, there: Destination) -> Destination:
    """Return the destination as the configuration of this moment has it: an upstream may have other servers by now."""
    if there.group.implicit:
        return there
    named = [group for group in groups_named(plan, there.group.name) if not group.implicit]
    return there.with_group(named[0]) if named and named[0] is not there.group else there


def headers_for(scope: Scope, headers: tuple[SetHeader, ...]) -> tuple[SetHeader, ...]:
    """Return the headers that a location sets, with those that a redial needs. Raises `ConfigError`."""
    settings = scope.settings(EventStreams)
    if settings.redial is None:
        return headers
    for each in headers:
        if each.name.lower() in OURS:
            raise ConfigError(
                f'"event_stream_redial" sets the header "{each.name}" itself',
                each.value.span,
                hint=f"take out this proxy_set_header; $event_stream_last_id has what {ID_HEADER} says",
            )
    template = scope.compilation.variables.template
    span = settings.origin("redial")
    return (
        *headers,
        SetHeader(HEADER, template(f"${NOTE_VARIABLE}", span), False),
        SetHeader(ID_HEADER, template(f"${LAST_ID}", span), False),
    )


def redialler_for(proxy: Proxy, request: Request) -> Redialler | None:
    """Return who sends a request again; None where it may not be: it has another method than GET, or a body."""
    rule = proxy.events.redial
    if rule is None or request.method != "GET" or request.body.length != 0:
        return None
    assert request.answer is None
    return Redialler(rule, request, EventRequest(proxy))


class EventRequest:
    """An `AskAgain` for one location."""

    __slots__ = ("_proxy",)

    def __init__(self, proxy: Proxy) -> None:
        self._proxy = proxy

    async def __call__(
        self, request: Request, last_id: str, count: int, why: str, avoided: frozenset[Parts]
    ) -> tuple[Incoming, bytes]:
        """Do what `AskAgain` says."""
        known, request.attempts = request.attempts or [], None
        if known and not avoided:
            known[-1].redirected = True
        serves = bool(avoided)
        try:
            found = await self._ask(request, last_id, RedialNote(count, why), avoided)
            serves = False
            return found
        except (ProxyError, NetError, NotContinued) as error:
            if serves and not isinstance(error, ClientGone):
                report(request, NOTICE, "an event stream stays where it is, no other upstream takes it")
            raise
        finally:
            request.attempts = add_tried(known, request.attempts or [], serves=serves)

    async def _ask(
        self, request: Request, last_id: str, note: RedialNote, avoided: frozenset[Parts]
    ) -> tuple[Incoming, bytes]:
        proxy = self._proxy
        request.variables[LAST_ID] = last_id
        assert request.contexts is not None, "its stream is among them"
        request.contexts[NOTE] = note
        exchange = await exchange_again(proxy, request, request.head.content_length, avoided)
        if exchange is None:
            raise NotContinued
        head = await exchange.run()
        answer = Answer(head.status)
        proxy.answers.headers(proxy, request, answer, head)
        if (
            head.status != 200
            or head.content_length is not None
            or "content-encoding" in head.fields
            or not proxy.events.takes(answer)
        ):
            exchange.log("warn", f"an event stream can not go on: the answer to its redial is {head.status}, "
                         f'"{answer.content_type or ""}"')  # fmt: skip
            exchange.abandon()
            raise NotContinued
        exchange.log("info", f"an event stream goes on with another answer (redial {note.times}, {note.reason})")
        incoming = exchange.open(head)
        return incoming, incoming.now()

"""Requests inside a request: what `auth_request`, SSI and `mirror` ask of this server itself.

A subrequest begins at server-rewrite, knows no access phase, has the variables of the request it belongs to, and its
answer goes to who asked for it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from penstock.http.errors import BadMessage
from penstock.http.head import RequestHead
from penstock.http.request import NO_BODY, Request
from penstock.modules.bodies import close_body, pieces
from penstock.modules.http_core import HttpCore
from penstock.net.errors import NetError
from penstock.observe.errorlog import ERROR, report
from penstock.plan import phases
from penstock.server.engine import answer_to
from penstock.server.send import make_page
from penstock.upstream.spool import Spooled

if TYPE_CHECKING:
    from penstock.net.loop import Loop
    from penstock.server.connection import Connection

WORTH_READING = 65536
"""Bytes of an unwanted answer that are read for the backend's connection to be kept."""

DEEPEST = 50
"""How many requests may lie in one another, as in nginx."""

_FRAMING = frozenset({"content-length", "transfer-encoding", "expect", "trailer"})


async def ask(parent: Request, uri: str, args: str, without: frozenset[str] = frozenset()) -> Request | None:
    """Run a GET for a path; None where requests lie too deep in one another, which is logged.

    The answer is in `request.answer`, its body unread: who asked reads it, and calls `end`. `without` are headers of
    the client (in lower case) that do not concern it; without `content-length` it has no body either.
    """
    depth, above = 1, parent
    while above.parent is not None:
        depth, above = depth + 1, above.parent
    if depth > DEEPEST:
        report(parent, ERROR, f'subrequests cycle while processing "{uri}"')
        return None
    request = _inside(parent, uri, args, without)
    answer = await answer_to(request)
    if answer.special:
        make_page(request, answer)
    request.status = answer.status
    return request


async def mirror(parent: Request, uri: str, args: str) -> None:
    """Run a copy of a request for a path and throw the answer away. Nothing waits for it, and no client ends it."""
    request = _inside(parent, uri, args, frozenset())
    request.method = parent.method
    request.connection = Shadow(parent.connection)
    try:
        answer = await answer_to(request)
        request.status = answer.status
        count = 0
        async for piece in pieces(answer.body):
            count += len(piece)
            if count > WORTH_READING:
                break
    except (NetError, BadMessage):
        pass  # it has been logged where it happened, and there is nobody to tell
    finally:
        await end(request)


class Shadow:
    """What remains of a connection for a request that its client knows nothing of."""

    def __init__(self, connection: Connection) -> None:
        self.service = connection.service
        self.number = connection.number
        self.listen = connection.listen
        self.server = connection.server
        self.client_address = connection.client_address
        self.client_port = connection.client_port
        self.peer = connection.peer
        self.local_address = connection.local_address
        self.local_port = connection.local_port
        self.scheme = connection.scheme
        self.tls = connection.tls
        self.server_name = connection.server_name
        self.proxy_protocol = connection.proxy_protocol
        self.requests = connection.requests
        self.last = True
        self.started = connection.started
        self.stream = Nobody(connection.stream.loop)


class Nobody:
    """In place of the client's stream: it never hangs up."""

    def __init__(self, loop: Loop) -> None:
        self.loop = loop
        self.hot = loop.hot
        self.on_hangup: Callable[[], None] | None = None


async def end(request: Request) -> None:
    """Nobody wants more of a subrequest: let go of what it holds, and log it where `log_subrequest` says so."""
    answer = request.answer
    if answer is not None:
        await close_body(answer.body)
    request.finished = request.connection.service.timers.now
    if request.location[HttpCore].log_subrequest:
        for handler, _ in request.location.phases[phases.LOG]:
            handler(request)
    if answer is not None and answer.on_end is not None:
        answer.on_end()


def _inside(parent: Request, uri: str, args: str, without: frozenset[str]) -> Request:
    """The request: the client's head, without what speaks of a body unless that has been read and can be read again."""
    spooled = isinstance(parent.body, Spooled) and "content-length" not in without
    body = parent.body if spooled else NO_BODY
    if not spooled:
        without = without | _FRAMING
    request = Request(parent.connection, _without(parent.head, without), parent.server)
    request.parent = parent
    request.internal = True
    request.valid_unparsed = False
    request.method = "GET"
    request.uri = uri
    request.args = args
    request.host = parent.host
    request.body = body
    request.started = request.connection.service.timers.now
    request.captures = parent.captures
    request.variables = parent.variables
    if not without - _FRAMING:
        request.cached = parent.cached
    return request


def _without(head: RequestHead, names: frozenset[str]) -> RequestHead:
    if head.fields.keys().isdisjoint(names):
        return head
    headers = [pair for pair in head.headers if pair[0].lower() not in names]
    fields = {name: value for name, value in head.fields.items() if name not in names}
    made = RequestHead(head.line, head.method, head.target, head.version, headers, fields)
    made.host, made.port = head.host, head.port
    if "content-length" not in names:
        made.content_length, made.chunked = head.content_length, head.chunked
    return made

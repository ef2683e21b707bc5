"""Requests inside a request: what `auth_request`, SSI and `mirror` ask of this server itself.

A subrequest begins at server-rewrite, knows no access phase, has the variables of the request it belongs to, and its
answer goes to who asked for it.
"""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from typing import TYPE_CHECKING, Any

from penstock.config.key import Key
from penstock.http.errors import BadMessage
from penstock.http.head import RequestHead
from penstock.http.request import Answer, Redirect, Request
from penstock.modules.access.delay import delay
from penstock.modules.filters.bodies import pieces
from penstock.net.errors import NetError
from penstock.observe.errorlog import ERROR, report, report_mistake
from penstock.server.engine import answer_from, answer_to, content_of
from penstock.server.finish import finish
from penstock.server.h1.send import make_page
from penstock.upstream.exchange.nobody import Nobody
from penstock.upstream.exchange.spool import Spooled

if TYPE_CHECKING:
    from penstock.http.client import ClientConnection
    from penstock.net.loop import Loop

WORTH_READING = 65536
"""Bytes of an unwanted answer that are read for the backend's connection to be kept."""

DEEPEST = 50
"""How many requests may lie in one another, as in nginx."""

MOST = 1000
"""How many requests one of a client may lead to. A page that includes itself twice doubles them with each level: 50
levels do not bound that. (nginx ends at 64,535 that are under way at once.)"""

AT_ONCE = 16
"""How many are made before others have their turn: files are read without waiting."""

_MADE: Key[list[int]] = Key("subrequests made")

_FRAMING = frozenset({"content-length", "transfer-encoding", "expect", "trailer"})


async def ask(parent: Request, uri: str, args: str, without: frozenset[str] = frozenset()) -> Request | None:
    """Run a GET for a path; None where requests lie too deep in one another or are too many, which is logged.

    The answer is in `request.answer`, its body unread: who asked reads it, and calls `finish`; at the latest it ends
    with its parent. `without` are headers of
    the client (in lower case) that do not concern it; without `content-length` it has no body either.
    """
    depth, above = 1, parent
    while above.parent is not None:
        depth, above = depth + 1, above.parent
    made = above.context(_MADE, lambda: [0])
    made[0] += 1
    if depth > DEEPEST or made[0] > MOST:
        report(parent, ERROR, f'subrequests cycle while processing "{uri}"')
        return None
    if made[0] % AT_ONCE == 0:
        await delay(parent, 0.0)
    request = _inside(parent, uri, args, without)
    parent.hold(request)
    answer = await answer_to(request)
    if answer.special:
        make_page(request, answer)
    request.status = answer.status
    return request


async def mirror(parent: Request, uri: str, args: str, loop: Loop) -> None:
    """Run a copy of a request for a path and throw the answer away. Nothing waits for it, and no client ends it."""
    request = _inside(parent, uri, args, frozenset())
    request.method = parent.method
    request.connection = Shadow(parent.connection, loop)
    await _for_nobody(request, answer_to(request))


async def afterwards(parent: Request, uri: str, args: str, loop: Loop) -> None:
    """Run a request that has ended once more, for another path or a named location, and throw the answer away. Until
    it has an answer of its own, variables tell how the first one ended. There is no body: it is gone."""
    request = _inside(parent, parent.uri, parent.args, _FRAMING)
    request.method = parent.method
    request.location = parent.location
    request.connection = Shadow(parent.connection, loop)
    request.started, request.request_length = parent.started, parent.request_length
    request.status, request.completed, request.attempts = parent.status, parent.completed, parent.attempts
    request.bytes_sent, request.body_bytes_sent = parent.bytes_sent, parent.body_bytes_sent
    there = Redirect(uri, args) if uri.startswith("/") else Redirect(name=uri)
    await _for_nobody(request, answer_from(request, there))


async def _for_nobody(request: Request, answering: Coroutine[Any, Any, Answer]) -> None:
    """Wait for an answer, and throw it away."""
    try:
        answer = await answering
        request.status = answer.status
        count = 0
        async for piece in pieces(answer.body):
            count += len(piece)
            if count > WORTH_READING:
                break
    except (NetError, BadMessage):
        pass  # it has been logged where it happened, and there is nobody to tell
    except Exception as error:
        report_mistake(request, error)
    finally:
        finish(request)


async def behind(parent: Request, work: Callable[[Request], Coroutine[Any, Any, None]], loop: Loop) -> None:
    """Do something with a copy of a request, in its location. Nothing waits for it, and no client ends it."""
    request = _copied(parent)
    request.connection = Shadow(parent.connection, loop)
    try:
        await work(request)
    except (NetError, BadMessage):
        pass  # it has been logged where it happened, and there is nobody to tell
    except Exception as error:
        report_mistake(request, error)
    finally:
        finish(request)


async def again(parent: Request, prepare: Callable[[Request], object]) -> Request:
    """Run a request once more in its location, from its content on: for another part of what it is answered with.

    `prepare` is called with the copy before it runs. Its answer is in `request.answer`, as the backend or the cache has
    given it, without filters, its body unread: who asked reads it, and calls `finish`; at the latest it ends with its
    parent.
    """
    request = _copied(parent)
    prepare(request)
    parent.hold(request)
    request.answer = answer = await content_of(request)
    request.status = answer.status
    return request


class Shadow:
    """A `ClientConnection`: what remains of one for a request that its client knows nothing of."""

    def __init__(self, connection: ClientConnection, loop: Loop) -> None:
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
        self.tunnelled = False
        self.started = connection.started
        self.stream = Nobody(loop)

    def show_peer(self) -> None:
        """Do nothing: the client's address stays the one that the request was judged by."""

    async def inform(self, request: Request, code: int, headers: list[tuple[str, str]]) -> None:
        """Do nothing: nobody waits for an interim answer."""


def _copied(parent: Request) -> Request:
    """The same request, in the same location."""
    request = _inside(parent, parent.uri, parent.args, frozenset())
    request.method = parent.method
    request.location = parent.location
    request.valid_unparsed, request.valid_location = parent.valid_unparsed, parent.valid_location
    request.internal = parent.internal
    return request


def _inside(parent: Request, uri: str, args: str, without: frozenset[str]) -> Request:
    """The request: the client's head, without what speaks of a body unless that has been read and can be read again."""
    body = parent.body
    spooled = isinstance(body, Spooled) and "content-length" not in without
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
    if spooled:
        assert isinstance(body, Spooled)
        request.body = body.shared()
        request.hold(body)
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

"""One life of a request, whatever carries it: a connection of HTTP/1, a stream of HTTP/2, a rehearsal of `explain`.

    new_request or refused_request -> run: prepare, phases (engine), send, rest of the body -> finish

What differs between them is the `Carrier`'s. What goes wrong is dealt with here, once: every error has one line in the
log, one status, and one effect on the client, and the request is finished whatever happened.
"""

from __future__ import annotations

import re
from collections.abc import Coroutine
from typing import TYPE_CHECKING, Any, Protocol

from penstock.config.regex.regex import MatchFailed
from penstock.http.errors import BadMessage, BadRequest
from penstock.http.head import RequestHead
from penstock.http.request import Answer, Outcome, Request, special
from penstock.http.uri import plain_target
from penstock.modules.core.http_core import HttpCore
from penstock.net.errors import NetError, PeerGone, TimedOut
from penstock.observe.errorlog import ALERT, INFO, report, report_mistake
from penstock.server.engine import answer_from, answer_to, special_answer
from penstock.server.finish import finish, release

if TYPE_CHECKING:
    from penstock.http.client import ClientConnection

STALLED = 408
CLIENT_CLOSED = 499
CLIENT_STALLED = "client timed out (110: Connection timed out)"
UNWANTED = frozenset({"CONNECT", "TRACE"})
_method = re.compile(r"([A-Z_-]+) ", re.ASCII).match


class Carrier(Protocol):
    """What a request asks of what carries it."""

    def prepare(self, request: Request) -> int:
        """Give the request its body. The status where this protocol refuses it before any phase, 0 where it does not.
        Raises `BadRequest`."""
        ...

    def glance(self, request: Request) -> None:
        """Look at what came of a body that nobody has read to its end. Raises `BadRequest` where it is broken."""
        ...

    def send(self, request: Request, answer: Answer) -> Coroutine[Any, Any, None] | None:
        """Send an answer, or open the tunnel that it is. What may have to wait is left to be awaited. Raises what the
        net floor raises."""
        ...

    def say_why(self, request: Request, reason: str) -> None:
        """Note why the client does not get what it has asked for."""
        ...

    def closed_what(self) -> str:
        """Return what a client has closed that has gone: its "connection", or a "stream"."""
        ...

    def stalled(self, request: Request, *, sending: bool) -> None:
        """End a client that has not taken its answer in time (`sending`), or has not sent its body."""
        ...

    def silenced(self, request: Request) -> None:
        """Give the client no answer (`return 444`)."""
        ...


def new_request(connection: ClientConnection, head: RequestHead, started: float, length: int) -> Request:
    """Make the request for a head: its server is found by its name. Raises `BadRequest`."""
    try:
        # Not in a function of its own, which would be a call more for each request.
        server, match = connection.listen.names.find(head.host)
    except MatchFailed as error:
        raise _unknown_server(connection, head, error) from None
    request = Request(connection, head, server)
    request.host = head.host
    request.captures = match
    if match is not None:
        for name, value in match.groupdict().items():
            request.variables[name] = value or ""
    request.started = started
    request.request_length = length
    request.keep_alive = head.keep_alive
    return request


def _unknown_server(connection: ClientConnection, head: RequestHead, error: MatchFailed) -> BadRequest:
    """Refuse a head whose name had to be given up on: a 500, as it is not known then whose request it is."""
    report(connection, ALERT, str(error))
    refused = BadRequest(500, "the server for the host name could not be found")
    refused.line = head.line
    return refused


def refused_request(
    connection: ClientConnection, line: str, started: float, length: int, *, method: str = ""
) -> Request:
    """Make the request that stands for a head that can not be used. It is for the default server. What is left of the
    head is its line, for the log, and its method, as an answer to HEAD is a head alone whatever it says."""
    match = _method(line)
    head = RequestHead(line, method or (match[1] if match else ""), "", 11, [], {})
    request = Request(connection, head, connection.server)
    request.started = started
    request.request_length = length
    request.keep_alive = False
    return request


async def run(
    request: Request,
    carrier: Carrier,
    refused: BadRequest | None = None,
    begun: Coroutine[Any, Any, Outcome] | None = None,
) -> None:
    """Answer a request and finish it, or hand it over to a tunnel. `refused`: why its head can not be used. `begun`:
    what its content comes to, where it has been begun already; None if that has been sent, too.

    `request.keep_alive` tells afterwards whether another request may follow.
    """
    try:
        try:
            if refused is not None:
                raise refused
            if begun is not None:
                outcome = await begun
                if outcome is None:
                    return
                answer = await answer_from(request, outcome)
            else:
                request.uri, request.args = plain_target(
                    request.head.target, request.server.root[HttpCore].merge_slashes
                )
                status = carrier.prepare(request)
                method = request.method
                if not status and method in UNWANTED and (method == "TRACE" or not request.server.allow_connect):
                    carrier.say_why(request, f"client sent {method} method")
                    status = 405
                if status:
                    answer = await special_answer(request, status)
                else:
                    answer = await answer_to(request)
                    if not request.body.done and not answer.from_upstream:
                        carrier.glance(request)
        except BadMessage as error:
            carrier.say_why(request, error.reason)
            answer = await special_answer(request, error.status)
        except TimedOut:
            request.keep_alive = False
            report(request, INFO, f"{CLIENT_STALLED} while reading client request body")
            request.status = STALLED
            carrier.stalled(request, sending=False)
            return
        if answer.silent:
            request.keep_alive = False
            request.status = answer.status
            carrier.silenced(request)
            return
        unsent = carrier.send(request, answer)
        if unsent is not None:
            await unsent
        if request.keep_alive and not request.body.done:
            release(request)  # nobody else reads it, for a backend that has answered early
            await request.body.discard()
    except PeerGone as error:
        request.keep_alive = False
        doing = f": {error} while sending response to client" if request.status else ""
        if not request.status:
            request.status = CLIENT_CLOSED
        if type(error) is PeerGone:  # the others were logged by whoever noticed
            report(request, INFO, f"client prematurely closed {carrier.closed_what()}{doing}")
    except TimedOut:
        request.keep_alive = False
        sending = not request.completed
        doing = "sending response to client" if sending else "reading client request body"
        report(request, INFO, f"{CLIENT_STALLED} while {doing}")
        carrier.stalled(request, sending=sending)
    except BadMessage as error:
        request.keep_alive = False
        carrier.say_why(request, error.reason)
    except NetError as error:
        # The connection was closed under the request, by a shutdown, or has failed in another way.
        request.keep_alive = False
        if not request.status:
            request.status = CLIENT_CLOSED
        report(request, INFO, f"connection lost: {error}")
    except Exception as error:
        # The last line of defence: a mistake of ours costs this request, and says where it was made.
        request.keep_alive = False
        report_mistake(request, error)
        if not request.status:
            await _last_word(request, carrier)
    finally:
        if not request.connection.tunnelled:
            finish(request)


async def _last_word(request: Request, carrier: Carrier) -> None:
    """Send a plain 500 where a module has failed before anything was sent."""
    try:
        unsent = carrier.send(request, special(500))
        if unsent is not None:
            await unsent
    except NetError:
        pass  # there is nobody left to tell


def give_up(request: Request, error: BadRequest, carrier: Carrier) -> None:
    """Log a head that never came to its end, and finish its request. Nobody listens: there is no answer."""
    carrier.say_why(request, error.reason)
    request.status = error.status
    finish(request)

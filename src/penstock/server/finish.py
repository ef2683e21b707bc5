"""The end of a request, whatever carried it: what it holds is given back, it is logged, and nothing of it stays.

This is the one place where files, temporary files, backends and requests inside of requests are let go of: whoever
opens one for a request gives it to the request (`Request.hold`), and neither a filter nor the sender closes anything.
"""

from __future__ import annotations

from penstock.http.request import NO_BODY, UNREAD_BODY, Request
from penstock.modules.core.http_core import HttpCore
from penstock.observe.errorlog import CRIT, report
from penstock.plan import phases


def finish(request: Request) -> None:
    """End a request: close what it holds, log it, and let go of it. Ending it again does nothing."""
    if request.finished:
        return
    request.finished = request.connection.service.timers.now
    try:
        if request.held:
            release(request)
        if request.parent is None or request.location[HttpCore].log_subrequest:
            for handler, _ in request.location.phases[phases.LOG]:
                handler(request)
        if request.endings is not None:
            for action in request.endings:
                action()
    finally:
        parent = request.parent
        if parent is None:
            if request.connection.peer is not None:
                request.connection.show_peer()
        else:
            parent.no_longer(request)
        # `forget`, without the calls (340 instructions each).
        request.answer = request.contexts = request.endings = request.expecting = request.conversation = None
        if request.body is not NO_BODY:
            let_go_of_body(request)


def release(request: Request) -> None:
    """Close what a request holds, what came last first."""
    held = request.held
    while held:
        resource = held.pop()
        try:
            if isinstance(resource, Request):
                finish(resource)
            else:
                resource.close()
        except OSError as error:
            report(request, CRIT, f"{error}, while a request ended")


def forget(request: Request) -> None:
    """Take away what leads from a request back to itself, so that nothing of it waits for the cyclic collector."""
    request.answer = None
    request.contexts = request.endings = request.expecting = request.conversation = None
    let_go_of_body(request)


def let_go_of_body(request: Request) -> None:
    """Let go of the request's body: nobody reads it any more. Whether there is a rest of it stays known."""
    body = request.body
    if body is not NO_BODY:
        request.body = NO_BODY if body.done else UNREAD_BODY

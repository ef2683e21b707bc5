"""A request through the phases: which location, which handler, which error page. The result is an `Answer`.

The order is nginx's (ngx_http_core_module): post-read, server-rewrite, find location, rewrite, preaccess, access,
precontent, content; then the header and body filters. An internal redirect begins again at server-rewrite, a rewrite at
the location search, a named location at its own rewrite. Ten changes of the path are enough for anybody.
"""

from __future__ import annotations

from collections.abc import Coroutine

from penstock.config.regex.regex import MatchFailed
from penstock.http.request import Answer, Outcome, Redirect, Request, special
from penstock.http.uri import escape_uri
from penstock.modules.access.access import GRANTED
from penstock.modules.access.delay import delay
from penstock.modules.core.error_pages import ErrorPages
from penstock.modules.core.http_core import HttpCore
from penstock.modules.core.user_agent import is_msie6
from penstock.observe.errorlog import ALERT, ERROR, INFO, report
from penstock.plan import phases
from penstock.plan.location import Handlers
from penstock.server.h1.send import make_page

MOST_CHANGES = 10
BEFORE_CONTENT = (phases.PREACCESS, phases.ACCESS, phases.PRECONTENT)
CLOSING = frozenset({400, 413, 414, 494, 495, 496, 497, 500, 501})
"""Statuses after which nginx does not trust the connection any more."""
CHALLENGES = frozenset({401, 407})
REFUSALS = CHALLENGES | {403}


async def answer_to(request: Request) -> Answer:
    """Run every phase up to the filters."""
    # A coroutine for nothing costs as much as a phase that does something: empty ones are not called.
    outcome: Outcome = None
    by_phase = request.location.phases
    if by_phase[phases.POST_READ] and request.parent is None:
        outcome = await _run(request, by_phase[phases.POST_READ])
    if outcome is None and request.server.root.phases[phases.SERVER_REWRITE]:
        outcome = await _server_rewrite(request)
    if outcome is None:
        outcome = _enter(request)
        if outcome is None:
            straight = request.location.straight
            if straight is None:
                outcome = await _go_on(request)
            else:
                outcome = await straight(request) or await _content(request, 1)
    if type(outcome) is not Answer or outcome.special:
        outcome = await _follow(request, outcome)
    waits = _filter(request, outcome)
    if waits is not None:
        await waits
    return outcome


async def answer_from(request: Request, outcome: Outcome) -> Answer:
    """Run what is left once the content has come to something."""
    answer = outcome if type(outcome) is Answer and not outcome.special else await _follow(request, outcome)
    waits = _filter(request, answer)
    if waits is not None:
        await waits
    return answer


async def content_of(request: Request) -> Answer:
    """Run the content of the location where a request is, and what that leads to, without filters."""
    return await _follow(request, await _content(request, 0))


async def special_answer(request: Request, status: int) -> Answer:
    """Make the answer to a request that failed before any phase, through `error_page` and the filters all the same."""
    request.keep_alive = False
    answer = await _follow(request, special(status, close=True))
    waits = _filter(request, answer)
    if waits is not None:
        await waits
    return answer


async def _follow(request: Request, outcome: Outcome) -> Answer:
    """Follow internal redirects, and error pages, to the answer they lead to."""
    while True:
        if isinstance(outcome, Answer):
            page = _error_page(request, outcome) if outcome.special and not outcome.silent else None
            if page is None:
                return outcome
            outcome = page
        elif outcome is None:
            outcome = await _locate(request)
        else:
            outcome = await _redirect(request, outcome)


async def _run(request: Request, handlers: Handlers) -> Outcome:
    for handler, waits in handlers:
        outcome: Outcome = handler(request)
        if waits:
            outcome = await outcome  # type: ignore[misc]
        if outcome is not None:
            return outcome
    return None


async def _server_rewrite(request: Request) -> Outcome:
    handlers = request.server.root.phases[phases.SERVER_REWRITE]
    if not handlers:
        return None
    request.location = request.server.root
    outcome = await _run(request, handlers)
    if isinstance(outcome, Redirect) and outcome.name is None:
        request.uri = outcome.uri
        if outcome.args is not None:
            request.args = outcome.args
        outcome = None
    request.uri_changed = False
    return outcome


async def _redirect(request: Request, redirect: Redirect) -> Outcome:
    """Follow an internal redirect up to where the location is searched."""
    request.redirects += 1
    if request.redirects > MOST_CHANGES:
        return _cycle(request, redirect.uri or redirect.name or "")
    request.internal = True
    request.add_uri_to_alias = False
    request.valid_location = True
    request.uri_changed = False
    if redirect.name is not None:
        if redirect.args is not None:
            request.args = redirect.args
        return await _named(request, redirect.name)
    request.uri = redirect.uri
    if redirect.args is not None:
        request.args = redirect.args
    request.valid_unparsed = False
    return await _server_rewrite(request)


async def _named(request: Request, name: str) -> Outcome:
    location = request.server.named.get(name)
    if location is None:
        report(request, ERROR, f'could not find named location "{name}"')
        return special(500)
    request.location = location
    outcome = await _rewrite(request)
    if request.uri_changed:
        request.uri_changed = False
        return await _locate(request)
    return outcome if outcome is not None else await _serve(request)


async def _locate(request: Request) -> Outcome:
    """Find the location and run its phases."""
    outcome = _enter(request)
    return outcome if outcome is not None else await _go_on(request)


def _enter(request: Request) -> Outcome:
    """Make the location for the path the request's; an outcome where that is already the end."""
    server = request.server
    request.location = server.root
    try:
        found = server.locations.find(request.uri, request) if server.locations is not None else None
    except MatchFailed as error:
        request.location = server.root
        report(request, ALERT, str(error))
        return special(500)
    request.location = location = found if found is not None else server.root
    if location.internal and not request.internal:
        return special(404)
    if location.auto_redirect and len(location.name) == len(request.uri) + 1:
        return moved(escape_uri(location.name), request.args)
    core = location[HttpCore]
    if request.keep_alive:
        _keep_alive(request, core)
    length = request.body.length
    if length is not None and length > core.client_max_body_size > 0 and not request.internal:
        report(request, ERROR, f"client intended to send too large body: {length} bytes")
        return special(413, close=True)
    if location.limited is not None and request.method not in location.limited[0]:
        request.location = location.limited[1]
    return None


def _go_on(request: Request) -> Coroutine[object, None, Outcome]:
    """The phases after the location has been found."""
    return _rewritten(request) if request.location.phases[phases.REWRITE] else _serve(request)


async def _rewritten(request: Request) -> Outcome:
    """Rewrite; a changed path starts the search anew."""
    while request.location.phases[phases.REWRITE]:
        outcome = await _rewrite(request)
        if not request.uri_changed:
            if outcome is not None:
                return outcome
            break
        request.uri_changed = False
        request.redirects += 1
        if request.redirects > MOST_CHANGES:
            return _cycle(request, request.uri)
        outcome = _enter(request)
        if outcome is not None:
            return outcome
    return await _serve(request)


def _keep_alive(request: Request, core: HttpCore) -> None:
    """Whether the location lets another request follow on this connection."""
    connection = request.connection
    if (
        connection.service.draining
        or connection.last
        or not core.keepalive_timeout[0]
        or connection.requests >= core.keepalive_requests
        or request.started - connection.started > core.keepalive_time
        or (
            core.keepalive_disable
            and (request.method == "POST" or "safari" in core.keepalive_disable)
            and _disabled(request, core.keepalive_disable)
        )
    ):
        request.keep_alive = False


def _disabled(request: Request, browsers: frozenset[str]) -> bool:
    """Old browsers that mishandle kept connections: MSIE 6 after a POST, Safari on a Mac."""
    if request.method != "POST" and "safari" not in browsers:
        return False
    agent = request.head.fields.get("user-agent")
    if agent is None or "none" in browsers:
        return False
    if "msie6" in browsers and request.method == "POST" and is_msie6(agent):
        return True
    return "safari" in browsers and "Mac OS X" in agent and "Safari/" in agent and "Chrom" not in agent


async def _rewrite(request: Request) -> Outcome:
    """The location's rewrite directives. Afterwards `uri_changed` asks for a new search."""
    handlers = request.location.phases[phases.REWRITE]
    if not handlers:
        return None
    outcome = await _run(request, handlers)
    if isinstance(outcome, Redirect) and outcome.name is None:
        request.uri = outcome.uri
        if outcome.args is not None:
            request.args = outcome.args
        request.uri_changed = True
        return None
    if isinstance(outcome, Answer):
        request.uri_changed = False
    return outcome


async def _serve(request: Request) -> Outcome:
    """From preaccess to content."""
    by_phase = request.location.phases
    for number in BEFORE_CONTENT:
        handlers = by_phase[number]
        if not handlers:
            continue
        if number == phases.ACCESS:
            if request.parent is None and (refused := await _access(request, handlers)) is not None:
                if isinstance(refused, Answer) and refused.status in CHALLENGES:
                    await _hold_back(request)
                return refused
            continue
        outcome = await _run(request, handlers)
        if outcome is not None:
            return outcome
    return await _content(request, 0)


async def _content(request: Request, begin: int) -> Outcome:
    """The handlers of CONTENT from that one on."""
    for handler, waits in request.location.phases[phases.CONTENT][begin:]:
        outcome: Outcome = handler(request)
        if waits:
            outcome = await outcome  # type: ignore[misc]
        if outcome is not None:
            return outcome
    if request.uri.endswith("/"):
        report(request, ERROR, f'directory index of "{request.uri}" is forbidden')
        return special(403)
    report(request, ERROR, "no handler found")
    return special(404)


async def _access(request: Request, handlers: Handlers) -> Outcome:
    """`satisfy all`: whoever refuses decides. `satisfy any`: whoever grants does."""
    any_will_do = request.location[HttpCore].satisfy == "any"
    refused: Answer | None = None
    for handler, waits in handlers:
        outcome = handler(request)
        if waits:
            outcome = await outcome
        if outcome is None:
            continue
        if outcome is GRANTED:
            if any_will_do:
                return None
            continue
        if not any_will_do or not isinstance(outcome, Answer) or outcome.status not in REFUSALS:
            return outcome  # type: ignore[no-any-return]
        if refused is None or refused.status not in CHALLENGES:
            refused = outcome
    if refused is not None and refused.status == 403:
        report(request, ERROR, "access forbidden by rule")
    return refused


async def _hold_back(request: Request) -> None:
    """`auth_delay`: who guesses passwords shall not do so fast."""
    seconds = request.location[HttpCore].auth_delay
    if seconds:
        report(request, INFO, "delaying unauthorized request")
        await delay(request, seconds)


def _error_page(request: Request, answer: Answer) -> Outcome:
    """What `error_page` says of a special answer; None where its own page will do."""
    status = answer.status
    if status in CLOSING:
        request.keep_alive = False
    location = request.location
    request.error_status = status
    if answer.location is not None:
        request.kept_location = answer.location
    rule = location[ErrorPages].find(status)
    if rule is None or request.error_paged or request.redirects >= MOST_CHANGES:
        return None
    if not location[HttpCore].recursive_error_pages:
        request.error_paged = True
    for name, value in answer.headers:
        if name.lower() in ("www-authenticate", "proxy-authenticate"):
            request.kept_headers = [*(request.kept_headers or ()), (name, value)]
    outcome: Outcome = rule.apply(request, status)
    return outcome


def _filter(request: Request, answer: Answer) -> Coroutine[object, None, None] | None:
    """Run the filters. What is left to be awaited is given back, where there is a filter that waits."""
    if request.error_status and not answer.upgraded:
        answer.status = request.error_status
    if request.kept_location is not None and answer.location is None:
        answer.location = request.kept_location
    if request.kept_type is not None and not answer.from_upstream:
        answer.content_type = request.kept_type
    if request.kept_headers:
        answer.headers = [*request.kept_headers, *answer.headers]
    if answer.special and not answer.silent:
        make_page(request, answer)  # filters see an error page as they see any other
    request.answer = answer
    filters = request.location.filters
    for at, (handler, waits) in enumerate(filters):
        if waits:
            return _filter_on(request, answer, filters[at:])
        handler(request, answer)
    return None


async def _filter_on(request: Request, answer: Answer, filters: Handlers) -> None:
    for handler, waits in filters:
        done = handler(request, answer)
        if waits:
            await done


def _cycle(request: Request, uri: str) -> Answer:
    report(request, ERROR, f'rewrite or internal redirection cycle while processing "{uri}"')
    return special(500)


def moved(path: str, args: str) -> Answer:
    """Make a 301 to a path of the same server; the wire makes it absolute where that is asked for."""
    answer = special(301)
    answer.location = f"{path}?{args}" if args else path
    return answer

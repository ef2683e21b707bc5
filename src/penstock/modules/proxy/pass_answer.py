"""From a backend's answer to ours: which headers go through, and what the rest of them ask for.

nginx: ngx_http_upstream_process_headers and its table of headers.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import TYPE_CHECKING, TypeAlias

from penstock.config.values import number
from penstock.http.cache.answer import KeptAnswer
from penstock.http.dates import parse_date
from penstock.http.fields import LOWER
from penstock.http.request import Answer, Outcome, Redirect, Request, special
from penstock.http.uri import unescape_uri
from penstock.modules.core.error_pages import ErrorPages
from penstock.modules.websocket.origins import advise
from penstock.modules.websocket.refused import Refusals
from penstock.modules.websocket.websocket import answered_wrong, has_refused
from penstock.observe.errorlog import ERROR, WARN, report
from penstock.upstream.errors import failed
from penstock.upstream.events.stream import EventStream
from penstock.upstream.exchange.buffer import Buffered
from penstock.upstream.exchange.incoming import Incoming, Unbuffered
from penstock.upstream.exchange.upgrade import Upgrade
from penstock.upstream.exchange.wire import BODILESS

if TYPE_CHECKING:
    from penstock.http.response import ResponseHead
    from penstock.modules.proxy.pass_request import Passing
    from penstock.upstream.exchange.exchange import Exchange

Route: TypeAlias = "Callable[[Passing, Request, Answer, str, str], None]"
"""What is done with one header of an answer: settings, request, answer, name, value."""

Routes: TypeAlias = dict[str, "Route | None"]
"""Lower-case name -> what is done with the header; None: it is not passed on."""

HIDDEN = (
    "x-accel-expires",
    "x-accel-redirect",
    "x-accel-limit-rate",
    "x-accel-buffering",
    "x-accel-charset",
)
"""Headers that stay behind in every family unless `*_pass_header` names them."""
KEPT_ON_REDIRECT = frozenset({"set-cookie", "content-disposition", "cache-control", "expires", "accept-ranges"})


def _content_type(passing: Passing, request: Request, answer: Answer, name: str, value: str) -> None:
    answer.content_type = value


def _last_modified(passing: Passing, request: Request, answer: Answer, name: str, value: str) -> None:
    answer.last_modified = value
    answer.modified_at = parse_date(value)


def _etag(passing: Passing, request: Request, answer: Answer, name: str, value: str) -> None:
    answer.etag = value


def _location(passing: Passing, request: Request, answer: Answer, name: str, value: str) -> None:
    made = passing.rewrite_location(request, value)
    if made != value:
        answer.location = made
    else:
        answer.headers.append((name, value))


def _refresh(passing: Passing, request: Request, answer: Answer, name: str, value: str) -> None:
    answer.headers.append((name, passing.rewrite_refresh(request, value)))


def _set_cookie(passing: Passing, request: Request, answer: Answer, name: str, value: str) -> None:
    answer.headers.append((name, passing.rewrite_cookie(request, value)))


def _accept_ranges(passing: Passing, request: Request, answer: Answer, name: str, value: str) -> None:
    if not passing.force_ranges:
        answer.headers.append((name, value))


def _limit_rate(passing: Passing, request: Request, answer: Answer, name: str, value: str) -> None:
    try:
        request.limit_rate = number(value)
    except ValueError:
        return


def _server(passing: Passing, request: Request, answer: Answer, name: str, value: str) -> None:
    answer.says_server = True
    answer.headers.append((name, value))


def _date(passing: Passing, request: Request, answer: Answer, name: str, value: str) -> None:
    answer.says_date = True
    answer.headers.append((name, value))


def _charset(passing: Passing, request: Request, answer: Answer, name: str, value: str) -> None:
    answer.charset = value


ROUTES: dict[str, Route | None] = {
    "content-type": _content_type,
    "content-length": None,
    "transfer-encoding": None,
    "connection": None,
    "keep-alive": None,
    "last-modified": _last_modified,
    "etag": _etag,
    "location": _location,
    "refresh": _refresh,
    "set-cookie": _set_cookie,
    "accept-ranges": _accept_ranges,
    "server": _server,
    "date": _date,
}
SAME_FOR_ALL = frozenset({_content_type, _last_modified, _etag})
"""What these make of a header is the same for every request."""
OBEYED: dict[str, Route] = {"x-accel-limit-rate": _limit_rate, "x-accel-charset": _charset}


def routes_for(hidden: tuple[str, ...], passed: tuple[str, ...], ignored: frozenset[str]) -> Routes:
    """Make the table of one location. What is not in it goes through as it is."""
    routes = dict(ROUTES)
    shown = {name.lower() for name in passed}
    for name in (*HIDDEN, *(name.lower() for name in hidden)):
        if name not in shown:
            routes[name] = None
    obeyed = {name.lower() for name in ignored}
    for name, obey in OBEYED.items():
        if name not in obeyed:
            routes[name] = _and_pass(obey) if name in shown else obey
    return routes


def signed_by_backend(routes: Routes) -> tuple[bool, bool] | None:
    """Return whether Server and Date are the backend's, which are then none where it sends none; None: neither is."""
    found = routes.get("server") is not None, routes.get("date") is not None
    return found if any(found) else None


def _and_pass(obey: Route) -> Route:
    def both(passing: Passing, request: Request, answer: Answer, name: str, value: str) -> None:
        obey(passing, request, answer, name, value)
        answer.headers.append((name, value))

    return both


class Trailers:
    """The trailers of a backend's answer, read when its body has ended."""

    __slots__ = ("_incoming",)

    def __init__(self, incoming: Incoming) -> None:
        self._incoming = incoming

    def __iter__(self) -> Iterator[tuple[str, str]]:
        return iter(self._incoming.framing.trailers)


def _trailers(passing: Passing, answer: Answer, incoming: Incoming) -> None:
    if getattr(passing, "pass_trailers", False):
        answer.trailers = Trailers(incoming)


def _rate(passing: Passing, request: Request) -> int:
    rate = passing.limit_rate
    if rate is None:
        return 0
    from penstock.config.values import size

    try:
        return size(rate.evaluate(request) or "0")
    except ValueError:
        return 0


class Passed:
    """Makes the answers of one location."""

    __slots__ = ("_ignored", "_mark", "_refused")

    def __init__(self, ignored: Iterable[str]) -> None:
        self._refused = Refusals()
        self._mark = object()
        """Stands for this in what is remembered of heads, which may outlive a configuration."""
        self._ignored = frozenset(name.lower() for name in ignored)

    def make(self, passing: Passing, request: Request, exchange: Exchange, head: ResponseHead) -> Outcome:
        """Decide what to do with a backend's answer, by the settings that have this. Raises `ProxyError`."""
        status = head.status
        if status == 101:
            return self._upgrade(passing, request, exchange, head)
        fields = head.fields
        if "upgrade" in request.head.fields:
            self._refused.note(request, exchange, head)
        if head.dropped:
            _say_dropped(request, head)
        if status >= 300 and passing.intercept_errors:
            page = self._intercept(request, exchange, head)
            if page is not None:
                if exchange.keep is not None:
                    exchange.keep.intercepted(head)
                return page
        if "x-accel-redirect" in fields and "x-accel-redirect" not in self._ignored:
            return self._redirect(passing, request, exchange, head)
        answer = Answer(status) if exchange.keep is None else KeptAnswer(status)
        answer.from_upstream = True
        if head.status_line:
            answer.reason = head.status_line[4:]
        self.headers(passing, request, answer, head)
        answer.length = length = head.content_length
        if passing.force_ranges:
            answer.allow_ranges = True
        if type(answer) is KeptAnswer and self._keep(passing, exchange, head, answer):
            return answer
        rest = exchange.rest
        if length is not None and length == len(rest) and exchange.plan.asked != "HEAD" and status not in BODILESS:
            # All of it came with the head, as small answers do.
            exchange.attempt.length = length
            exchange.release(reusable=head.keep_alive)
            answer.body = rest
            return answer
        incoming = exchange.open(head)
        first = incoming.now()
        if incoming.framing.done:
            answer.body = first
            if incoming.framing.trailers:
                _trailers(passing, answer, incoming)
            return answer
        if length is None and request.parent is None and passing.events.takes(answer):
            body: Buffered | EventStream | Unbuffered = passing.events.stream(
                answer, incoming, first, passing.redialler(request)
            )
        elif self._buffers(passing, fields):
            body = Buffered(incoming, first, _rate(passing, request))
        else:
            body = Unbuffered(incoming, first)
            request.limit_rate = 0
        request.hold(body)
        answer.body = body
        if head.chunked or (head.version >= 20 and (length is None or "trailer" in fields)):
            _trailers(passing, answer, incoming)
        return answer

    def _buffers(self, passing: Passing, fields: dict[str, str]) -> bool:
        """Whether an answer is read ahead of its client."""
        if "x-accel-buffering" in fields and "x-accel-buffering" not in self._ignored:
            wish = fields["x-accel-buffering"].lower()
            if wish in ("yes", "no"):
                return wish == "yes"
        return passing.buffering

    def _keep(self, passing: Passing, exchange: Exchange, head: ResponseHead, answer: KeptAnswer) -> bool:
        """Let the answer be kept, where somebody keeps it."""
        keep, buffering = exchange.keep, self._buffers(passing, head.fields)
        if head.content_length is None and passing.events.takes(answer):
            buffering = False  # it has no end
        return keep is not None and keep.keep_answer(exchange, head, answer, buffering=buffering)

    def headers(self, passing: Passing, request: Request, answer: Answer, head: ResponseHead) -> None:
        """Give an answer those of a backend's headers that are passed on, by what each asks for."""
        if passing.signed is not None:
            answer.says_server, answer.says_date = passing.signed
        made = head.passed
        if made is not None and made[0] is self._mark:
            _, answer.content_type, answer.last_modified, answer.modified_at, answer.etag, headers = made
            answer.headers = headers.copy()
            return
        routes = passing.routes
        headers = answer.headers
        alike = "upgrade" not in head.fields
        names = [LOWER[name] for name, _ in head.headers] if head.repeated else head.fields
        for name, pair in zip(names, head.headers, strict=True):
            if name in routes:
                route = routes[name]
                if route is not None:
                    route(passing, request, answer, *pair)
                    alike = alike and route in SAME_FOR_ALL
            elif name != "upgrade" or request.head.version < 20:
                headers.append(pair)
        if answer.charset is not None and answer.content_type is not None:
            answer.content_type = answer.content_type.partition(";")[0].rstrip()
        if alike and head.shared:
            head.passed = (
                self._mark, answer.content_type, answer.last_modified, answer.modified_at, answer.etag, headers.copy()
            )

    def _intercept(self, request: Request, exchange: Exchange, head: ResponseHead) -> Answer | None:
        status = head.status
        if request.location[ErrorPages].find(status) is None:
            return None
        page = special(status)
        if status == 401:
            page.headers += [pair for pair in head.headers if pair[0].lower() == "www-authenticate"]
        exchange.open(head).drop()
        return page

    def _redirect(self, passing: Passing, request: Request, exchange: Exchange, head: ResponseHead) -> Outcome:
        """X-Accel-Redirect: the answer comes from elsewhere on this server."""
        target = head.fields["x-accel-redirect"]
        exchange.open(head).drop()
        kept = [pair for pair in head.headers if LOWER[pair[0]] in KEPT_ON_REDIRECT]
        if kept:
            request.kept_headers = [*(request.kept_headers or ()), *kept]
        if "content-type" in head.fields:
            request.kept_type = head.fields["content-type"]
        if "x-accel-limit-rate" in head.fields and "x-accel-limit-rate" not in self._ignored:
            _limit_rate(passing, request, Answer(head.status), "", head.fields["x-accel-limit-rate"])
        if target.startswith("@"):
            return Redirect(name=target)
        path, _, args = target.partition("?")
        path = unescape_uri(path)
        if not path.startswith("/"):
            request.uri = path  # no location has such a path; the log tells what was asked for
            return special(404)
        if "\0" in path or "/../" in path + "/":
            report(request, ERROR, f'unsafe URI "{target}" was detected')
            return special(404)
        if request.method != "HEAD":
            request.method = "GET"
        return Redirect(path, args)

    def _upgrade(self, passing: Passing, request: Request, exchange: Exchange, head: ResponseHead) -> Answer:
        """101: the connection is no longer HTTP's. Raises `ProxyError` where the client did not ask for that."""
        if not request.head.fields.get("upgrade"):
            text = (
                "upstream sent 101 Switching Protocols, but the client did not ask for an upgrade"
                " while reading response header from upstream"
            )
            exchange.log("error", text)
            exchange.attempt.status = 502
            exchange.abandon()
            raise failed("", retry="")
        if request.parent is not None:
            exchange.log("error", "connection upgrade in subrequest")
            exchange.abandon()
            raise failed("", retry="", status=500)
        if not (request.body.done and exchange.has_sent()):
            # What is left of the body would reach the backend, or the tunnel, as bytes of the other protocol.
            exchange.log(
                "error",
                "upstream sent 101 Switching Protocols before the request was sent"
                " while reading response header from upstream",
            )
            exchange.attempt.status = 502
            exchange.abandon()
            raise failed("", retry="")
        wish = passing.websocket
        if wish is not None and wish.carries and (wrong := answered_wrong(wish, request, head)):
            text = f"upstream sent 101 Switching Protocols that can not be passed on: {wrong}"
            exchange.log("error", f"{text}, while reading response header from upstream")
            exchange.attempt.status = 502
            exchange.abandon()
            raise failed("", retry="")
        if has_refused(request) or (passing.guard is not None and not passing.guard.let_in(request)):
            exchange.log(
                "error",
                "upstream sent 101 Switching Protocols, but not to a good WebSocket handshake, and nothing else is "
                "switched to where there are rules for WebSockets, while reading response header from upstream",
            )
            exchange.attempt.status = 502
            exchange.abandon()
            raise failed("", retry="")
        answer = self.switched(passing, request, head)
        answer.upgraded = upgrade = Upgrade(exchange, exchange.plan.group, exchange.rest)
        request.hold(upgrade)
        return answer

    def switched(self, passing: Passing, request: Request, head: ResponseHead) -> Answer:
        """Make the answer for a 101 that may be passed on, its tunnel still to come."""
        wish = passing.websocket
        if wish is not None and wish.carries:
            advise(request)
        answer = Answer(101)
        answer.from_upstream = True
        answer.reason = head.reason
        answer.length = None
        self.headers(passing, request, answer, head)
        return answer


def _say_dropped(request: Request, head: ResponseHead) -> None:
    for name, value in head.dropped:
        report(
            request,
            WARN,
            f'upstream sent duplicate header line: "{name}: {value}", previous value: '
            f'"{name}: {head.fields[name.lower()]}", ignored while reading response header from upstream',
        )

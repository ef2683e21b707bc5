"""`$upstream_...`: what a request remembers of the backends it was tried at (nginx: ngx_http_upstream_module).

Each attempt is one item of a list, separated by ", "; where an internal redirect lies between two, by " : ".
"""

from __future__ import annotations

from collections.abc import Callable

from penstock.config.variables import Getter, family, variable
from penstock.http.request import NO_PEER, Attempt, Request
from penstock.upstream.peers.group import Undeclared


def listed(request: Request, show: Callable[[Attempt], str]) -> str | None:
    """Return what `show` makes of each attempt, as a list; None where there was none."""
    attempts = request.attempts
    if not attempts:
        return None
    if len(attempts) == 1:
        return show(attempts[0])
    parts: list[str] = []
    for attempt in attempts[:-1]:
        parts += (show(attempt), " : " if attempt.redirected else ", ")
    parts.append(show(attempts[-1]))
    return "".join(parts)


def shown_time(seconds: float | None) -> str:
    """Return seconds with milliseconds, `-` for a moment that was not reached."""
    return "-" if seconds is None else f"{max(0.0, seconds):.3f}"


@variable("upstream_addr")
def upstream_addr(request: Request) -> str | None:
    return listed(request, lambda attempt: attempt.address)


@variable("upstream_status")
def upstream_status(request: Request) -> str | None:
    return listed(request, lambda attempt: str(attempt.status or "-"))


@variable("upstream_response_time", late=True)
def upstream_response_time(request: Request) -> str | None:
    return listed(request, lambda attempt: shown_time(attempt.response_time))


@variable("upstream_connect_time")
def upstream_connect_time(request: Request) -> str | None:
    return listed(request, lambda attempt: shown_time(attempt.connect_time))


@variable("upstream_header_time")
def upstream_header_time(request: Request) -> str | None:
    return listed(request, lambda attempt: shown_time(attempt.header_time))


@variable("upstream_response_length", late=True)
def upstream_response_length(request: Request) -> str | None:
    return listed(request, lambda attempt: str(attempt.length))


@variable("upstream_bytes_sent", late=True)
def upstream_bytes_sent(request: Request) -> str | None:
    return listed(request, lambda attempt: str(attempt.bytes_sent))


@variable("upstream_bytes_received", late=True)
def upstream_bytes_received(request: Request) -> str | None:
    return listed(request, lambda attempt: str(attempt.bytes_received))


@variable("upstream_last_server_name")
def upstream_last_server_name(request: Request) -> str | None:
    """The server that was chosen last, as its line in the configuration names it."""
    if not request.attempts:
        return None
    label = request.attempts[-1].label
    return label.server if isinstance(label, Undeclared) else label[1] or None


@variable("upstream_last_addr")
def upstream_last_addr(request: Request) -> str | None:
    """Its address: of IP, without a port, or the path of a unix socket."""
    attempt = request.attempts[-1] if request.attempts else None
    if attempt is None or attempt.label is NO_PEER:
        return None
    if attempt.address.startswith("unix:"):
        return attempt.address.removeprefix("unix:")
    return attempt.address.rpartition(":")[0].strip("[]")


@family("upstream_http_")
def upstream_http(name: str) -> Getter:
    """A header of the last answer, all of its values."""
    wanted = name.lower().replace("_", "-")

    def get(request: Request) -> str | None:
        head = request.upstream_head
        if head is None:
            return None
        found: str | None = head.joined(wanted)
        return found

    return get


@family("upstream_trailer_", late=True)
def upstream_trailer(name: str) -> Getter:
    """A trailer of the last answer, known when all of it has come."""
    key = "upstream_trailer_" + name.lower()
    return lambda request: request.variables.get(key)


@family("upstream_cookie_")
def upstream_cookie(name: str) -> Getter:
    """The value of a cookie that the last answer sets."""

    def get(request: Request) -> str | None:
        head = request.upstream_head
        if head is None:
            return None
        for key, value in head.headers:
            if key.lower() == "set-cookie":
                cookie, given, rest = value.partition("=")
                if given and cookie.strip(" ").lower() == name.lower():
                    found: str = rest.partition(";")[0].strip(" ")
                    return found
        return None

    return get

"""Variables of the answer: `$sent_http_...`, `$sent_trailer_...` (nginx: ngx_http_core_module)."""

from __future__ import annotations

from penstock.config.variables import Getter, family, variable
from penstock.http.request import Request
from penstock.modules.core.http_core import HttpCore

BODILESS = frozenset({101, 204, 304})


@family("sent_http_")
def header(name: str) -> Getter:
    """All values of a header of the answer, joined. An underscore stands for a hyphen, or for itself."""

    def get(request: Request) -> str | None:
        answer = request.answer
        if answer is None:
            return None
        values = [value for key, value in answer.headers if _spelled(key) == name]
        return ", ".join(values) if values else None

    return get


def _spelled(name: str) -> str:
    return name.lower().replace("-", "_")


@variable("sent_http_content_type")
def content_type(request: Request) -> str | None:
    answer = request.answer
    if answer is None or answer.content_type is None:
        return None
    return f"{answer.content_type}; charset={answer.charset}" if answer.charset else answer.content_type


@variable("sent_http_content_length")
def content_length(request: Request) -> str | None:
    answer = request.answer
    return None if answer is None or answer.length is None else str(answer.length)


@variable("sent_http_last_modified")
def last_modified(request: Request) -> str | None:
    return None if request.answer is None else request.answer.last_modified


@variable("sent_http_location")
def location(request: Request) -> str | None:
    answer = request.answer
    if answer is not None and answer.location is not None:
        return answer.location
    return _other_location(request)


_other_location = header("location")


@variable("sent_http_etag")
def etag(request: Request) -> str | None:
    answer = request.answer
    if answer is not None and answer.etag is not None:
        return answer.etag
    return _other_etag(request)


_other_etag = header("etag")


@variable("sent_http_connection")
def connection(request: Request) -> str:
    if request.answer is not None and request.answer.status == 101:
        return "upgrade"
    return "keep-alive" if request.keep_alive else "close"


@variable("sent_http_keep_alive")
def keep_alive(request: Request) -> str | None:
    timeout = request.location[HttpCore].keepalive_timeout[1]
    return f"timeout={timeout}" if request.keep_alive and timeout else None


@variable("sent_http_transfer_encoding")
def transfer_encoding(request: Request) -> str | None:
    answer = request.answer
    if answer is None or answer.length is not None or answer.status in BODILESS or request.head.version < 11:
        return None
    return "chunked" if request.location[HttpCore].chunked_transfer_encoding else None


for _name in ("cache_control", "link"):
    variable(f"sent_http_{_name}")(header(_name))


@family("sent_trailer_", late=True)
def trailer(name: str) -> Getter:
    """All values of a trailer of the answer, joined."""

    def get(request: Request) -> str | None:
        trailers = None if request.answer is None else request.answer.trailers
        values = [value for key, value in trailers or () if _spelled(key) == name]
        return ", ".join(values) if values else None

    return get

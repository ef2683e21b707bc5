"""Variables about the time, and about how a request went, as logs want them (nginx: ngx_http_log_module)."""

from __future__ import annotations

import os
from time import monotonic, time

from penstock.config.variables import inlined, variable
from penstock.http.request import Request
from penstock.observe.clock import common_time, iso_time, iso_time_ms

variable("time_local", late=True)(inlined("get(request)", plain=True)(common_time))


@variable("time_iso8601", late=True)
def time_iso8601(request: Request) -> str:
    return iso_time()


@variable("time_iso8601_ms", late=True)
def time_iso8601_ms(request: Request) -> str:
    return iso_time_ms()


@variable("msec", late=True)
def msec(request: Request) -> str:
    return f"{time():.3f}"


@variable("pid")
def pid(request: Request) -> str:
    return str(os.getpid())


@variable("status", late=True)
@inlined("request.status if request.status > 99 else get(request)", plain=True)
def status(request: Request) -> str:
    answer = request.answer
    code = request.status or request.error_status or (answer.status if answer is not None else 0)
    if not code and request.head.version == 9:
        code = 9
    return f"{code:03d}"


@variable("bytes_sent", late=True)
@inlined("request.bytes_sent", plain=True)
def bytes_sent(request: Request) -> str:
    return str(request.bytes_sent)


@variable("body_bytes_sent", late=True)
@inlined("request.body_bytes_sent", plain=True)
def body_bytes_sent(request: Request) -> str:
    return str(request.body_bytes_sent)


@variable("request_time", late=True)
def request_time(request: Request) -> str:
    return f"{max(0.0, (request.finished or monotonic()) - request.started):.3f}"


@variable("tunnel_event", late=True)
def tunnel_event(request: Request) -> str | None:
    """`open` or `close` in the lines about tunnels, nothing in others (`access_log ... on=both`)."""
    return request.tunnel_event


@variable("request_length", late=True)
@inlined("request.request_length", plain=True)
def request_length(request: Request) -> str:
    return str(request.request_length)


@variable("connection")
def connection(request: Request) -> str:
    return str(request.connection.number)


@variable("connection_requests")
def connection_requests(request: Request) -> str:
    return str(request.connection.requests)


@variable("connection_time", late=True)
def connection_time(request: Request) -> str:
    return f"{max(0.0, (request.finished or monotonic()) - request.connection.started):.3f}"


@variable("pipe")
def pipe(request: Request) -> str:
    return "p" if request.pipelined else "."

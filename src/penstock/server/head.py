"""An answer's head as HTTP/1.1 text, in nginx's order."""

from __future__ import annotations

from time import time

from penstock import __version__
from penstock.http.dates import http_date
from penstock.http.request import Answer, Request
from penstock.http.status import status_line
from penstock.modules.http_core import HttpCore

PRODUCT = f"penstock/{__version__}"


def product(tokens: str) -> str:
    """What `Server` and the error pages call this program, by `server_tokens`."""
    return "penstock" if tokens == "off" else PRODUCT


_signed = (0, "", "")


def signature(tokens: str) -> str:
    """The lines `Server` and `Date`, the same for all answers of a second."""
    global _signed
    now = int(time())
    if _signed[0] != now or _signed[1] != tokens:
        _signed = now, tokens, f"Server: {product(tokens)}\r\nDate: {http_date(now)}\r\n"
    return _signed[2]


def _our_part(answer: Answer, tokens: str) -> str:
    """What of the two lines the answer does not say itself (`proxy_pass_header Server`)."""
    server, date, _ = signature(tokens).split("\r\n")
    return ("" if answer.says_server else f"{server}\r\n") + ("" if answer.says_date else f"{date}\r\n")


def render_head(request: Request, answer: Answer, *, chunked: bool) -> bytes:
    """The whole head, ready to send. `request.keep_alive` must have been decided."""
    core = request.location[HttpCore]
    if answer.reason is None or request.error_status:
        line = status_line(answer.status)
    else:
        line = f"{answer.status} {answer.reason}" if answer.status > 99 else f"{answer.status:03d} {answer.reason}"
    if answer.says_server or answer.says_date:
        ours = _our_part(answer, core.server_tokens)
    else:
        ours = signature(core.server_tokens)
    text = f"HTTP/1.1 {line}\r\n{ours}"
    if answer.status == 101:
        text += "Connection: upgrade\r\n"
    else:
        if answer.content_type is not None:
            text += f"Content-Type: {answer.content_type}\r\n"
            if answer.charset:
                text = f"{text[:-2]}; charset={answer.charset}\r\n"
        if answer.length is not None:
            text += f"Content-Length: {answer.length}\r\n"
        if answer.last_modified is not None:
            text += f"Last-Modified: {answer.last_modified}\r\n"
        if answer.location is not None:
            text += f"Location: {answer.location}\r\n"
        if chunked:
            text += "Transfer-Encoding: chunked\r\n"
        if request.keep_alive:
            text += "Connection: keep-alive\r\n"
            if core.keepalive_timeout[1] is not None:
                text += f"Keep-Alive: timeout={int(core.keepalive_timeout[1])}\r\n"
        else:
            text += "Connection: close\r\n"
    if answer.etag is not None:
        text += f"ETag: {answer.etag}\r\n"
    for name, value in answer.headers:
        text += f"{name}: {value}\r\n"
    return (text + "\r\n").encode("latin-1")

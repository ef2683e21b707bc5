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


def _our_part(answer: Answer, tokens: str) -> list[str]:
    """What of the two lines the answer does not say itself (`proxy_pass_header Server`)."""
    server, date, _ = signature(tokens).split("\r\n")
    return [
        *(() if answer.says_server else (server, "\r\n")),
        *(() if answer.says_date else (date, "\r\n")),
    ]


def render_head(request: Request, answer: Answer, *, chunked: bool) -> bytes:
    """The whole head, ready to send. `request.keep_alive` must have been decided."""
    core = request.location[HttpCore]
    if answer.reason is None or request.error_status:
        line = f"HTTP/1.1 {status_line(answer.status)}\r\n"
    else:
        line = f"HTTP/1.1 {answer.status:03d} {answer.reason}\r\n"
    parts = [line, signature(core.server_tokens)]
    if answer.says_server or answer.says_date:
        parts[1:] = _our_part(answer, core.server_tokens)
    if answer.status == 101:
        parts.append("Connection: upgrade\r\n")
    else:
        if answer.content_type is not None:
            if answer.charset:
                parts += ("Content-Type: ", answer.content_type, "; charset=", answer.charset, "\r\n")
            else:
                parts += ("Content-Type: ", answer.content_type, "\r\n")
        if answer.length is not None:
            parts += ("Content-Length: ", str(answer.length), "\r\n")
        if answer.last_modified is not None:
            parts += ("Last-Modified: ", answer.last_modified, "\r\n")
        if answer.location is not None:
            parts += ("Location: ", answer.location, "\r\n")
        if chunked:
            parts.append("Transfer-Encoding: chunked\r\n")
        if request.keep_alive:
            parts.append("Connection: keep-alive\r\n")
            header = core.keepalive_timeout[1]
            if header is not None:
                parts += ("Keep-Alive: timeout=", str(int(header)), "\r\n")
        else:
            parts.append("Connection: close\r\n")
    if answer.etag is not None:
        parts += ("ETag: ", answer.etag, "\r\n")
    for name, value in answer.headers:
        parts += (name, ": ", value, "\r\n")
    parts.append("\r\n")
    return "".join(parts).encode("latin-1")

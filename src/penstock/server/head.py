"""An answer's head as HTTP/1.1 text, in nginx's order."""

from __future__ import annotations

from time import time

from penstock import __version__
from penstock.http.dates import http_date
from penstock.http.errors import excerpt
from penstock.http.line import value_safe
from penstock.http.request import Answer, Request
from penstock.http.status import status_line
from penstock.modules.core.http_core import HttpCore
from penstock.observe.errorlog import ERROR, report

PRODUCT = f"penstock/{__version__}"


def product(tokens: str) -> str:
    """Return what `Server` and the error pages call this program, by `server_tokens`."""
    return "penstock" if tokens == "off" else PRODUCT


_signed = (0, "", "")


def signature(tokens: str) -> str:
    """Write the lines `Server` and `Date`, the same for all answers of a second."""
    global _signed
    now = time()
    second, by, text = _signed
    if by != tokens or not second <= now < second + 1:
        second = int(now)
        text = f"Server: {product(tokens)}\r\nDate: {http_date(second)}\r\n"
        _signed = second, tokens, text
    return text


def _our_part(answer: Answer, tokens: str) -> str:
    """Write what of the two lines the answer does not say itself (`proxy_pass_header Server`)."""
    server, date, _ = signature(tokens).split("\r\n")
    return ("" if answer.says_server else f"{server}\r\n") + ("" if answer.says_date else f"{date}\r\n")


def render_head(request: Request, answer: Answer, *, chunked: bool) -> bytes:
    """Write the whole head, ready to send. `request.keep_alive` must have been decided.

    `lines` counts the lines written. A value that splits its line is noticed by comparing that number with the line
    ends in the text. With a list of lines, joined and counted, a request took about 1,300 instructions more
    (`make instructions`).
    """
    core = request.location[HttpCore]
    if answer.reason is None or request.error_status:
        line = status_line(answer.status)
    else:
        line = f"{answer.status} {answer.reason}" if answer.status > 99 else f"{answer.status:03d} {answer.reason}"
    lines = 3 + len(answer.headers)
    if answer.says_server or answer.says_date:
        ours = _our_part(answer, core.server_tokens)
        lines -= answer.says_server + answer.says_date
    else:
        ours = signature(core.server_tokens)
    text = f"HTTP/1.1 {line}\r\n{ours}"
    if answer.content_type is not None:
        lines += 1
        text += f"Content-Type: {answer.content_type}\r\n"
        if answer.charset:
            text = f"{text[:-2]}; charset={answer.charset}\r\n"
    switched = answer.status == 101
    if answer.length is not None and not switched:
        lines += 1
        text += f"Content-Length: {answer.length}\r\n"
    if answer.last_modified is not None:
        lines += 1
        text += f"Last-Modified: {answer.last_modified}\r\n"
    if answer.location is not None:
        lines += 1
        text += f"Location: {answer.location}\r\n"
    lines += 1
    if switched:
        text += "Connection: upgrade\r\n"
    else:
        if chunked:
            lines += 1
            text += "Transfer-Encoding: chunked\r\n"
        if request.keep_alive:
            text += "Connection: keep-alive\r\n"
            if core.keepalive_timeout[1] is not None:
                lines += 1
                text += f"Keep-Alive: timeout={core.keepalive_timeout[1]}\r\n"
        else:
            text += "Connection: close\r\n"
    if answer.etag is not None:
        lines += 1
        text += f"ETag: {answer.etag}\r\n"
    for name, value in answer.headers:
        text += f"{name}: {value}\r\n"
    if text.count("\n") != lines or text.count("\r") != lines or "\0" in text:
        _mend(request, answer)
        return render_head(request, answer, chunked=chunked)
    return (text + "\r\n").encode("latin-1")


_TEXTS = ("reason", "content_type", "charset", "last_modified", "location", "etag")


def _mend(request: Request, answer: Answer) -> None:
    """Keep each value of an answer within its line, and say so.

    Whoever made one should have seen to that, and knows the directive; this is the last place where it can be seen
    that nobody did.
    """
    for name in _TEXTS:
        value = getattr(answer, name)
        if value and (safe := value_safe(value)) != value:
            setattr(answer, name, safe)
            _say(request, f"{name}: {safe}")
    for at, (field, value) in enumerate(answer.headers):
        line = value_safe(field), value_safe(value)
        if line != (field, value):
            answer.headers[at] = line
            _say(request, f"{line[0]}: {line[1]}")


def _say(request: Request, line: str) -> None:
    report(request, ERROR, f'control characters in a line of an answer have been percent-encoded: "{excerpt(line)}"')

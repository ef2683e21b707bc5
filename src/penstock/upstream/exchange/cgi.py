"""Answers in the manner of CGI (RFC 3875, section 6.2), as FastCGI, SCGI and uwsgi servers give them.

A head may begin with an HTTP status line; otherwise `Status` says it, and where nothing does it is 302 with a Location
and 200 without.
"""

from __future__ import annotations

from penstock.http.errors import BadResponse, excerpt
from penstock.http.response import ResponseHead, head_end, is_status_line, parse_response
from penstock.upstream.exchange.framing import CloseFraming, Framing, LengthFraming
from penstock.upstream.exchange.wire import BODILESS

STATUS_LINE = b"HTTP/1.0 200 OK\r\n"


class Cgi:
    """The protocol of `scgi_pass` and `uwsgi_pass`, and the head of FastCGI's answers: one answer a connection."""

    __slots__ = ()

    def read_head(self, data: bytes, seen: int) -> ResponseHead | None:
        """Read the head of an answer. Raises `BadResponse`."""
        end = 2 if data[:2] == b"\r\n" else 1 if data[:1] == b"\n" else head_end(data, seen)  # it may be empty
        if end < 0:
            return None
        if is_status_line(data):
            head = parse_response(data[:end])
        else:
            head = parse_response(STATUS_LINE + data[:end])
            head.length = end
            _interpret_status(head)
        head.keep_alive = False
        return head

    def framing(self, head: ResponseHead, method: str) -> Framing:
        """Return where the body ends: a length, or the close. There are no chunks (RFC 3875, section 6.4)."""
        if method == "HEAD" or head.status in BODILESS:
            return LengthFraming(0)
        if head.content_length is not None:
            return LengthFraming(head.content_length)
        return CloseFraming()


def _interpret_status(head: ResponseHead) -> None:
    """Work out the status, by the header of that name, or by there being a Location."""
    status = head.fields.get("status")
    if status is None:
        if "location" in head.fields:
            head.status, head.status_line = 302, "302 Moved Temporarily"
        return
    code = status[:3]
    if not (code.isascii() and code.isdecimal() and len(code) == 3 and status[3:4] in ("", " ")):
        raise BadResponse(502, f'upstream sent invalid status "{excerpt(status)}"')
    head.status = int(code)
    head.status_line = status


CGI = Cgi()

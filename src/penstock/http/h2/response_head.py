"""The head of an HTTP/2 answer as everybody knows heads: pseudo-fields -> `ResponseHead` (RFC 9113 section 8.3.2).

A backend is not believed more than a client: what could be read in another way once it is written as HTTP/1.1 is
refused, and costs the stream it came on. `Connection` and its kin are left out instead, as nginx does, though RFC 9113
(8.2.2) calls the whole answer malformed: nothing is read from them, frames say where an answer ends, and the user of a
backend that adds them has done nothing wrong. A coding of the body that would be lost with its header is refused.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import TypeVar

from penstock.http.chunked import may_trail
from penstock.http.errors import BadResponse, excerpt
from penstock.http.fields import Headers, first_values
from penstock.http.h2.fields import HOP_BY_HOP
from penstock.http.response import ResponseHead, interpret

# field-name (RFC 9113, section 8.2.1): visible ASCII, without upper case and colons; `:status` (8.3.2); what no
# field-value holds (8.2.1).
_NAME = re.compile(r"[^\x00-\x20\x7f-\xff:A-Z]+", re.ASCII)
_STATUS = re.compile(r"[1-9][0-9]{2}", re.ASCII)
_FORBIDDEN = re.compile(r"[\x00\r\n]")
_REFUSED_IN_TRAILERS = frozenset(("content-length", "host", "te"))


Head = TypeVar("Head", bound=ResponseHead)


def response_head(pairs: Iterable[tuple[bytes, bytes]], made: type[Head], misplaced: Headers) -> Head:
    """Make the head of an answer whose fields these are, an interim one perhaps, as an object of a class. `misplaced`
    takes those that are left out, as they have no place in HTTP/2. Raises `BadResponse`."""
    status = ""
    headers: Headers = []
    for raw_name, raw_value in pairs:
        name, value = str(raw_name, "latin-1"), str(raw_value, "latin-1")
        if name == ":status":
            if status:
                raise BadResponse(502, "upstream sent duplicate :status header")
            if headers:
                raise BadResponse(502, "upstream sent out of order pseudo-headers")
            if not _STATUS.fullmatch(value):
                raise BadResponse(502, f'upstream sent invalid :status "{excerpt(value)}"')
            status = value
            continue
        pair = _sound(name, value, "header")
        if name not in HOP_BY_HOP:
            headers.append(pair)
        elif name != "transfer-encoding" or pair[1].lower() == "chunked":
            misplaced.append(pair)
        else:
            raise BadResponse(502, f'upstream sent unknown "Transfer-Encoding": "{excerpt(value)}"')
    if not status:
        raise BadResponse(502, "upstream sent no :status header")
    if status == "101":
        raise BadResponse(502, "upstream sent 101, of which HTTP/2 knows nothing")
    head = made(int(status), "", 20, headers, first_values(headers))
    interpret(head)
    return head


def trailer_fields(pairs: Iterable[tuple[bytes, bytes]]) -> Headers:
    """Read the fields that came behind a body, those that HTTP/1.1 would leave out left out. Raises `BadResponse`."""
    found: Headers = []
    for raw_name, raw_value in pairs:
        name, value = _sound(str(raw_name, "latin-1"), str(raw_value, "latin-1"), "trailer")
        if name in _REFUSED_IN_TRAILERS or name in HOP_BY_HOP:
            raise BadResponse(502, f'upstream sent invalid trailer "{name}: {excerpt(value)}"')
        if may_trail(name):
            found.append((name, value))
    return found


def _sound(name: str, value: str, what: str) -> tuple[str, str]:
    """Return a field that may be passed on. Raises `BadResponse`."""
    if not _NAME.fullmatch(name) or _FORBIDDEN.search(value):
        raise BadResponse(502, f'upstream sent invalid {what} "{excerpt(f"{name}: {value}")}"')
    return name, value.strip(" \t")

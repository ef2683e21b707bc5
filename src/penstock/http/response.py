"""Heads of responses: bytes from a backend -> `ResponseHead`.

What nginx takes from a backend is taken, line feeds alone as line ends included: nothing of it is passed on
as it came.
"""

from __future__ import annotations

import re
from typing import Any

from penstock.http.errors import BadResponse, excerpt
from penstock.http.fields import LOWER, STAYS, Headers, all_values, decimal, first_values, plain_lines

# status-line (RFC 9112, section 4): HTTP-version, status-code of three digits, and perhaps a reason-phrase.
_status_line = re.compile(r"HTTP/1\.([01]) (([0-9]{3})(?: [^\r\n]*)?)\r\n", re.ASCII).match
# The same as nginx takes it: any version, several spaces, a dot behind the code, a line feed alone.
_odd_status_line = re.compile(
    r"HTTP/([1-9][0-9]{0,2})\.([0-9]{1,3}) +(([0-9]{3})(?:[ .][^\r\n]*)?)\r?\n", re.ASCII
).match
# What can still become one.
_status_line_so_far = re.compile(
    r"(?:H|HT|HTT|HTTP|HTTP/|HTTP/[1-9][0-9]{0,2}|HTTP/[1-9][0-9]{0,2}\."
    r"|HTTP/[1-9][0-9]{0,2}\.[0-9]{1,3}(?: +(?:[0-9]{1,2}|[0-9]{3}(?:[ .][^\r\n]*)?\r?)?)?)?",
    re.ASCII,
).fullmatch

# The empty line behind the fields (HTTP-message, RFC 9112, section 2.1).
_end = re.compile(rb"\n\r?\n").search

# field-line (RFC 9112, section 5), as nearly all are: a name of letters, digits, "-" and "_"; the value without OWS.
_plain_fields = re.compile(r"^([A-Za-z0-9_-]++): *+([^\r]*+)(?<! )\r\n", re.ASCII | re.MULTILINE).findall
# field-name as nginx takes it from a backend: a token (RFC 9110, section 5.6.2), and more.
_odd_name = re.compile(r"([^\x00-\x20\x7f:]++)(?::|$)", re.ASCII).match

# Of these the first counts, and what comes after it is dropped.
_FIRST_COUNTS = frozenset(
    (
        "content-type",
        "date",
        "etag",
        "expires",
        "last-modified",
        "location",
        "refresh",
        "server",
        "status",
        "x-accel-buffering",
        "x-accel-charset",
        "x-accel-expires",
        "x-accel-limit-rate",
        "x-accel-redirect",
    )
)


class ResponseHead:
    """The status line and the headers of one response.

    status: 200. status_line: from the number on, as sent ("200 OK"); reason: what follows the number.
    version: 10 or 11. headers: (name, value) in order, names byte for byte. fields: lower-case name -> first
    value. dropped: repeated headers of which only the first counts. content_length: None without the header,
    or when chunked. keep_alive: the backend will take another request. length: bytes on the wire. A status of
    1xx is up to the caller. shared: this stands for all responses that come with the same
    bytes, and is not changed; `passed` and `written` are then for who passes it on, to remember what came of that.
    ordinary: nothing in it asks for more than to be passed on with its body.
    """

    __slots__ = (
        "chunked",
        "content_length",
        "dropped",
        "fields",
        "headers",
        "keep_alive",
        "length",
        "ordinary",
        "passed",
        "repeated",
        "shared",
        "status",
        "status_line",
        "version",
        "written",
    )

    def __init__(self, status: int, status_line: str, version: int, headers: Headers, fields: dict[str, str]) -> None:
        self.status = status
        self.status_line = status_line
        self.version = version
        self.headers = headers
        self.fields = fields
        self.repeated = len(fields) != len(headers)
        self.dropped: Headers | tuple[()] = ()
        self.content_length: int | None = None
        self.chunked = False
        self.keep_alive = version == 11
        self.length = 0
        self.shared = False
        self.ordinary: bool | None = None
        """None until somebody has looked (`server/straight/whole.py`)."""
        self.passed: Any = None
        self.written: Any = None

    @property
    def reason(self) -> str:
        """Return the text after the status number; may be empty."""
        return self.status_line[4:]

    @property
    def upgrade(self) -> str | None:
        """Return the Upgrade header."""
        return self.fields.get("upgrade")

    def joined(self, name: str) -> str | None:
        """Return all values of a header (its name in lower case) joined by ", ", or None."""
        if not self.repeated:
            return self.fields.get(name)
        values = all_values(self.headers, name)
        return ", ".join(values) if values else None

    def __repr__(self) -> str:
        return f"<ResponseHead {self.status_line!r} {len(self.headers)} headers>"


def head_end(buffer: bytes | bytearray, start: int = 0) -> int:
    """Find where the head in `buffer` ends: the offset after its empty line, or -1 while there is none.

    `start` may be the length the buffer had at the last call: what was looked through need not be again.
    """
    match = _end(buffer, start - 2 if start > 2 else 0)
    return -1 if match is None else match.end()


def is_status_line(data: bytes | bytearray) -> bool:
    """Return whether `data` begins like a status line, as far as it goes.

    If it does not, nginx takes all of it for the body of an HTTP/0.9 response.
    """
    line, _, _ = bytes(data[:4096]).partition(b"\n")
    return _status_line_so_far(str(line, "latin-1")) is not None


def plain_response(data: bytes) -> ResponseHead | None:
    """Parse a whole head in which nothing is unusual, no line feed alone either; None for any other, and where nothing
    is compiled. Raises `BadResponse`."""
    if plain_lines is None:
        return None
    first = data.find(b"\n") + 1
    match = _status_line(str(data[:first], "latin-1"))
    if match is None:
        return None
    found = plain_lines(data, first, LOWER, True, False)
    if found is None:
        return None
    minor, line, status = match.groups()
    head = ResponseHead(int(status), line, 11 if minor == "1" else 10, *found)
    head.length = len(data)
    interpret(head)
    return head


def parse_response(data: bytes) -> ResponseHead:
    """Parse a whole head, from the status line to the end of the empty line. Raises `BadResponse`."""
    plain = plain_response(data)
    if plain is not None:
        return plain
    text = str(data, "latin-1")
    match = _status_line(text)
    if match is None:
        return _odd_response(text)
    minor, line, status = match.groups()
    headers: Headers = _plain_fields(text, match.end())
    if len(headers) != text.count("\n") - 2 or not text.endswith("\r\n\r\n") or "\0" in text:
        return _odd_response(text)
    head = ResponseHead(int(status), line, 11 if minor == "1" else 10, headers, first_values(headers))
    head.length = len(text)
    interpret(head)
    return head


def _odd_response(text: str) -> ResponseHead:
    match = _odd_status_line(text)
    if match is None:
        raise BadResponse(502, "upstream sent no valid HTTP/1.0 header")
    major, minor, line, status = match.groups()
    headers = _odd_fields(text[match.end() :])
    version = 11 if (int(major), int(minor)) >= (1, 1) else 10
    head = ResponseHead(int(status), line, version, headers, first_values(headers))
    head.length = len(text)
    interpret(head)
    return head


def _odd_fields(text: str) -> Headers:
    headers: Headers = []
    lines = text.split("\n")
    if len(lines) < 2 or lines.pop() or lines.pop() not in ("", "\r"):
        raise BadResponse(502, "upstream sent invalid header")
    for line in lines:
        line = line.rstrip("\r")
        if line.startswith("HTTP/"):
            continue  # A second status line, from servers that do not know what they forward.
        match = _odd_name(line)
        value = line[match.end() :].strip(" ") if match else ""
        if match is None or "\r" in value or "\0" in value:
            raise BadResponse(502, f'upstream sent invalid header: "{excerpt(line)}"')
        headers.append((match[1], value))
    return headers


def interpret(head: ResponseHead) -> None:
    """Refuse what contradicts itself, and work out length and framing. Raises `BadResponse`."""
    fields = head.fields
    if head.repeated:
        _check_repeated(head)
    if "content-length" in fields:
        value = fields["content-length"]
        if "transfer-encoding" in fields:
            raise BadResponse(502, 'upstream sent "Content-Length" and "Transfer-Encoding" headers at the same time')
        head.content_length = decimal(value)
        if head.content_length is None:
            raise BadResponse(502, f'upstream sent invalid "Content-Length" header: "{excerpt(value)}"')
    elif "transfer-encoding" in fields:
        value = fields["transfer-encoding"]
        if value.lower() != "chunked":
            raise BadResponse(502, f'upstream sent unknown "Transfer-Encoding": "{excerpt(value)}"')
        head.chunked = True
    if head.version < 11:
        if head.status == 103:
            raise BadResponse(502, "upstream sent HTTP/1.0 response with early hints")
    elif "connection" in fields:
        value = ",".join(all_values(head.headers, "connection")) if head.repeated else fields["connection"]
        if value not in STAYS:
            head.keep_alive = "close" not in value.lower()


def _check_repeated(head: ResponseHead) -> None:
    kept: Headers = []
    dropped: Headers = []
    seen: set[str] = set()
    for header in head.headers:
        name = LOWER[header[0]]
        if name in seen:
            if name in ("content-length", "transfer-encoding"):
                raise BadResponse(502, f'upstream sent duplicate header line: "{excerpt(": ".join(header))}"')
            if name in _FIRST_COUNTS:
                dropped.append(header)
                continue
        seen.add(name)
        kept.append(header)
    if dropped:
        head.headers = kept
        head.dropped = dropped
        head.repeated = len(kept) != len(head.fields)

"""Heads of requests: bytes -> `RequestHead`, refusing what nginx refuses and a little more.

The little more is what other parsers read in another way, which is how requests are smuggled past a proxy
(RFC 9112 section 11.2): more than one space in the request line, a header line folded or without a colon, a space
before the colon, control characters in values, header lines after an HTTP/0.9 request line; and, unless
`HeadOptions` says otherwise, a line feed alone as the end of a line.

A head is parsed by one regular expression for its first line and one for all its headers. Only what these do
not take is read step by step, in `head_slow.py`, to find out what it is.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Self

from penstock.http import head_slow
from penstock.http.errors import BadRequest, excerpt
from penstock.http.fields import (
    CONTROLS,
    LOWER,
    STAYS,
    Headers,
    all_values,
    decimal,
    first_values,
    plain_fields,
    plain_lines,
    plain_or_underscore_fields,
)
from penstock.http.host import split_host
from penstock.http.response import ResponseHead, head_end, is_status_line, parse_response
from penstock.http.seen_heads import SeenHeads
from penstock.shared.alike import like as another_like

__all__ = [
    "HeadOptions",
    "RequestHead",
    "ResponseHead",
    "check_unique",
    "head_end",
    "is_status_line",
    "parse_new_request",
    "parse_request",
    "parse_response",
]

# request-line (RFC 9112, section 3): method, request-target, HTTP-version, a space between each. The method is nginx's
# (A-Z, "_", "-"), the target in origin-form (3.2.1); all else is for `head_slow.py`.
_request_line = re.compile(r"(?!CONNECT )([A-Z_-]+) (/[!-~\x80-\xff]*) HTTP/1\.([01])\r\n", re.ASCII).match
# A line that ends in LF without CR, which a recipient may take (RFC 9112, section 2.2).
_lone_line_feed = re.compile(r"(?<!\r)\n", re.ASCII)

_UNIQUE = frozenset(
    (
        "authorization",
        "content-length",
        "content-range",
        "expect",
        "host",
        "if-match",
        "if-modified-since",
        "if-none-match",
        "if-range",
        "if-unmodified-since",
        "proxy-authorization",
        "transfer-encoding",
    )
)


@dataclass(frozen=True, slots=True)
class HeadOptions:
    """The options for request heads of a server's configuration; named as nginx's directives.

    `allow_connect` is set where a `tunnel_pass` exists. `bare_line_feeds` takes a line feed alone as the end of a line,
    as nginx does.
    """

    underscores_in_headers: bool = False
    ignore_invalid_headers: bool = True
    merge_slashes: bool = True
    max_headers: int = 1000
    allow_connect: bool = False
    bare_line_feeds: bool = False


DEFAULT_OPTIONS = HeadOptions()


class RequestHead:
    """The request line and the headers of one request.

    line: the request line as sent. method, target: as sent, but the target without scheme and authority,
    which is what `$request_uri` shows; "/" for CONNECT. version: 9, 10 or 11. headers: (name, value) in
    order, names byte for byte, without those that were ignored (these are in `dropped`). fields: lower-case
    name -> first value. repeated: some name came more than once. host, port: of the request line if it has
    them, else of the Host header; lower case, no trailing dot; "" and 0. content_length: None without the
    header. chunked: the body is. keep_alive: what the client wants. length: bytes of the head on the wire.
    like: a head that came before with the same header lines, as long as nobody gives this one others (they are shared,
    and replaced, never changed); its `passed` is for who passes them on, to remember what came of that, `another` makes
    the heads that are like it, and `own` are places in `headers`, with the names there in lower case and as sent, where
    each of those has a value of its own. split: path and query, where they are the same for every server.
    """

    __slots__ = (
        "another",
        "chunked",
        "content_length",
        "dropped",
        "fields",
        "headers",
        "host",
        "keep_alive",
        "length",
        "like",
        "line",
        "method",
        "own",
        "passed",
        "port",
        "repeated",
        "split",
        "target",
        "version",
    )

    def __init__(
        self, line: str, method: str, target: str, version: int, headers: Headers, fields: dict[str, str]
    ) -> None:
        self.line = line
        self.method = method
        self.target = target
        self.version = version
        self.headers = headers
        self.fields = fields
        self.repeated = len(fields) != len(headers)
        self.dropped: tuple[str, ...] = ()
        self.host = ""
        self.port = 0
        self.content_length: int | None = None
        self.chunked = False
        self.keep_alive = version == 11
        self.length = 0
        self.like: RequestHead | None = None
        self.passed: Any = None
        self.another: Callable[[], RequestHead] | None = None
        self.own: tuple[tuple[int, str, str], ...] = ()
        self.split: tuple[str, str] | None = None

    def kept(self) -> Self:
        """Make what is remembered of it: the head that others with the same header lines are `like`."""
        # Those are not made by `__init__`: 2,000 instructions less for nearly every request (experiments/requests.md).
        kept = another_like(self)()
        kept.line = kept.target = ""
        kept.length = 0
        kept.passed = kept.like = kept.another = kept.split = None
        own, kept.own = kept.own, ()
        # Of a copy: it would lead back to itself.
        kept.another = another_like(another_like(kept)())
        kept.own = own
        return kept

    def bare(self, headers: Headers, fields: dict[str, str], own: tuple[tuple[int, str, str], ...]) -> Self:
        """Make a copy with other headers, in which those at some places have no value."""
        made = another_like(self)()
        made.headers, made.fields, made.own = headers, fields, own
        return made

    def give(self, headers: Headers) -> None:
        """Give it other headers than those it came with; what was made of those stays theirs."""
        self.like = None
        self.headers = headers
        fields: dict[str, str] = {}
        for name, value in headers:
            fields.setdefault(name.lower(), value)
        self.fields = fields
        self.repeated = len(fields) != len(headers)

    @property
    def upgrade(self) -> str | None:
        """Return the Upgrade header."""
        return self.fields.get("upgrade")

    @property
    def expect_continue(self) -> bool:
        """Return whether the client waits for `100 Continue` before it sends the body (RFC 9110 section 10.1.1)."""
        expect = self.fields.get("expect")
        return expect is not None and self.version == 11 and expect.lower() == "100-continue"

    @property
    def protocol(self) -> str:
        """Return the version as the client spelled it; "" for HTTP/0.9."""
        return "" if self.version == 9 else self.line.rpartition(" ")[2]

    def joined(self, name: str) -> str | None:
        """Return all values of a header (its name in lower case) as `$http_name` shows them, or None.

        They are joined by ", ", those of Cookie by "; ".
        """
        if not self.repeated:
            return self.fields.get(name)
        values = all_values(self.headers, name)
        if not values:
            return None
        return ("; " if name == "cookie" else ", ").join(values)

    def __repr__(self) -> str:
        return f"<RequestHead {self.line!r} {len(self.headers)} headers>"


def parse_request(
    data: bytes, options: HeadOptions = DEFAULT_OPTIONS, seen: SeenHeads | None = None
) -> RequestHead:
    """Parse a whole head, from the first byte of the request line to the end of the empty line.

    An HTTP/0.9 request is one line; the empty line may follow. `seen` are heads that came before, under the same
    options. Raises `BadRequest`.
    """
    if seen is not None:
        again = seen.find(data)
        if again is not None:
            return again
    return parse_new_request(data, options, seen)


def parse_new_request(data: bytes, options: HeadOptions, seen: SeenHeads | None) -> RequestHead:
    """Parse one whose header lines have not been seen, or not with such a request line. Raises `BadRequest`."""
    first = data.find(b"\n") + 1
    if plain_lines is not None:
        text = str(data[:first], "latin-1")
        match = _request_line(text)
        found = None if match is None else plain_lines(data, first, LOWER, options.underscores_in_headers, True)
        if match is not None and found is not None:
            method, target, minor = match.groups()
            headers, fields = found
            head = RequestHead(text[:-2], method, target, 11 if minor == "1" else 10, headers, fields)
            return _complete(head, data, first, options, seen)
    text = str(data, "latin-1")
    match = _request_line(text)
    if match is None:
        return _odd_request(text, options, len(data))
    method, target, minor = match.groups()
    start = match.end()
    find = plain_or_underscore_fields if options.underscores_in_headers else plain_fields
    headers = find(text, start)
    # All lines are headers but the first and the last, which is empty; and nothing is in them that must not
    # be.
    if (
        len(headers) == text.count("\n") - 2
        and text.endswith("\r\n\r\n")
        and len(data.translate(None, CONTROLS)) == len(data)
    ):
        head = RequestHead(
            text[: start - 2], method, target, 11 if minor == "1" else 10, headers, first_values(headers)
        )
    else:
        head = _with_odd_fields(text, start, method, target, 11 if minor == "1" else 10, options)
    return _complete(head, data, first, options, seen)


def _complete(
    head: RequestHead, data: bytes, first: int, options: HeadOptions, seen: SeenHeads | None
) -> RequestHead:
    """Work out what a head means, and remember it where it has come before."""
    head.length = len(data)
    _interpret(head, options)
    if seen is not None and head.version == 11:
        seen.note(head, data[first:])
    return head


def _with_odd_fields(
    text: str, start: int, method: str, target: str, version: int, options: HeadOptions
) -> RequestHead:
    if options.bare_line_feeds:
        text = _lone_line_feed.sub("\r\n", text)
    lax = options.underscores_in_headers, options.ignore_invalid_headers
    headers, dropped = head_slow.request_fields(text, start, *lax)
    head = RequestHead(text[: start - 2], method, target, version, headers, first_values(headers))
    head.dropped = dropped
    return head


def _odd_request(text: str, options: HeadOptions, length: int) -> RequestHead:
    if options.bare_line_feeds:
        text = _lone_line_feed.sub("\r\n", text)
    line = head_slow.request_line(text)
    if line.version == 9:
        if text[line.end :] not in ("", "\r\n"):
            raise BadRequest(400, "client sent header lines in HTTP/0.9 request")
        head = RequestHead(text[: line.end - 2], line.method, line.target, 9, [], {})
    else:
        head = _with_odd_fields(text, line.end, line.method, line.target, line.version, options)
    head.length = length
    head.host = line.host
    head.port = line.port
    _interpret(head, options)
    return head


def _interpret(head: RequestHead, options: HeadOptions) -> None:
    """Work out what the headers mean for the message itself, and refuse what contradicts itself."""
    fields = head.fields
    if head.repeated:
        check_unique(head.headers)
    if len(head.headers) > options.max_headers:
        raise BadRequest(494, "client sent too many header lines")

    name = fields.get("host")
    if name is not None:
        host = split_host(name)
        if host is None:
            raise BadRequest(400, "client sent invalid host header")
        if not head.host:
            head.host, head.port = host
    elif head.version == 11:
        raise BadRequest(400, 'client sent HTTP/1.1 request without "Host" header')

    if "connection" in fields and (fields["connection"] not in STAYS or head.repeated or head.version != 11):
        _interpret_connection(head)
    if "content-length" in fields:
        head.content_length = decimal(fields["content-length"])
        if head.content_length is None:
            raise BadRequest(400, 'client sent invalid "Content-Length" header')
    if "transfer-encoding" in fields:
        _interpret_transfer_encoding(head)
    if head.method == "CONNECT":
        _check_connect(head, options)


def check_unique(headers: Headers) -> None:
    """Refuse what may come only once and came again. Raises `BadRequest`."""
    seen: dict[str, tuple[str, str]] = {}
    for header in headers:
        name = LOWER[header[0]]
        if name not in _UNIQUE:
            continue
        first = seen.get(name)
        if first is None:
            seen[name] = header
        else:  # the very same object, perhaps: fields of HTTP/2 that came before are remembered
            what = "host header" if name == "host" else "header line"
            raise BadRequest(
                400,
                f'client sent duplicate {what}: "{excerpt(": ".join(header))}", '
                f'previous value: "{excerpt(": ".join(first))}"',
            )


def _interpret_connection(head: RequestHead) -> None:
    values = all_values(head.headers, "connection") if head.repeated else (head.fields["connection"],)
    for value in values:
        value = value.lower()
        if "close" in value:
            head.keep_alive = False
        elif "keep-alive" in value:
            head.keep_alive = True


def _interpret_transfer_encoding(head: RequestHead) -> None:
    if head.version < 11:
        raise BadRequest(400, 'client sent HTTP/1.0 request with "Transfer-Encoding" header')
    value = head.fields["transfer-encoding"]
    if value.lower() != "chunked":
        raise BadRequest(501, f'client sent unknown "Transfer-Encoding": "{excerpt(value)}"')
    if head.content_length is not None:
        raise BadRequest(400, 'client sent "Content-Length" and "Transfer-Encoding" headers at the same time')
    head.chunked = True


def _check_connect(head: RequestHead, options: HeadOptions) -> None:
    if head.version != 11 or not options.allow_connect:
        raise BadRequest(405, "client sent CONNECT method")
    if head.content_length or head.chunked:
        raise BadRequest(400, "client sent CONNECT request with body")

"""The head of an HTTP/2 request as the modules know heads: pseudo-fields -> `RequestHead` (RFC 9113 section 8.3).

What could be read in another way once it is written as HTTP/1.1 is refused here: control characters and colons where
none may be, capital letters, what belongs to a connection of HTTP/1.1, two names of one host.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import TypeAlias

from penstock.http.errors import BadRequest, excerpt
from penstock.http.fields import CONTROL, Headers, decimal, first_values
from penstock.http.head import HeadOptions, RequestHead, check_unique
from penstock.http.host import split_host
from penstock.shared.memo import Memo
from penstock.websocket.handshake import accept_key, is_key

# The pseudo-fields of a request (RFC 9113, section 8.3.1): method and path as in HTTP/1.1, scheme as RFC 3986, section
# 3.1, has it, an authority that ends in a port.
_METHOD = re.compile(r"[A-Z_-]+", re.ASCII)
_PATH = re.compile(r"/[!-~\x80-\xff]*", re.ASCII)
_SCHEME = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*", re.ASCII)
_PORT = re.compile(r".+:[0-9]+", re.ASCII)
# field-name (RFC 9113, section 8.2.1): visible, without upper case and colons.
_NAME = re.compile(r"[^\x00-\x20\x7f:A-Z]+", re.ASCII)
# The same as nearly all are; "_" is for `underscores_in_headers`.
_PLAIN = re.compile(r"[a-z0-9-]+", re.ASCII)
_PLAIN_OR_UNDERSCORE = re.compile(r"[a-z0-9_-]+", re.ASCII)
_PSEUDO = frozenset((":method", ":scheme", ":path", ":authority", ":protocol"))
_OF_A_CONNECTION = {
    "connection": "Connection",
    "keep-alive": "Keep-Alive",
    "proxy-connection": "Proxy-Connection",
    "transfer-encoding": "Transfer-Encoding",
    "upgrade": "Upgrade",
}
_MOST, _LONGEST = 512, 512
_LONGEST_HEAD = 2048
_known: dict[tuple[bytes, bytes], tuple[str, str]] = {}
"""Fields that were found good under any options, as they came: a client repeats nearly all of its own."""
_known_pseudo: dict[tuple[bytes, bytes], tuple[str, str]] = {}
"""Likewise pseudo-fields; how often each stands there, and where, is looked at every time."""

_REFUSED_IN_TRAILERS = frozenset(("content-length", "host", "transfer-encoding"))


Pairs: TypeAlias = "list[tuple[bytes, bytes]]"
KnownHeads: TypeAlias = "Memo[tuple[object, ...], Http2Head]"
"""Fields of whole requests that came before, a number in the place of their path that says where it stood."""

_like: dict[tuple[HeadOptions, bool], KnownHeads] = {}


def heads_known(options: HeadOptions, *, extended: bool) -> KnownHeads:
    """Return the fields that came before and were read by these options."""
    known = _like.get((options, extended))
    if known is None:
        known = _like[options, extended] = Memo()
    return known


class Http2Head(RequestHead):
    """A `RequestHead` of HTTP/2, `protocol_` being the `:protocol` of an extended CONNECT (RFC 8441), else "".

    `accept` is the Sec-WebSocket-Accept that its client waits for, "" if it sent no key. RFC 8441 has no use for keys,
    but clients that have one handshake for all versions of HTTP send one, and hold the answer against it.
    """

    __slots__ = ("accept", "protocol_")

    accept: str
    protocol_: str

    @property
    def expect_continue(self) -> bool:
        """Return whether the client waits for a 100, as in HTTP/1.1."""
        expect = self.fields.get("expect")
        return expect is not None and expect.lower() == "100-continue"

    def like_it(self, target: str, length: int) -> Http2Head:
        """Make the head of another request with the same fields, but for the path; this one was `kept`."""
        assert self.another is not None
        head = self.another()
        assert isinstance(head, Http2Head)
        head.line = f"{head.method} {target} HTTP/2.0"
        head.target = target
        head.length = length
        head.like = self
        return head


def whole_head(
    pairs: Pairs, options: HeadOptions, known: KnownHeads, length: int, *, extended: bool = False
) -> Http2Head:
    """Make the head of a request that ends with it, `length` bytes of it. `known` are fields that came before, under
    the same options. Raises `BadRequest`."""
    at = 0
    for pair in pairs:
        if pair[0] == b":path":
            break
        at += 1
    key = (*pairs[:at], at, *pairs[at + 1 :])
    like = known.get(key)
    if like is not None:
        target = str(pair[1], "latin-1")
        if _PATH.fullmatch(target):
            return like.like_it(target, length)
    head = request_head(pairs, options, ended=True, extended=extended)
    head.length = length
    if head.target[:1] == "/" and head.method != "CONNECT" and known.again(key) and _size(pairs) <= _LONGEST_HEAD:
        known[key] = head.kept()
    return head


def _size(pairs: Pairs) -> int:
    return sum(len(name) + len(value) for name, value in pairs)


def request_head(
    pairs: Iterable[tuple[bytes, bytes]], options: HeadOptions, *, ended: bool, extended: bool = False
) -> Http2Head:
    """Make the head of a request out of its fields. `ended`: no body follows. `extended`: `:protocol` was offered.

    Raises `BadRequest`.
    """
    pseudo: dict[str, str] = {}
    headers: Headers = []
    cookies: list[str] = []
    dropped: list[str] = []
    try:
        _sort(pairs, options, pseudo, headers, cookies, dropped)
        method, target = _check_pseudo(pseudo, extended)
        if cookies:
            headers.append(("cookie", "; ".join(cookies)))
        head = Http2Head(f"{method} {target} HTTP/2.0", method, target, 20, headers, first_values(headers))
        head.protocol_ = pseudo.get(":protocol", "")
        head.accept = ""
        head.dropped = tuple(dropped)
        head.keep_alive = True
        _interpret(head, pseudo.get(":authority"), options, ended)
    except BadRequest as error:
        error.line = _line(pseudo)
        error.method = _method_of(pairs)
        raise
    return head


def trailer_fields(pairs: Iterable[tuple[bytes, bytes]]) -> Headers:
    """Read the fields that came behind a body. Raises `BadRequest`."""
    found: Headers = []
    for raw_name, raw_value in pairs:
        name, value = str(raw_name, "latin-1"), str(raw_value, "latin-1")
        if not _NAME.fullmatch(name) or name in _REFUSED_IN_TRAILERS or name in _OF_A_CONNECTION:
            raise BadRequest(400, f'client sent invalid trailer: "{excerpt(name)}"')
        if CONTROL.search(value):
            raise BadRequest(400, f'client sent trailer "{excerpt(name)}" with invalid value: "{excerpt(value)}"')
        found.append((name, value))
    return found


def _sort(
    pairs: Iterable[tuple[bytes, bytes]],
    options: HeadOptions,
    pseudo: dict[str, str],
    headers: Headers,
    cookies: list[str],
    dropped: list[str],
) -> None:
    """Put each field where it belongs, looked at by itself."""
    valid = (_PLAIN_OR_UNDERSCORE if options.underscores_in_headers else _PLAIN).fullmatch
    for pair in pairs:
        known = _known.get(pair)
        if known is not None:
            if known[0] == "cookie":
                cookies.append(known[1])
            else:
                headers.append(known)
            continue
        known = _known_pseudo.get(pair)
        if known is not None and known[0] not in pseudo and not (headers or cookies or dropped):
            pseudo[known[0]] = known[1]
            continue
        raw_name, raw_value = pair
        name, value = str(raw_name, "latin-1"), str(raw_value, "latin-1")
        if CONTROL.search(value):
            raise BadRequest(400, f'client sent header "{excerpt(name)}" with invalid value: "{excerpt(value)}"')
        if name[:1] == ":":
            _pseudo(name, value, pseudo, headers, cookies, dropped)
            if len(value) <= _LONGEST:
                if len(_known_pseudo) >= _MOST:
                    _known_pseudo.clear()
                _known_pseudo[pair] = name, value
            continue
        if not valid(name):
            if not _NAME.fullmatch(name):
                raise BadRequest(400, f'client sent invalid header name: "{excerpt(name)}"')
            if options.ignore_invalid_headers:
                dropped.append(excerpt(f"{name}: {value}"))
                continue
        field = name, value.strip(" \t")
        if name == "cookie":
            cookies.append(field[1])
        else:
            headers.append(field)
        if len(value) <= _LONGEST and _PLAIN.fullmatch(name):
            if len(_known) >= _MOST:
                _known.clear()
            _known[pair] = field


def _pseudo(
    name: str, value: str, pseudo: dict[str, str], headers: Headers, cookies: list[str], dropped: list[str]
) -> None:
    if headers or cookies or dropped:
        raise BadRequest(400, "client sent out of order pseudo-headers")
    if name not in _PSEUDO:
        raise BadRequest(400, f'client sent unknown pseudo-header "{excerpt(name)}"')
    if name in pseudo:
        raise BadRequest(400, f"client sent duplicate {name} header")
    if not value and name != ":authority":
        raise BadRequest(400, f"client sent empty {name} header")
    pseudo[name] = value


def _line(pseudo: dict[str, str]) -> str:
    """Return the request line as far as it is known, for the log."""
    if ":method" in pseudo and ":path" in pseudo:
        return f"{pseudo[':method']} {pseudo[':path']} HTTP/2.0"
    return ""


def _method_of(pairs: Iterable[tuple[bytes, bytes]]) -> str:
    """Find the method of fields that were refused, wherever it stands."""
    for name, value in pairs:
        method = str(value, "latin-1")
        if name == b":method" and _METHOD.fullmatch(method):
            return method
    return ""


def _check_pseudo(pseudo: dict[str, str], extended: bool) -> tuple[str, str]:
    """Check the method and the target. A CONNECT without `:protocol` names no path (section 8.5)."""
    method = pseudo.get(":method")
    if method is None:
        raise BadRequest(400, "client sent no :method header")
    if not _METHOD.fullmatch(method):
        raise BadRequest(400, f'client sent invalid method: "{excerpt(method)}"')
    if ":protocol" in pseudo and (method != "CONNECT" or not extended):
        raise BadRequest(400, "client sent :protocol header that nobody has offered")
    if method == "CONNECT" and ":protocol" not in pseudo and ":path" not in pseudo and ":scheme" not in pseudo:
        if not _PORT.fullmatch(pseudo.get(":authority", "")):
            raise BadRequest(400, "client sent CONNECT request without a port")
        return method, "/"
    scheme, path = pseudo.get(":scheme"), pseudo.get(":path")
    if scheme is None:
        raise BadRequest(400, "client sent no :scheme header")
    if not _SCHEME.fullmatch(scheme):
        raise BadRequest(400, f'client sent invalid :scheme header: "{excerpt(scheme)}"')
    if path is None:
        raise BadRequest(400, "client sent no :path header")
    if not _PATH.fullmatch(path) and not (method == "OPTIONS" and path == "*"):
        raise BadRequest(400, f'client sent invalid :path header: "{excerpt(path)}"')
    return method, path


def _interpret(head: Http2Head, authority: str | None, options: HeadOptions, ended: bool) -> None:
    """Refuse what contradicts itself, and work out host and length."""
    fields = head.fields
    if head.repeated:
        check_unique(head.headers)
    if len(head.headers) > options.max_headers:
        raise BadRequest(494, "client sent too many header lines")
    for name, shown in _OF_A_CONNECTION.items():
        if name in fields:
            raise BadRequest(400, f'client sent "{shown}" header')
    te = head.joined("te") if "te" in fields else None
    if te is not None and te.lower() != "trailers":
        raise BadRequest(400, 'client sent invalid "TE" header')
    _interpret_host(head, authority)
    if "content-length" in fields:
        head.content_length = decimal(fields["content-length"])
        if head.content_length is None:
            raise BadRequest(400, 'client sent invalid "Content-Length" header')
        if head.content_length and ended:
            raise BadRequest(400, "client prematurely closed stream")
    elif not ended and head.method != "CONNECT":
        head.chunked = True


def _interpret_host(head: Http2Head, authority: str | None) -> None:
    """Find the host: `:authority` and Host name one and the same; either may stand alone."""
    given = head.fields.get("host")
    if authority is not None:
        host = split_host(authority)
        if host is None:
            raise BadRequest(400, 'client sent invalid ":authority" header')
        if given is not None and given != authority:
            raise BadRequest(400, 'client sent ":authority" and "Host" headers with different values')
        if given is None:
            head.headers.append(("host", authority))
            head.fields["host"] = authority
    elif given is None:
        raise BadRequest(400, 'client sent neither ":authority" nor "Host" header')
    else:
        host = split_host(given)
        if host is None:
            raise BadRequest(400, "client sent invalid host header")
    head.host, head.port = host


def as_handshake(head: Http2Head, key: str) -> Http2Head:
    """Turn an extended CONNECT for a WebSocket into HTTP/1.1's handshake for the same (RFC 8441 section 5).

    `key` is the Sec-WebSocket-Key it gets where the client sent none that can be passed on. The line stays what the
    client sent.
    """
    given = head.joined("sec-websocket-key")
    if given is not None and is_key(given):
        key = given
    headers: Headers = [pair for pair in head.headers if pair[0] != "sec-websocket-key"]
    headers += (("upgrade", "websocket"), ("connection", "Upgrade"), ("sec-websocket-key", key))
    made = Http2Head(head.line, "GET", head.target, 11, headers, first_values(headers))
    made.protocol_ = head.protocol_
    made.accept = accept_key(given) if given else ""
    made.dropped = head.dropped
    made.host, made.port = head.host, head.port
    made.length = head.length
    return made

"""The head of a proxied request: what never changes is joined when the location is first used, the rest per request.

Order, as nginx 1.31.4 and later write it: request line, Host, the headers that were set, Content-Length or
Transfer-Encoding, then the client's own headers without those that were set and without what belongs to one hop.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeAlias

from penstock.config.variables import Template
from penstock.http.fields import LOWER
from penstock.http.head import RequestHead
from penstock.http.request import Request
from penstock.http.uri import escape_uri

HOP_BY_HOP = frozenset(
    (
        "host",
        "connection",
        "proxy-connection",
        "content-length",
        "transfer-encoding",
        "te",
        "keep-alive",
        "expect",
        "upgrade",
    )
)
"""Headers of the client that concern this hop only, or that are written anew."""


@dataclass(frozen=True, slots=True)
class SetHeader:
    """One `proxy_set_header`. `empty`: it takes the header out, and sends none."""

    name: str
    value: Template
    empty: bool


Piece: TypeAlias = "str | tuple[str, Callable[[Request], str]]"


class Made:
    """What a template has made of header lines that come again: their text, and all that follows method and URI where
    no variable has a part in it. `by` stands for the template, which it must not keep alive."""

    __slots__ = ("by", "headers", "host", "tail")

    def __init__(self, by: object, headers: str) -> None:
        self.by = by
        self.headers = headers
        self.host = ""
        self.tail: str | None = None


class HeadTemplate:
    """The head of one location's requests."""

    __slots__ = (
        "_end",
        "_fixed",
        "_headers",
        "_host",
        "_mark",
        "_own_length",
        "_pass_headers",
        "_passes_upgrade",
        "_pieces",
        "_set",
        "_skip",
        "_upgrade",
    )

    def __init__(self, headers: tuple[SetHeader, ...], version: int, *, pass_headers: bool) -> None:
        self._headers = headers
        self._pass_headers = pass_headers
        self._end = " HTTP/1.1\r\n" if version == 11 else " HTTP/1.0\r\n"
        self._skip = HOP_BY_HOP | {each.name.lower() for each in headers}
        hosts = [each.value for each in headers if each.name.lower() == "host"]
        self._host = hosts[-1] if hosts else None
        """Where it evaluates to nothing, HTTP/1.1 gets the default all the same, as it must have a Host."""
        self._set = frozenset(each.name.lower() for each in headers)
        self._own_length = not self._set & {"content-length", "transfer-encoding"}
        self._upgrade = [each.value for each in headers if each.name.lower() == "upgrade" and not each.empty]
        self._passes_upgrade = any(value.text in ("$http_upgrade", "${http_upgrade}") for value in self._upgrade)
        self._pieces: list[Piece] | None = None
        self._mark = object()
        self._fixed = self._host is None and all(each.value.literal is not None for each in headers)

    def render(
        self, request: Request, method: str, uri: str, host: str, length: int | None, *, chunked: bool
    ) -> bytes:
        """The whole head. `host` is the default for Host, `length` the body's where it is known."""
        sent = request.head
        like = sent.like
        made: Made | None = None
        if like is not None and like.headers is sent.headers:
            made = like.passed
            if made is None or made.by is not self._mark:
                made = like.passed = Made(self._mark, self._passed(sent))
            if made.tail is not None and made.host == host and length is None and not chunked:
                return f"{method} {uri}{made.tail}".encode("latin-1")
        pieces = self._pieces
        if pieces is None:
            pieces = self._pieces = self._compile()
        if self._host is not None:
            own = self._host.evaluate(request)
            if own or self._end != " HTTP/1.1\r\n":
                host = own
        parts = [method, " ", uri, self._end, "Host: ", host, "\r\n"] if host else [method, " ", uri, self._end]
        for piece in pieces:
            if type(piece) is str:
                parts.append(piece)
            else:
                value = piece[1](request)  # type: ignore[operator]
                if value:
                    parts += (piece[0], value, "\r\n")
        if self._own_length:
            if chunked:
                parts.append("Transfer-Encoding: chunked\r\n")
            elif length is not None:
                parts += ("Content-Length: ", str(length), "\r\n")
        elif chunked and "transfer-encoding" not in self._set:
            parts.append("Transfer-Encoding: chunked\r\n")
        elif length is not None and not chunked and "content-length" not in self._set:
            parts += ("Content-Length: ", str(length), "\r\n")
        parts.append(self._passed(sent) if made is None else made.headers)
        parts.append("\r\n")
        if made is not None and self._fixed and length is None and not chunked:
            made.host, made.tail = host, "".join(parts[3:])
        return "".join(parts).encode("latin-1")

    def _passed(self, sent: RequestHead) -> str:
        """The client's own headers, as far as they are passed on."""
        if not self._pass_headers:
            return ""
        skip = self._skip
        keys = [LOWER[name] for name, _ in sent.headers] if sent.repeated else sent.fields
        return "".join(
            [f"{name}: {value}\r\n" for key, (name, value) in zip(keys, sent.headers, strict=True) if key not in skip]
        )

    def _compile(self) -> list[Piece]:
        """Literal headers joined, the others as name and getter."""
        pieces: list[Piece] = []
        for header in self._headers:
            if header.empty or header.name.lower() == "host":
                continue
            literal = header.value.literal
            if literal is None:
                pieces.append((f"{header.name}: ", header.value.evaluate))
                continue
            line = f"{header.name}: {literal}\r\n"
            if pieces and isinstance(pieces[-1], str):
                pieces[-1] += line
            else:
                pieces.append(line)
        return pieces

    def sends(self, request: Request, name: str) -> bool:
        """Whether the backend gets an Upgrade header with this request, which has one."""
        if self._passes_upgrade and request.head.fields["upgrade"]:
            return True
        for value in self._upgrade:  # noqa: SIM110  `any` would leave a generator behind that has to be ended
            if value.evaluate(request):
                return True
        return False


def build_uri(request: Request, uri: str, location: str, *, variables: bool) -> str:
    """The URI a backend sees (ngx_http_proxy_create_request). `uri` is `proxy_pass`'s own, "" if it has none.

    With variables and a URI it is that, as it is. Without a URI it is what the client sent, unless that was rewritten.
    Otherwise `uri` takes the place of the location's name.
    """
    if uri:
        if variables:
            return uri
    elif request.valid_unparsed:
        return request.head.target
    path = request.uri
    prefix = ""
    if uri and request.valid_location:
        prefix = uri
        path = path[len(location) :]
    if request.internal or "%" in request.head.target:
        path = escape_uri(path)
    if request.args:
        return f"{prefix}{path}?{request.args}"
    return prefix + path

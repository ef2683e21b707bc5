"""The head of a proxied request: what never changes is joined when the location is first used, the rest per request.

Order, as nginx 1.31.4 and later write it: request line, Host, the headers that were set, Content-Length or
Transfer-Encoding, then the client's own headers without those that were set and without what belongs to one hop.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeAlias

from penstock.config.variables import Inline, Template
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


Piece: TypeAlias = "str | tuple[str, Callable[[Request], str], str]"
"""Literal lines; or a name, what gets its value, and how that was written."""
WriteHead: TypeAlias = "Callable[[Request, str], bytes]"
"""Writes the head of a request with that URI."""


class WrittenHeaders:
    """What a template has made of header lines that come again: their text, and all that follows method and URI where
    no variable has a part in it. `by` stands for the template, which it must not keep alive.

    Where some values are each request's own, the text ends before the first, and `pieces` are their names in lower case
    and what follows each.
    """

    __slots__ = ("by", "headers", "host", "pieces", "tail")

    def __init__(self, by: object, texts: list[str], names: list[str]) -> None:
        self.by = by
        self.headers = texts[0]
        self.pieces = tuple(zip(names, texts[1:], strict=True))
        self.host = ""
        self.tail: str | None = None

    def filled(self, text: str, fields: dict[str, str]) -> str:
        """Return `headers`, or `tail`, with the values of one request."""
        for name, after in self.pieces:
            text = f"{text}{fields[name]}{after}"
        return text


class HeadTemplate:
    """The head of one location's requests."""

    __slots__ = (
        "_connection",
        "_end",
        "_headers",
        "_host",
        "_mark",
        "_own_length",
        "_pass_headers",
        "_passes_upgrade",
        "_pieces",
        "_same",
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
        self._connection = tuple(
            each.value for each in headers if each.name.lower() == "connection" and _may_promise(each.value)
        )
        self._passes_upgrade = any(value.text in ("$http_upgrade", "${http_upgrade}") for value in self._upgrade)
        self._pieces: list[Piece] | None = None
        self._mark = object()
        self._same: bool | None = None

    def render(
        self, request: Request, method: str, uri: str, host: str, length: int | None, *, chunked: bool
    ) -> bytes:
        """Write the whole head. `host` is the default for Host, `length` the body's where it is known."""
        sent = request.head
        like = sent.like
        made: WrittenHeaders | None = None
        if like is not None:
            made = like.passed
            if made is None or made.by is not self._mark:
                made = like.passed = WrittenHeaders(self._mark, *self._parts(like))
            if made.tail is not None and made.host == host and length is None and not chunked:
                return f"{method} {uri}{made.filled(made.tail, sent.fields)}\r\n".encode("latin-1")
        pieces, default = self._pieces, host
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
        if made is not None and length is None and not chunked and self._is_same:
            made.host, made.tail = default, "".join((*parts[3:], made.headers))
        parts.append(self._passed(sent) if made is None else made.filled(made.headers, sent.fields))
        parts.append("\r\n")
        return "".join(parts).encode("latin-1")

    @property
    def _is_same(self) -> bool:
        """Whether requests with the same header lines all get the same from here, but for method and URI."""
        if self._same is None:
            host = self._host is None or self._host.of_lines
            self._same = host and all(each.value.of_lines for each in self._headers)
        return self._same

    def writer(self, host: str) -> WriteHead:
        """Make the function that writes the head of a GET without a body, for the default `host`."""
        # Any: the names that generated code sees.
        known: dict[str, Any] = {"render": self.render, "mark": self._mark, "skip": self._skip, "keys": _keys}
        exec(self.source(host, known), known)
        # Taken out: what is in its own globals would never be freed without a search for cycles.
        made: WriteHead = known.pop("write_head")
        return made

    def source(self, host: str, known: dict[str, Any], name: str = "write_head") -> str:
        """Write that function's source, under a name. Of a configuration there are only texts in it, quoted; `known`
        gets the templates that its names stand for."""
        values: list[str] = []
        shape = ""
        if self._host is not None:
            known["host_of"] = self._host.evaluate
            mandatory = self._end == " HTTP/1.1\r\n"
            asked = f"host_of(request) or {host!r}" if mandatory else "host_of(request)"
            values.append(f"host = {asked}  # {self._host.text!a}")
            values.append('host = f"Host: {host}\\r\\n" if host else ""')
            shape = "{host}"
        elif host:
            shape = _quoted(f"Host: {host}\r\n")
        for at, piece in enumerate(self._compile()):
            if isinstance(piece, str):
                shape += _quoted(piece)
                continue
            title, known[f"value{at}"], written = piece
            inline: Inline | None = getattr(piece[1], "inline", None)
            asked = "get(request)" if inline is None else inline.expression
            values.append(f"line{at} = {asked.replace('get(request)', f'value{at}(request)')}  # {written!a}")
            values.append(f'line{at} = f"{_quoted(title)}{{line{at}}}\\r\\n" if line{at} else ""')
            shape += f"{{line{at}}}"
        passed = '""'
        if self._pass_headers:
            pairs = "zip(keys(head) if head.repeated else head.fields, head.headers)"
            passed = f'"".join([f"{{name}}: {{value}}\\r\\n" for key, (name, value) in {pairs} if key not in skip])'
        remembered = [
            "    if like is not None:",
            "        made = like.passed",
            "        if made is None or made.by is not mark:",
            f'            return render(request, "GET", uri, {host!r}, None, chunked=False)',
            *(
                (
                    f"        if made.tail is None or made.host != {host!r}:",
                    f'            return render(request, "GET", uri, {host!r}, None, chunked=False)',
                    "        tail = made.filled(made.tail, head.fields) if made.pieces else made.tail",
                    '        return f"GET {uri}{tail}\\r\\n".encode("latin-1")',
                )
                if self._is_same
                else ("        passed = made.filled(made.headers, head.fields) if made.pieces else made.headers",)
            ),
        ]
        otherwise = [f"    passed = {passed}"] if self._is_same else ["    else:", f"        passed = {passed}"]
        lines = [
            f"def {name}(request, uri):",
            "    head = request.head",
            *(["    fields = head.fields"] if any("fields" in value for value in values) else []),
            "    like = head.like  # the same header lines came before",
            *remembered,
            *otherwise,
            *(f"    {value}" for value in values),
            f'    return f"GET {{uri}}{_quoted(self._end)}{shape}{{passed}}\\r\\n".encode("latin-1")',
        ]
        return "\n".join(lines) + "\n"

    def _passed(self, sent: RequestHead) -> str:
        """The client's own headers, as far as they are passed on."""
        if not self._pass_headers:
            return ""
        skip = self._skip
        keys = [LOWER[name] for name, _ in sent.headers] if sent.repeated else sent.fields
        return "".join(
            [f"{name}: {value}\r\n" for key, (name, value) in zip(keys, sent.headers, strict=True) if key not in skip]
        )

    def _parts(self, like: RequestHead) -> tuple[list[str], list[str]]:
        """The same of a head that others are like: in pieces, and the names whose values go between them."""
        if not like.own:
            return [self._passed(like)], []
        own = {name for _, name, _ in like.own}
        texts, names = [""], []
        for key, (name, value) in zip(like.fields, like.headers, strict=True):
            if self._pass_headers and key not in self._skip:
                texts[-1] += f"{name}: {value}"
                if key in own:
                    names.append(key)
                    texts.append("")
                texts[-1] += "\r\n"
        return texts, names

    def _compile(self) -> list[Piece]:
        """Literal headers joined, the others as name and getter."""
        pieces: list[Piece] = []
        for header in self._headers:
            if header.empty or header.name.lower() == "host":
                continue
            literal = header.value.literal
            if literal is None:
                pieces.append((f"{header.name}: ", header.value.evaluate, header.value.text))
                continue
            line = f"{header.name}: {literal}\r\n"
            if pieces and isinstance(pieces[-1], str):
                pieces[-1] += line
            else:
                pieces.append(line)
        return pieces

    @property
    def passes_upgrade(self) -> bool:
        """Return whether the client's Upgrade header is passed on as it is."""
        return self._passes_upgrade

    @property
    def may_promise(self) -> bool:
        """Return whether the head may say `Connection: upgrade`."""
        return bool(self._connection)

    def tears(self, request: Request) -> bool:
        """Return whether the head says `Connection: upgrade` without an Upgrade."""
        for value in self._connection:
            if _promises(value.evaluate(request)):
                return not self._upgrade or not self.sends(request, "upgrade")
        return False

    @property
    def may_upgrade(self) -> bool:
        """Return whether an Upgrade header can come of the template."""
        return bool(self._upgrade)

    def sends(self, request: Request, name: str) -> bool:
        """Return whether the backend gets an Upgrade header with this request."""
        if self._passes_upgrade and request.head.fields.get("upgrade"):
            return True
        for value in self._upgrade:  # noqa: SIM110  `any` would leave a generator behind that has to be ended
            if value.evaluate(request):
                return True
        return False


def _keys(head: RequestHead) -> list[str]:
    return [LOWER[name] for name, _ in head.headers]


def _quoted(text: str) -> str:
    """A text as it stands between the double quotes of an f-string."""
    return repr(text)[1:-1].replace('"', '\\"').replace("{", "{{").replace("}", "}}")


def _may_promise(value: Template) -> bool:
    return value.literal is None or _promises(value.literal)


def _promises(connection: str) -> bool:
    """Whether the value of a Connection header names an upgrade."""
    lower = connection.lower()
    return "upgrade" in lower and "upgrade" in [token.strip(" \t") for token in lower.split(",")]


def build_uri(request: Request, uri: str, location: str, *, variables: bool) -> str:
    """Build the URI a backend sees (ngx_http_proxy_create_request). `uri` is `proxy_pass`'s own, "" if it has none.

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
    if request.internal or ("%" in request.head.target and "%" in request.head.target.partition("?")[0]):
        path = escape_uri(path)  # what came unescaped goes on unescaped
    if request.args:
        return f"{prefix}{path}?{request.args}"
    return prefix + path

"""Which pages may open WebSockets here: `websocket_origins`.

A browser sends cookies with a handshake whichever page opens it, and asks nobody before (no CORS): without a look at
Origin, every page in the world acts in the name of whoever visits it. Clients that are no browsers send no Origin, or
whatever they like; they are none of this module's business.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import NamedTuple

from penstock.config.kinds import custom
from penstock.config.regex.pcre import Regex
from penstock.config.regex.regex import MatchFailed
from penstock.config.registry import HTTP_LEVELS
from penstock.config.scope import Call
from penstock.config.settings import Settings, directive, phase
from penstock.config.tree import Word
from penstock.http.errors import excerpt
from penstock.http.host import split_host
from penstock.http.request import Answer, Outcome, Request
from penstock.modules.core.hints import may_hint
from penstock.modules.core.locations import regex
from penstock.modules.websocket.websocket import asks, has_refused, refuse
from penstock.observe.errorlog import ALERT, ERROR, NOTICE, report
from penstock.plan import phases

MODULE = "websocket_origins"

SAME_HOST = "same-host"
ADVISED = "foreign origin"
USUAL_PORTS = {"http": 80, "https": 443, "ws": 80, "wss": 443}
_ORIGIN = re.compile(r"([a-z][a-z0-9+.-]*)://(\[[0-9a-f:.]+\]|[a-z0-9._~%-]+)(?::([0-9]{1,5}))?", re.ASCII)
_PATTERN = re.compile(
    r"(?:([a-z][a-z0-9+.-]*)://)?(\[[0-9a-f:.]+\]|(?:\*\.|\.)?[a-z0-9._~%-]+|\*)(?::([0-9]{1,5}|\*))?", re.ASCII
)


class Origin(NamedTuple):
    """An Origin header taken apart (RFC 6454), in lower case. `port` is the scheme's own where none is written."""

    scheme: str
    host: str
    port: int


def parse_origin(text: str) -> Origin | None:
    """Parse an origin; None for what is none, `null` included."""
    match = _ORIGIN.fullmatch(text.lower())
    if match is None:
        return None
    scheme, host, port = match.groups()
    return Origin(scheme, host.removesuffix("."), int(port) if port else USUAL_PORTS.get(scheme, 0))


@dataclass(frozen=True, slots=True)
class Allowed:
    """One origin that is let in. Empty parts stand for any; `host` may begin with `*.` (below it) or `.` (or it)."""

    scheme: str
    host: str
    port: str

    def admits(self, origin: Origin) -> bool:
        """Return whether an origin is this one."""
        if self.scheme and self.scheme != origin.scheme:
            return False
        if self.port != "*":
            wanted = int(self.port) if self.port else USUAL_PORTS.get(origin.scheme, 0)
            if origin.port != wanted:
                return False
        host = self.host
        if host == "*":
            return True
        if host.startswith("*."):
            return origin.host.endswith(host[1:])
        if host.startswith("."):
            return origin.host.endswith(host) or origin.host == host[1:]
        return origin.host == host


@dataclass(frozen=True, slots=True)
class Origins:
    """A `websocket_origins` directive. `words` is how it was written, for the log."""

    words: str
    listed: tuple[Allowed, ...]
    patterns: tuple[Regex, ...]
    same_host: bool
    null: bool
    missing: bool

    def admit(self, request: Request, given: str | None) -> bool:
        """Return whether a handshake with this Origin is let in."""
        if given is None:
            return self.missing
        if given == "null" and self.null:
            return True
        try:
            if any(pattern.match(given) is not None for pattern in self.patterns):
                return True
        except MatchFailed as error:
            report(request, ALERT, str(error))
            return False
        origin = parse_origin(given)
        if origin is None:
            return False
        if self.same_host and is_same_host(origin, request):
            return True
        return any(each.admits(origin) for each in self.listed)


def is_same_host(origin: Origin, request: Request) -> bool:
    """Return whether an origin is the host that the request is for. A proxy before us may have taken TLS off: where
    Host names no port, the origin may be that of http or of https."""
    asked = split_host(request.head.fields.get("host", ""))
    if asked is None or asked[0] != origin.host:
        return False
    port = asked[1]
    return origin.port == port if port else origin.port == USUAL_PORTS.get(origin.scheme)


def _origins(call: Call) -> Origins | None:
    if [word.text for word in call.args] == ["off"]:
        return None
    listed: list[Allowed] = []
    patterns: list[Regex] = []
    same_host = null = False
    missing = True
    for word in call.args:
        text = word.text
        if text in ("missing=allow", "missing=deny"):
            missing = text == "missing=allow"
        elif text == SAME_HOST:
            same_host = True
        elif text == "null":
            null = True
        elif text.startswith("~") and len(text) > 1:
            # The whole origin: where a part were enough, example.com would let example.com.evil in.
            patterns.append(regex(call.scope, word._replace(text=f"^(?:{text[1:]})$"), caseless=True))
        else:
            listed.append(_allowed(call, word))
    if not (listed or patterns or same_host or null):
        raise call.fail(f'"{call.name}" lists no origin', hint="same-host, https://example.com, *.example.com ...")
    shown = " ".join(word.text for word in call.args if not word.text.startswith("missing="))
    return Origins(shown, tuple(listed), tuple(patterns), same_host, null, missing)


def _allowed(call: Call, word: Word) -> Allowed:
    match = _PATTERN.fullmatch(word.text.lower())
    if match is None:
        hint = "an origin has no path" if "/" in word.text.partition("://")[2] else "write: https://example.com"
        raise call.fail(f'invalid origin "{word.text}"', word, hint=hint)
    scheme, host, port = match.groups()
    return Allowed(scheme or "", host, port or ("*" if host == "*" and not scheme else ""))


def advise(request: Request) -> None:
    """Say once in a location that pages of another host open WebSockets there: a backend took such a handshake, and
    nobody here looks at Origin. It may be meant so."""
    notes = request.location.notes
    given = request.head.joined("origin")
    if given is None or ADVISED in notes or request.location[WebSocketOrigins].allowed is not None:
        return
    origin = parse_origin(given)
    if origin is not None and is_same_host(origin, request):
        return
    notes.add(ADVISED)
    if not may_hint(request, ADVISED):
        return
    host = excerpt(request.head.fields.get("host", ""))
    report(
        request,
        NOTICE,
        f"a page of {excerpt(given)} opened a WebSocket for Host {host}, and the backend took it: if only pages of "
        "this host may, write websocket_origins same-host",
    )


class WebSocketOrigins(Settings):
    """Handshakes from other pages get 403, with a line in the log that says what was sent and what would do."""

    allowed: Origins | None = directive(
        "websocket_origins",
        where=HTTP_LEVELS,
        takes=custom(_origins, most=None, syntax="origin ... | same-host | null | ~regex [missing=allow|deny] | off"),
        shown="off",
        doc="Pages whose WebSockets are let in: `same-host`, `https://example.com`, `*.example.com` (any scheme), "
        "`localhost:*`, a regular expression for the whole of it. Handshakes without an Origin are let in unless "
        "`missing=deny`.",
    )

    @phase(phases.PREACCESS, when=lambda self: self.allowed is not None)
    def check(self, request: Request) -> Outcome:
        """Refuse strangers."""
        if request.parent is not None or has_refused(request) or not asks(request):
            return None
        return self.judge(request)

    def judge(self, request: Request) -> Answer | None:
        """Refuse a handshake that a strange page has begun."""
        origins = self.allowed
        if origins is None:
            return None
        given = request.head.joined("origin")
        if origins.admit(request, given):
            return None
        sent = "sent no Origin" if given is None else f"came from {excerpt(given)}"
        host = f", for Host {excerpt(request.head.fields.get('host', ''))}" if origins.same_host else ""
        said = f"WebSocket handshake refused: it {sent}{host}, and websocket_origins allows: {origins.words}"
        return refuse(request, 403, "this page may not open WebSockets here", said=said, level=ERROR)

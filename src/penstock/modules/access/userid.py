"""A cookie that tells browsers apart (nginx: ngx_http_userid_module)."""

from __future__ import annotations

import ipaddress
import os
import re
import sys
import time
from base64 import b64decode, b64encode
from itertools import count

from penstock.config.key import Key
from penstock.config.kinds import choice, choices, custom, either, number, text, whole_seconds
from penstock.config.registry import HTTP_LEVELS
from penstock.config.scope import Call, Scope
from penstock.config.settings import Settings, directive, phase, united
from penstock.config.variables import variable
from penstock.http.dates import cookie_date
from penstock.http.request import Answer, Request
from penstock.modules.core.variables import cookie
from penstock.observe.errorlog import ERROR, NOTICE, report
from penstock.plan import phases

PAGE = "ngx_http_userid_module.html"
CONTEXT: Key[Visit] = Key("userid")
RESET = "uid_reset"
"""A variable which `set` or `map` may define: not empty and not 0 asks for a new identifier, `log` also logs that."""

FOR_EVER = "Thu, 31-Dec-37 23:55:55 GMT"
FLAGS = ("secure", "httponly", "samesite=strict", "samesite=lax", "samesite=none")
_MAX = -1
_CODED = 22
"""Characters of 16 bytes in base64, without what fills them up: there a mark may stand."""

_BASE64 = re.compile(r"[A-Za-z0-9+/]*", re.ASCII)
_serial_v1 = count(1, 0x100)
_serial = count(0x03030302, 0x100)


def _mark(call: Call) -> str:
    word = call.args[0]
    if word.text == "off":
        return ""
    if not re.fullmatch("[0-9A-Za-z=]", word.text, re.ASCII):
        raise call.fail('"userid_mark" value must be "off" or a single letter, digit or "="', word)
    return word.text


class UserId(Settings):
    """`on` gives an identifier to who has none, `log` only reads those that are there, `v1` is an older form."""

    mode: str = directive(
        "userid", where=HTTP_LEVELS, takes=choice("off", "log", "v1", "on"), default="off", nginx=PAGE
    )
    service: int | None = directive("userid_service", where=HTTP_LEVELS, takes=number, nginx=PAGE)
    name: str = directive("userid_name", where=HTTP_LEVELS, takes=text, default="uid", nginx=PAGE)
    domain: str = directive(
        "userid_domain", where=HTTP_LEVELS, takes=either("none", "", text), default="", nginx=PAGE, shown="none"
    )
    path: str = directive("userid_path", where=HTTP_LEVELS, takes=text, default="/", nginx=PAGE)
    expires: int = directive(
        "userid_expires",
        where=HTTP_LEVELS,
        takes=either("max", _MAX, either("off", 0, whole_seconds)),
        default=0.0,
        nginx=PAGE,
        shown="off",
    )
    flags: frozenset[str] = directive(
        "userid_flags",
        where=HTTP_LEVELS,
        takes=choices("off", *FLAGS),
        default=frozenset(),
        nginx=PAGE,
        shown="off",
        again=united,
    )
    p3p: str = directive(
        "userid_p3p", where=HTTP_LEVELS, takes=either("none", "", text), default="", nginx=PAGE, shown="none"
    )
    mark: str = directive(
        "userid_mark", where=HTTP_LEVELS, takes=custom(_mark, syntax="letter | digit | = | off"), default="", nginx=PAGE
    )

    def finish(self, scope: Scope) -> None:
        self.read = cookie(self.name.lower())
        self.variables = scope.compilation.variables

    @phase(phases.HEADERS, when=lambda self: self.mode in ("on", "v1"))
    def give(self, request: Request, answer: Answer) -> None:
        """Set the cookie, where there is none, or none with the mark."""
        if request.parent is not None:
            return
        visit = self.visit(request)
        visit.identify(self, request)
        if not visit.set:
            return
        answer.headers.append(("Set-Cookie", self._cookie(visit)))
        if self.p3p:
            answer.headers.append(("P3P", self.p3p))

    def visit(self, request: Request) -> Visit:
        """Return what is known of the client by its cookie; read from the request when it is first asked for."""
        return request.main.context(CONTEXT, lambda: Visit(self, request.main))

    def _cookie(self, visit: Visit) -> str:
        coded = b64encode(visit.set).decode("ascii")
        if self.mark:
            coded = f"{coded[:_CODED]}{self.mark}="
        parts = [f"{self.name}={coded}"]
        if self.expires == _MAX:
            parts.append(f"expires={FOR_EVER}")
        elif self.expires:
            parts.append(f"expires={cookie_date(int(time.time()) + self.expires)}")
        if self.domain:
            parts.append(f"domain={self.domain}")
        parts.append(f"path={self.path}")
        parts += [flag for flag in FLAGS if flag in self.flags]
        return "; ".join(parts)


class Visit:
    """`got` is the identifier that came, `set` the one that will be given; both empty or 16 bytes."""

    __slots__ = ("cookie", "got", "set")

    def __init__(self, settings: UserId, request: Request) -> None:
        self.cookie = settings.read(request) or ""
        self.got = b""
        self.set = b""
        if not self.cookie:
            return
        coded = self.cookie[:_CODED]
        if len(coded) < _CODED:
            report(request, ERROR, f'client sent too short userid cookie "{request.head.joined("cookie")}"')
        elif not _BASE64.fullmatch(coded):
            report(request, ERROR, f'client sent invalid userid cookie "{request.head.joined("cookie")}"')
        else:
            got = b64decode(coded + "==")
            self.got = got if any(got[12:]) else b""

    def identify(self, settings: UserId, request: Request) -> None:
        """Decide on the identifier to give, if one is to be given."""
        if self.set:
            return
        if self.got:
            get = settings.variables.look_up(RESET)
            reset = (get(request) if get is not None else "") or ""
            if reset in ("", "0"):
                marked = self.cookie[_CODED : _CODED + 2] == f"{settings.mark}="
                if settings.mark and not marked:
                    self.set = self.got
                return
            if reset == "log":
                report(request, NOTICE, f'userid cookie "{settings.name}={shown(self.got)}" was reset')
        self.set = _fresh(settings, request)


def _fresh(settings: UserId, request: Request) -> bytes:
    """A new identifier: of a server, of a second, of a process and its clock, and a number within it."""
    process = (time.monotonic_ns() // 20000 & 0xFFFF) << 16 | os.getpid() & 0xFFFF
    now = int(time.time()) & 0xFFFFFFFF
    if settings.mode == "v1":
        first = (settings.service or 0).to_bytes(4, sys.byteorder)
        words = (now, process, next(_serial_v1) & 0xFFFFFFFF)
        return first + b"".join(word.to_bytes(4, sys.byteorder) for word in words)
    service = settings.service
    first = _local(request) if service is None else (service & 0xFFFFFFFF).to_bytes(4, "big")
    words = (now, process, next(_serial) & 0xFFFFFFFF)
    return first + b"".join(word.to_bytes(4, "big") for word in words)


def _local(request: Request) -> bytes:
    """The last four bytes of the address that was reached."""
    try:
        return ipaddress.ip_address(request.connection.local_address.partition("%")[0]).packed[-4:]
    except ValueError:
        return bytes(4)  # a unix socket


def shown(identifier: bytes) -> str:
    """Write an identifier as 32 hexadecimal digits, in the order nginx's log has them."""
    return "".join(f"{int.from_bytes(identifier[at : at + 4], sys.byteorder):08X}" for at in (0, 4, 8, 12))


@variable(RESET, changeable=True)
def uid_reset(request: Request) -> None:
    """Empty, until the configuration gives it a value."""


@variable("uid_got")
def uid_got(request: Request) -> str | None:
    """The name of the cookie and the identifier that came."""
    settings = request.main.location[UserId]
    if settings.mode == "off":
        return None
    got = settings.visit(request).got
    return f"{settings.name}={shown(got)}" if got else None


@variable("uid_set")
def uid_set(request: Request) -> str | None:
    """The name of the cookie and the identifier that is given."""
    settings = request.main.location[UserId]
    if settings.mode not in ("on", "v1"):
        return None
    visit = settings.visit(request)
    visit.identify(settings, request.main)
    return f"{settings.name}={shown(visit.set)}" if visit.set else None

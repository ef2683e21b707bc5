"""Links that nobody can make up, and that end at a time: `secure_link` (nginx: ngx_http_secure_link_module)."""

from __future__ import annotations

import hashlib
import hmac
import re
from base64 import urlsafe_b64decode
from time import time

from penstock.config.errors import ConfigError
from penstock.config.kinds import template, text
from penstock.config.registry import HTTP_LEVELS
from penstock.config.scope import Scope
from penstock.config.settings import Settings, directive
from penstock.config.variables import Template, variable
from penstock.http.request import Request

PAGE = "ngx_http_secure_link_module.html"
LONGEST = 24
"""Characters of an MD5 sum in base64, with their padding."""
_sum = re.compile(r"([A-Za-z0-9_-]{22})(?:=.*)?", re.ASCII | re.DOTALL).fullmatch
_old = re.compile(r"/[^/]*/([0-9A-Fa-f]{32})/(.+)", re.ASCII | re.DOTALL).fullmatch


class SecureLink(Settings):
    """Where a request carries its sum, and what it is the sum of."""

    link: Template | None = directive(
        "secure_link",
        where=HTTP_LEVELS,
        takes=template,
        nginx=PAGE,
        doc="The sum, and after a comma the second since 1970 at which it ends.",
    )
    md5: Template | None = directive("secure_link_md5", where=HTTP_LEVELS, takes=template, nginx=PAGE)
    secret: str | None = directive("secure_link_secret", where=HTTP_LEVELS, takes=text, nginx=PAGE)

    def finish(self, scope: Scope) -> None:
        """Choose between both ways. Raises `ConfigError` where a level has both."""
        own = scope.own.get(SecureLink, {})
        if "secret" in own and own.keys() & {"link", "md5"}:
            raise ConfigError(
                '"secure_link_secret" cannot be mixed with "secure_link" and "secure_link_md5"', self.origin("secret")
            )
        if "secret" not in own and (self.link is not None or self.md5 is not None):
            self.secret = None

    def judge(self, request: Request) -> str | None:
        """Judge a link: "1" for a good one, "0" for one that has ended, None for all else; the rest of the path with a
        secret."""
        if self.secret is not None:
            return _rest(request, self.secret)
        if self.link is None or self.md5 is None:
            return None
        given, comma, until = self.link.evaluate(request).partition(",")
        if comma and not _ends(until):
            return None
        match = _sum(given) if len(given) <= LONGEST else None
        if match is None:
            return None
        wanted = hashlib.md5(self.md5.evaluate(request).encode("latin-1"), usedforsecurity=False).digest()
        if not hmac.compare_digest(urlsafe_b64decode(match[1] + "=="), wanted):
            return None
        return "0" if comma and int(until) < time() else "1"


def _ends(until: str) -> bool:
    return until.isdecimal() and len(until) <= 18 and int(until) > 0


def _rest(request: Request, secret: str) -> str | None:
    match = _old(request.head.target)
    if match is None:
        return None
    rest: str = match[2]
    wanted = hashlib.md5((rest + secret).encode("latin-1"), usedforsecurity=False).hexdigest()
    return rest if hmac.compare_digest(match[1].lower(), wanted) else None


@variable("secure_link")
def secure_link(request: Request) -> str | None:
    """What the check of a link says."""
    return request.location[SecureLink].judge(request)


@variable("secure_link_expires")
def secure_link_expires(request: Request) -> str | None:
    """When a link ends, as it says itself."""
    settings = request.location[SecureLink]
    if settings.secret is not None or settings.link is None or settings.md5 is None:
        return None
    _, comma, until = settings.link.evaluate(request).partition(",")
    return until if comma and _ends(until) else None

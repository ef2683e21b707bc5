"""Whether a client gets gzip: `gzip_vary`, `gzip_proxied`, ... (nginx: ngx_http_gzip_ok of ngx_http_core_module)."""

from __future__ import annotations

import re
from time import time

from penstock.config.kinds import choices, custom, flag
from penstock.config.regex.regex import MatchFailed, Regex
from penstock.config.registry import HTTP_LEVELS
from penstock.config.scope import Call
from penstock.config.settings import Settings, added, directive, united
from penstock.http.dates import parse_date
from penstock.http.request import Answer, Request
from penstock.modules.core.locations import compiled
from penstock.modules.core.user_agent import is_msie6
from penstock.observe.errorlog import ALERT, report

PAGE = "ngx_http_gzip_module.html"
MSIE6 = "msie6"
VARY = ("Vary", "Accept-Encoding")
_ASKED = {
    coding: re.compile(rf"(?:^|[, ]){coding} *(?:,|$|; *(?:$|q=(?P<quality>[^, ]*)))", re.IGNORECASE | re.ASCII).search
    for coding in ("gzip", "br")
}
_MORE_THAN_NOTHING = re.compile(r"1(?:\.0{0,3})?|0\.(?!0*$)[0-9]{1,3}", re.ASCII).fullmatch


def _version(call: Call) -> int:
    text = call.args[0].text
    if text not in ("1.0", "1.1"):
        raise call.fail(f'invalid value "{text}"', call.args[0], hint="it may be: 1.0, 1.1")
    return 10 if text == "1.0" else 11


def _disabled(call: Call) -> tuple[Regex | str, ...]:
    made: list[Regex | str] = []
    for word in call.args:
        if word.text == MSIE6:
            made.append(MSIE6)
            continue
        made.append(compiled(call.scope, word, caseless=True))
    return tuple(made)


class GzipAccepted(Settings):
    """Who may have gzip, beside saying so in Accept-Encoding."""

    vary: bool = directive("gzip_vary", where=HTTP_LEVELS, takes=flag, default=False, nginx=PAGE)
    version: int = directive(
        "gzip_http_version",
        where=HTTP_LEVELS,
        takes=custom(_version, syntax="1.0 | 1.1"),
        default=11,
        nginx=PAGE,
        shown="1.1",
    )
    proxied: frozenset[str] = directive(
        "gzip_proxied",
        where=HTTP_LEVELS,
        takes=choices(
            "off", "expired", "no-cache", "no-store", "private", "no_last_modified", "no_etag", "auth", "any"
        ),
        default=frozenset({"off"}),
        nginx=PAGE,
        shown="off",
        doc="Requests with a Via header come through a proxy: which of them get gzip.",
        again=united,
    )
    disable: tuple[Regex | str, ...] = directive(
        "gzip_disable",
        where=HTTP_LEVELS,
        takes=custom(_disabled, most=None, syntax="regex ..."),
        default=(),
        nginx=PAGE,
        doc="`msie6` stands for Internet Explorer up to 6, without service pack 2.",
        again=added,
    )

    def accepted(self, request: Request, answer: Answer | None) -> bool:
        """Return whether the client of a request takes gzip, and may have it. `answer` is the answer as far as it is
        known."""
        fields = request.head.fields
        wanted = fields.get("accept-encoding")
        if wanted is None or request.parent is not None or request.head.version < self.version:
            return False
        if not wanted.startswith("gzip,") and not asks_for("gzip", wanted):
            return False
        if "via" in fields and not self._through_proxy(request, answer):
            return False
        agent = fields.get("user-agent")
        try:
            return agent is None or not any(_is(agent, browser) for browser in self.disable)
        except MatchFailed as error:
            report(request, ALERT, str(error))
            return False

    def announce(self, answer: Answer) -> None:
        """Tell caches that other clients get another body."""
        if self.vary and VARY not in answer.headers:
            answer.headers.insert(0, VARY)

    def _through_proxy(self, request: Request, answer: Answer | None) -> bool:
        kinds = self.proxied
        if "off" in kinds:
            return False
        if "any" in kinds or ("auth" in kinds and "authorization" in request.head.fields):
            return True
        if answer is None:
            return True
        expires = answer.header("expires")
        if expires is not None:
            date = parse_date(expires)
            return "expired" in kinds and date is not None and date < time()
        control = ",".join(value for name, value in answer.headers if name.lower() == "cache-control")
        if control:
            said = {word.strip().partition("=")[0].lower() for word in control.split(",")}
            return bool(said & kinds & {"no-cache", "no-store", "private"})
        if "no_last_modified" in kinds and answer.last_modified is not None:
            return False
        return not ("no_etag" in kinds and answer.etag is not None)


def asks_for(coding: str, wanted: str) -> bool:
    """Return whether an Accept-Encoding asks for a coding, `gzip` or `br`.

    A quality of nothing is no wish (RFC 9110, section 12.5.3)."""
    found = _ASKED[coding](wanted)
    if found is None:
        return False
    quality = found["quality"]
    return quality is None or _MORE_THAN_NOTHING(quality) is not None


def _is(agent: str, browser: Regex | str) -> bool:
    if isinstance(browser, str):
        return is_msie6(agent)
    return browser.match(agent) is not None

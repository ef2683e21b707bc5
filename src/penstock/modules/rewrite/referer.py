"""Where a request was linked from: `valid_referers` and `$invalid_referer` (nginx: ngx_http_referer_module)."""

from __future__ import annotations

from penstock.config.errors import ConfigError
from penstock.config.host_names import HostNames, is_mask_or_name
from penstock.config.kinds import custom
from penstock.config.regex.pcre import Regex
from penstock.config.regex.regex import MatchFailed
from penstock.config.registry import LOCATION, SERVER, inert
from penstock.config.scope import Call, Scope
from penstock.config.settings import Settings, directives
from penstock.config.source import Span
from penstock.config.tree import Word
from penstock.config.variables import variable
from penstock.http.request import Request
from penstock.modules.core.locations import regex
from penstock.modules.core.server_blocks import NAMES
from penstock.modules.rewrite.map import lower
from penstock.observe.errorlog import ALERT, report

PAGE = "ngx_http_referer_module.html"
LONGEST_HOST = 256
SHORTEST = len("http://i.ru")
KEYWORDS = ("none", "blocked", "server_names")


def _referers(call: Call) -> tuple[Word | Regex, ...]:
    found: list[Word | Regex] = []
    for word in call.args:
        if not word.text:
            raise call.fail('invalid referer ""', word)
        if not word.text.startswith("~"):
            found.append(word)
        elif len(word.text) == 1:
            raise call.fail(f'empty regex in "{word.text}"', word)
        else:
            found.append(regex(call.scope, word._replace(text=word.text[1:]), caseless=True))
    return tuple(found)


class Referers(Settings):
    """Who may link here. Whoever wants to can send any Referer: this keeps away only what comes by itself."""

    given: tuple[tuple[Word | Regex, ...], ...] = directives(
        "valid_referers",
        where=SERVER | LOCATION,
        takes=custom(_referers, most=None, syntax="none | blocked | server_names | string ..."),
        nginx=PAGE,
    )

    def finish(self, scope: Scope) -> None:
        """Sort the words into hosts, regular expressions and names of the server."""
        self.hosts: HostNames[str] = HostNames()
        """The path that a referer has to begin with; empty for any."""
        self.regexes: list[Regex] = []
        self.server_regexes: list[Regex] = []
        words = [each for group in self.given for each in group]
        self.none = any(isinstance(each, Word) and each.text == "none" for each in words)
        self.blocked = any(isinstance(each, Word) and each.text == "blocked" for each in words)
        for each in words:
            if not isinstance(each, Word):
                self.regexes.append(each)
            elif each.text == "server_names":
                self._add_server_names(scope)
            elif each.text not in KEYWORDS:
                name, slash, path = each.text.partition("/")
                self._add(name, slash + path, each.span)
        if (self.none or self.blocked) and not self.hosts and not self.regexes and not self.server_regexes:
            raise ConfigError(
                'the "none" or "blocked" referers are specified in the "valid_referers" directive without any valid '
                "referer",
                self.origin("given"),
                hint="name a host too, or server_names: from any host one may come where only these are given",
            )

    def _add(self, name: str, path: str, span: Span | None) -> None:
        key = lower(name)
        if not is_mask_or_name(key):
            hint = "a * may stand for the first or last label only"
            raise ConfigError(f'invalid hostname or wildcard "{name}"', span, hint=hint)
        if self.hosts.add(key, path) is not None:
            raise ConfigError(f'conflicting parameter "{name}"', span, hint="it is there already")

    def _add_server_names(self, scope: Scope) -> None:
        for word, name in scope.enclosing(SERVER).data[NAMES]:
            if isinstance(name, str):
                self._add(name, "", word and word.span)
            else:
                self.server_regexes.append(name)

    def allows(self, referer: str | None) -> bool:
        """Return whether a request may come from there; from anywhere, where nothing is said."""
        if not self.hosts and not self.regexes and not self.server_regexes:
            return True
        if referer is None:
            return self.none
        scheme, found, rest = referer.partition("://")
        if len(referer) < SHORTEST or not found or scheme.lower() not in ("http", "https"):
            return self.blocked
        slash = rest.find("/")
        authority, path = (rest, "") if slash < 0 else (rest[:slash], rest[slash:])
        host = authority.partition(":")[0].lower()
        if len(host) > LONGEST_HOST:
            return False
        wanted = self.hosts.find(host)
        if wanted is not None:
            return path.startswith(wanted)
        if any(each.match(host) is not None for each in self.server_regexes):
            return True
        return any(each.match(rest) is not None for each in self.regexes)


@variable("invalid_referer", changeable=True)
def invalid_referer(request: Request) -> str | None:
    """`1` where the referer is not one of those that are wanted, else empty."""
    try:
        return "" if request.location[Referers].allows(request.head.fields.get("referer")) else "1"
    except MatchFailed as error:
        report(request, ALERT, str(error))
        return "1"


inert(
    "referer_hash_max_size",
    "referer_hash_bucket_size",
    where=SERVER | LOCATION,
    reason="the tables size themselves",
    nginx=PAGE,
    module="referer",
)

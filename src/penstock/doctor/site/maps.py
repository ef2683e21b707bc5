"""What a variable will be for a WebSocket handshake and for an ordinary request, as far as the file tells.

`map` is followed, and `set` with a constant; for anything else the value is unknown, which is no reason to complain.
"""

from __future__ import annotations

from penstock.config.errors import ConfigError
from penstock.config.regex.pcre import MatchFailed, compile_pcre
from penstock.config.tree import Directive
from penstock.config.variables import split_template
from penstock.doctor.site.level import Level

UNKNOWN = "\0"
"""A value that only a request could tell. It is not empty."""

HANDSHAKE = {"http_upgrade": "websocket", "http_connection": "Upgrade"}
ORDINARY = {"http_upgrade": "", "http_connection": "keep-alive"}
UNSAID = {"http_upgrade": "", "http_connection": ""}
CLEARTEXT_HTTP2 = {"http_upgrade": "h2c", "http_connection": "Upgrade, HTTP2-Settings"}
_CLIENT = frozenset(HANDSHAKE)
_DEEPEST = 8


def maps(level: Level) -> dict[str, Directive]:
    """Return every `map` of the configuration by the name of its variable, without `$`, in lower case."""
    found: dict[str, Directive] = {}
    for each in level.walk():
        for item in each.items:
            if item.name.text == "map" and item.block is not None and len(item.args) == 2:
                found.setdefault(item.args[1].text[1:].lower(), item)
    return found


class Values:
    """Evaluates texts at a level for one kind of request."""

    __slots__ = ("_known", "_maps")

    def __init__(self, tables: dict[str, Directive], known: dict[str, str]) -> None:
        self._maps = tables
        self._known = known

    def of(self, text: str, level: Level, depth: int = 0) -> str:
        """Return the text with its variables put in; `UNKNOWN` stands for each that nobody can tell."""
        try:
            pieces, names = split_template(text, None)
        except ConfigError:
            return UNKNOWN
        left = iter(names)
        return "".join(self._variable(next(left), level, depth) if piece is None else piece for piece in pieces)

    def _variable(self, name: str, level: Level, depth: int) -> str:
        if name in self._known:
            return self._known[name]
        if depth >= _DEEPEST:
            return UNKNOWN
        table = self._maps.get(name)
        if table is not None:
            return self._mapped(table, level, depth + 1)
        for each in level.outwards():
            given = [item for item in each.own("set") if len(item.args) == 2 and item.words[0][1:].lower() == name]
            if len(given) == 1:
                return self.of(given[0].words[1], each, depth + 1)
        return UNKNOWN

    def _mapped(self, table: Directive, level: Level, depth: int) -> str:
        source = self.of(table.words[0], level, depth)
        if UNKNOWN in source:
            return UNKNOWN
        line = entry(table, source)
        return self.of(line.words[0], level, depth) if line is not None else ""


def entry(table: Directive, text: str) -> Directive | None:
    """Find the line of a `map` that decides for a text."""
    lines = [line for line in table.block or () if len(line.args) == 1]
    plain = [line for line in lines if not line.name.text.startswith("~") and line.name.text != "default"]
    for line in plain:
        if line.name.text.removeprefix("\\").lower() == text.lower():
            return line
    for line in lines:
        pattern = line.name.text
        if text and pattern.startswith("~") and _matches(pattern, text):
            return line
    return next((line for line in lines if line.name.text == "default"), None)


def _matches(pattern: str, text: str) -> bool:
    caseless = pattern.startswith("~*")
    try:
        return compile_pcre(pattern[2 if caseless else 1 :], caseless=caseless).match(text) is not None
    except (ValueError, MatchFailed):
        return False


def asks(text: str) -> bool:
    """Return whether a text depends on what the client says of upgrading."""
    lower = text.lower()
    return any(f"${name}" in lower or f"${{{name}}}" in lower for name in _CLIENT)

"""Character sets: said in Content-Type, and bodies recoded (nginx: ngx_http_charset_module).

nginx recodes by a `charset_map` alone. Here what Python knows of two character sets does where no map is given.
"""

from __future__ import annotations

import re
from typing import Final

from penstock.config.errors import ConfigError
from penstock.config.key import Key
from penstock.config.kinds import custom, flag
from penstock.config.registry import HTTP, HTTP_LEVELS, IF_LOCATION, block
from penstock.config.scope import Call, Scope
from penstock.config.settings import Settings, directive, phase
from penstock.config.tree import Directive
from penstock.config.variables import Template
from penstock.http.request import Answer, Request
from penstock.modules.core.line_values import one_line
from penstock.modules.filters.charset_tables import Map, Recoder, Tables, recoder
from penstock.modules.filters.media_types import listed, types_directive
from penstock.modules.filters.transform import put_around
from penstock.observe.errorlog import ERROR, report
from penstock.plan import phases

PAGE = "ngx_http_charset_module.html"
WHERE = HTTP_LEVELS | IF_LOCATION
TYPES: Final = frozenset(
    {
        "text/html",
        "text/xml",
        "text/plain",
        "text/vnd.wap.wml",
        "application/javascript",
        "application/rss+xml",
    }
)
_BYTE = re.compile(r"[0-9A-Fa-f]{1,2}", re.ASCII).fullmatch
_SAID = re.compile(r';\s*charset\s*=\s*"?([^";]*)"?', re.IGNORECASE | re.ASCII).search


def _charset(call: Call) -> Template | None:
    word = call.args[0]
    return None if word.text == "off" and call.name == "charset" else one_line(call, word)


class Charset(Settings):
    """What character set an answer is said to have, and which one it is in."""

    charset: Template | None = directive(
        "charset", where=WHERE, takes=custom(_charset, syntax="charset | off"), nginx=PAGE, shown="off"
    )
    source: Template | None = directive(
        "source_charset",
        where=WHERE,
        takes=custom(_charset, syntax="charset"),
        nginx=PAGE,
        doc="The body is recoded from it, where it is another than `charset`.",
    )
    override: bool = directive("override_charset", where=WHERE, takes=flag, default=False, nginx=PAGE)
    types: frozenset[str] = types_directive(
        "charset_types",
        PAGE,
        TYPES,
        "text/html text/xml text/plain text/vnd.wap.wml application/javascript application/rss+xml",
    )

    def finish(self, scope: Scope) -> None:
        """Check that there is a map for what is to be recoded, where both sets are known."""
        self.tables = tables_of(scope)
        charset, source = self.charset, self.source
        if charset is None or source is None or charset.literal is None or source.literal is None:
            return
        self._check(scope, source.literal, charset.literal)

    def _check(self, scope: Scope, source: str, charset: str) -> None:
        span = self.origin("source") or self.origin("charset")

        def check() -> None:
            if source.lower() != charset.lower() and self.tables.find(source, charset) is None:
                raise ConfigError(f'no "charset_map" between the charsets "{source}" and "{charset}"', span)

        scope.compilation.defer(check)

    @phase(phases.HEADERS, when=lambda self: self.charset is not None)
    def name_charset(self, request: Request, answer: Answer) -> None:
        """Name the character set, and recode into it."""
        if answer.content_type is None or answer.upgraded is not None:
            return
        said = _SAID(answer.content_type)
        wanted = self._wanted(request, answer, said[1] if said else "")
        if not wanted:
            return
        source = said[1] if said else self.source.evaluate(request) if self.source is not None else ""
        if source and source.lower() != wanted.lower():
            if answer.header("content-encoding"):
                return
            table = self.tables.find(source, wanted)
            if table is None:
                text = f'no "charset_map" between the charsets "{source}" and "{wanted}"'
                report(request, ERROR, text)
                return
            self._recode(request, answer, recoder(table))
        answer.content_type = answer.content_type.partition(";")[0].rstrip()
        if request.parent is None and answer.status not in (301, 302):
            answer.charset = wanted

    def _wanted(self, request: Request, answer: Answer, said: str) -> str:
        """The character set to answer in; "" to leave the answer alone."""
        if answer.charset is not None:
            return ""
        if request.parent is not None:
            whole = request.main.answer
            return (whole.charset or "") if whole is not None else ""
        if said:
            if not self.override:
                return ""
        elif not listed(self.types, answer):
            return ""
        assert self.charset is not None
        return self.charset.evaluate(request)

    def _recode(self, request: Request, answer: Answer, stage: Recoder) -> None:
        if not stage.keeps_length:
            answer.length = None
        put_around(request, answer, stage)


TABLES: Key[Tables] = Key("charsets")


def tables_of(scope: Scope) -> Tables:
    """Return the tables of the configuration being compiled."""
    return scope.compilation.shared.setdefault(TABLES, Tables())


@block("charset_map", where=HTTP, least=2, most=2, syntax="charset1 charset2 { ... }", nginx=PAGE)
def charset_map(scope: Scope, directive: Directive) -> None:
    """How bytes of one character set are written in another: `80 E282AC;`. It serves both ways."""
    source, target = (word.text for word in directive.args)
    if source.lower() == target.lower():
        raise ConfigError(
            f'"charset_map" between the same charsets "{source}" and "{target}"', directive.span
        )
    if source.lower() == "utf-8":
        raise ConfigError(
            '"charset_map" with "utf-8" charset should be given in the second column', directive.args[0].span
        )
    made = Map(target.lower() == "utf-8")
    for line in directive.block or ():
        with scope.compilation.collecting():
            _line(made, line)
    if not tables_of(scope).add(source, target, made):
        raise ConfigError(f'duplicate "charset_map" between "{source}" and "{target}"', directive.span)


def _line(made: Map, line: Directive) -> None:
    if len(line.args) != 1 or line.block is not None:
        raise ConfigError("invalid parameters number", line.span, hint="a pair of hexadecimal codes: 80 E282AC;")
    for word, put in ((line.name, None), (line.args[0], made.put)):
        try:
            if put is None:
                if not _BYTE(word.text):
                    raise ValueError(word.text)
                code = int(word.text, 16)
            else:
                put(code, bytes.fromhex(word.text if len(word.text) > 1 else "0" + word.text))
        except ValueError:
            raise ConfigError(f'invalid value "{word.text}"', word.span) from None

"""Access logs: `access_log`, `log_format` and `open_log_file_cache` (nginx: ngx_http_log_module)."""

from __future__ import annotations

import os
from functools import partial
from typing import Any

from penstock.config.errors import ConfigError
from penstock.config.key import Key
from penstock.config.kinds import custom
from penstock.config.registry import (
    HTTP,
    HTTP_LEVELS,
    IF_LOCATION,
    LIMIT_EXCEPT,
    STREAM,
    STREAM_LEVELS,
    Context,
    command,
)
from penstock.config.scope import Call, Compilation, Scope
from penstock.config.settings import Settings, directive, directives, phase
from penstock.config.tree import Directive, Word
from penstock.config.values import number, seconds, size, whole_seconds
from penstock.config.variables import split_template
from penstock.config.vocabulary import HTTP_WORDS
from penstock.http.request import Request
from penstock.modules.core.document_root import Files
from penstock.modules.core.error_log import log_files, syslog_of
from penstock.modules.core.files.paths import ups, within
from penstock.modules.logs import log_variables as log_variables  # declares them
from penstock.observe.accesslog import MOMENTS, AccessLog, FrozenLine, LineTarget
from penstock.observe.default_paths import places_for
from penstock.observe.errorlog import (
    ERROR,
    report,
)
from penstock.observe.files import Buffer, LogFile
from penstock.observe.formats import COMBINED, ESCAPES, Format
from penstock.observe.paths_by_request import CacheLimits, DescriptorCache, NamedByRequest
from penstock.plan import phases

PAGE = "ngx_http_log_module.html"

_UNLOGGED = Context.MAIN | HTTP | STREAM_LEVELS
"""Levels without a log of their own: at those of streams there is one only where it is written down."""
OPENS, ENDS = "open", "close"
"""What `$tunnel_event` says."""
_OFF = object()
_GZIP_SIZE = 64 * 1024


FORMATS: Key[dict[str, Format]] = Key("log formats")


def _formats(compilation: Compilation) -> dict[str, Format]:
    formats = compilation.shared.get(FORMATS)
    if formats is None:
        formats = compilation.shared[FORMATS] = {}
        if compilation.variables.words is HTTP_WORDS:
            formats["combined"] = _compiled(compilation, [COMBINED], "default", None)
    return formats


@command(
    "log_format",
    where=HTTP | STREAM,
    least=2,
    most=None,
    syntax="name [escape=default|json|none] string ...",
    nginx=PAGE,
)
def log_format(scope: Scope, directive: Directive) -> None:
    """The shape of an access log's lines. It has to stand above its use."""
    name, *words = directive.args
    formats = _formats(scope.compilation)
    if name.text in formats:
        raise ConfigError(f'duplicate "log_format" name "{name.text}"', name.span)
    escape = "default"
    if words[0].text.startswith("escape="):
        escape = words[0].text.removeprefix("escape=")
        if escape not in ESCAPES:
            raise ConfigError(f'unknown log format escaping "{escape}"', words[0].span, hint="default, json or none")
        words = words[1:]
    formats[name.text] = _compiled(scope.compilation, [word.text for word in words], escape, directive)


def _compiled(compilation: Compilation, texts: list[str], escape: str, directive: Directive | None) -> Format:
    pieces: list[str | None] = []
    names: list[str] = []
    for at, text in enumerate(texts):
        span = directive.args[len(directive.args) - len(texts) + at].span if directive else None
        found = split_template(text, span)
        pieces += found[0]
        names += found[1]
    form = Format(pieces, names, escape, compilation.variables.words)
    span = directive.span if directive else None
    for index, name in enumerate(names):
        compilation.variables.want(name, span, partial(form.bind, index))
    return form


def _access_log(call: Call) -> Any:  # a log, or `_OFF`
    word = call.args[0]
    if word.text == "off":
        if len(call.args) > 1:
            raise call.fail(f'invalid parameter "{call.args[1].text}"', call.args[1])
        return _OFF
    form = _format(call)
    options = _Options(call)
    target: LineTarget | NamedByRequest
    if word.text.startswith("syslog:"):
        target = syslog_of(call, word)
        if options.buffer is not None:
            raise call.fail("logs to syslog cannot be buffered", word)
    elif "$" in word.text:
        path = call.compilation.variables.template(call.compilation.logs_path(word.text), word.span)
        written = ups(path.text)
        target = NamedByRequest(
            lambda request: within(request, path.evaluate(request), written),
            _has_any if call.scope.context & STREAM_LEVELS else _has_root,
            _cache_of,
            lambda: path.late,
        )
        if options.buffer is not None:
            raise call.fail("buffered logs cannot have variables in name", word)
    else:
        target = log_files(call.compilation).add(call.compilation.logs_path(word.text))
        _share_buffer(call, target, options.buffer)
    return AccessLog(target, form, options.condition, options.moment)


def _format(call: Call) -> Format:
    formats = _formats(call.compilation)
    if len(call.args) < 2:
        if "combined" not in formats:
            raise call.fail("log format is not specified", hint="a stream has no format of its own: see log_format")
        return formats["combined"]
    word = call.args[1]
    found = formats.get(word.text)
    if found is None:
        found = next((form for name, form in formats.items() if name.lower() == word.text.lower()), None)
    if found is None:
        raise call.fail(
            f'unknown log format "{word.text}"',
            word,
            hint=f"known here, above this line: {', '.join(formats)}",
        )
    return found


class _Options:
    """The parameters of `access_log` after the format's name."""

    def __init__(self, call: Call) -> None:
        wanted, flush, gzip = 0, 0.0, 0
        self.condition = None
        self.moment = ENDS
        for word in call.args[2:]:
            name, given, value = word.text.partition("=")
            if name == "buffer" and given:
                wanted = self._positive(call, word, size, value, "buffer size")
            elif name == "flush" and given:
                flush = self._positive(call, word, seconds, value, "flush time")
            elif name == "gzip":
                wanted = wanted or _GZIP_SIZE
                gzip = 1
                if given:
                    if not (len(value) == 1 and value in "123456789"):
                        raise call.fail(f'invalid compression level "{value}"', word, hint="a number from 1 to 9")
                    gzip = int(value)
            elif name == "on" and given:
                if value not in MOMENTS:
                    raise call.fail(f'invalid parameter "{word.text}"', word, hint="it may be: on=open, close, both")
                self.moment = value
            elif name == "if" and given:
                self.condition = call.compilation.variables.template(value, word.span)
            else:
                raise call.fail(f'invalid parameter "{word.text}"', word)
        if flush and not wanted:
            raise call.fail(f'no buffer is defined for access_log "{call.args[0].text}"')
        self.buffer = Buffer(wanted, flush, gzip) if wanted else None

    @staticmethod
    def _positive(call: Call, word: Word, convert: Any, value: str, what: str) -> Any:
        try:
            found = convert(value)
        except ValueError:
            found = 0
        if not found:
            raise call.fail(f'invalid {what} "{value}"', word)
        return found


def _share_buffer(call: Call, file: LogFile, buffer: Buffer | None) -> None:
    """Every use of a file shares its buffer."""
    if buffer is None:
        return
    if file.buffer is None:
        file.buffer = buffer
    elif not file.buffer.same(buffer):
        raise call.fail(f'access_log "{call.args[0].text}" already defined with conflicting parameters')


def _has_any(session: Request) -> bool:
    """A stream has no document root."""
    return True


def _has_root(request: Request) -> bool:
    """Whether the request's document root is there."""
    files = request.location[Files]
    template = files.alias or files.root
    assert template is not None
    root = template.evaluate(request)
    if os.path.isdir(root.encode("latin-1")):  # noqa: PTH112  bytes
        return True
    report(request, ERROR, f'testing "{root}" existence failed (2: No such file or directory)')
    return False


def _cache_of(request: Request) -> DescriptorCache | None:
    return request.location[AccessLogs].cache


def _file_cache(call: Call) -> DescriptorCache | None:
    """`max=N [inactive=time] [min_uses=N] [valid=time] | off`"""
    found: dict[str, Any] = {}
    for word in call.args:
        if word.text == "off":
            return None
        name, _, value = word.text.partition("=")
        convert = {"max": number, "min_uses": number, "inactive": whole_seconds, "valid": whole_seconds}.get(name)
        try:
            if convert is None:
                raise ValueError(name)
            found["most" if name == "max" else name] = convert(value)
        except ValueError:
            raise call.fail(f'invalid "open_log_file_cache" parameter "{word.text}"', word) from None
    if not found.get("most"):
        raise call.fail('"open_log_file_cache" must have "max" parameter')
    return DescriptorCache(CacheLimits(**found))


class AccessLogs(Settings):
    """Where requests are written. A level's own logs replace those of the levels around it."""

    access_logs: tuple[Any, ...] = directives(
        "access_log",
        where=HTTP_LEVELS | IF_LOCATION | LIMIT_EXCEPT | STREAM_LEVELS,
        takes=custom(
            _access_log,
            most=None,
            syntax="path [format [buffer=size] [gzip[=level]] [flush=time] [if=condition] [on=open|close|both]] | off",
        ),
        nginx=PAGE,
        doc="`on=` says when a tunnel gets its line: when it ends (`close`), when it opens, or both times; "
        "`$tunnel_event` tells one from the other. Other requests get theirs as ever.",
        shown="logs/access.log combined",
    )
    cache: DescriptorCache | None = directive(
        "open_log_file_cache",
        where=HTTP_LEVELS | STREAM_LEVELS,
        takes=custom(_file_cache, most=4, syntax="max=N [inactive=time] [min_uses=N] [valid=time] | off"),
        nginx=PAGE,
        shown="off",
    )
    logs: tuple[AccessLog, ...] = ()
    at_end = True
    """Whether tunnels get their lines when they end, and at no other time."""
    alone: AccessLog | None = None
    """The only log, where a tunnel gets its line when it ends, in a file that is known."""

    def keeps_to_itself(self, inside: bool) -> bool:
        """Return whether levels inside have logs of their own: the default log is theirs, and not opened where none
        needs it."""
        return not self.access_logs or super().keeps_to_itself(inside)

    def finish(self, scope: Scope) -> None:
        """Choose the logs of this level: those that are given, none for `off`, or the default one."""
        if _OFF in self.access_logs:
            return
        self.logs = self.access_logs
        self.at_end = all(log.moment == ENDS and "tunnel_event" not in log.format.names for log in self.logs)
        if not self.logs and not scope.context & _UNLOGGED:
            path = scope.compilation.logs_path(places_for(scope.compilation.prefix).access_log)
            file = log_files(scope.compilation).add(path)
            self.logs = (AccessLog(file, _formats(scope.compilation)["combined"]),)
        self.alone = self.logs[0] if self.at_end and len(self.logs) == 1 and self.logs[0].file is not None else None

    def tells(self, beginnings: tuple[str, ...]) -> bool:
        """Return whether a line may ask for variables whose names begin so."""
        return any(
            log.file is None or name.startswith(beginnings) for log in self.logs for name in log.format.names or ("",)
        )

    @phase(phases.LOG, when=lambda self: self.logs)
    def write(self, request: Request) -> None:
        """Log a request that is over."""
        for log in self.logs:
            file = log.file
            if file is not None:
                file.line(log.format.line(request))
            else:
                log.write(request)

    def freeze(self, request: Request) -> tuple[FrozenLine, ...]:
        """Freeze the lines of a request whose tunnel opens, as far as they are known. Write them when it ends; what is
        to be logged now has been."""
        if self.at_end:
            return tuple([line for log in self.logs if (line := log.freeze(request)) is not None])
        request.tunnel_event = OPENS
        for log in self.logs:
            if log.moment != ENDS:
                log.write(request)
        request.tunnel_event = ENDS
        lines = [log.freeze(request) for log in self.logs if log.moment != OPENS]
        return tuple([line for line in lines if line is not None])

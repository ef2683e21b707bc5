"""Error logs: `error_log` (nginx: ngx_core_module)."""

from __future__ import annotations

from penstock.config.addresses import bracket_hint
from penstock.config.key import Key
from penstock.config.kinds import custom
from penstock.config.registry import HTTP, LOCATION, MAIN, SERVER, STREAM_LEVELS
from penstock.config.scope import Call, Compilation, Scope
from penstock.config.settings import Settings, directives
from penstock.config.tree import Word
from penstock.modules.core.locations import all_locations
from penstock.observe.errorlog import (
    DEBUG,
    ERROR,
    LEVELS,
    DescriptorSink,
    ErrorLog,
    FileSink,
    Sink,
    SyslogSink,
)
from penstock.observe.files import LogFiles
from penstock.observe.syslog import Syslog, parse_syslog
from penstock.plan.location import SERVERS
from penstock.plan.plan import parts_of

PAGE = "ngx_core_module.html"
FILES: Key[LogFiles] = Key("log files")
"""The key of the plan's `shared` under which its `LogFiles` are."""

ON_STDERR: Key[bool] = Key("error_log on stderr")
"""The key that is in `shared` if some log, at whatever level, is standard error."""

_DEBUG_LEVELS = frozenset(f"debug_{what}" for what in ("core", "alloc", "mutex", "event", "http", "mail", "stream"))


def log_files(compilation: Compilation) -> LogFiles:
    """Return the log files of the configuration that is being read."""
    return compilation.shared.setdefault(FILES, LogFiles())


def syslog_of(call: Call, word: Word) -> Syslog:
    """Return the syslog server that an argument names."""
    try:
        return parse_syslog(word.text)
    except ValueError as error:
        server = word.text.partition("server=")[2].partition(",")[0]
        raise call.fail(str(error), word, hint=bracket_hint(server)) from None


def _level(call: Call) -> int:
    words = call.args[1:]
    found = 0
    for word in words:
        level = DEBUG if word.text in _DEBUG_LEVELS else LEVELS.index(word.text) if word.text in LEVELS[1:] else 0
        if not level:
            raise call.fail(f'invalid log level "{word.text}"', word, hint="it may be: " + ", ".join(LEVELS[1:]))
        if found and word.text not in _DEBUG_LEVELS:
            raise call.fail(f'duplicate log level "{word.text}"', word)
        found = level
    return found or ERROR


def _error_log(call: Call) -> Sink:
    word = call.args[0]
    level = _level(call)
    if word.text == "stderr":
        call.compilation.shared[ON_STDERR] = True
        return DescriptorSink(2, level)
    if word.text.startswith("memory:"):
        raise call.fail("nginx was built without debug support", word, hint="log to a file, to stderr or to syslog")
    if word.text.startswith("syslog:"):
        return SyslogSink(syslog_of(call, word), level)
    if word.text == "off":
        call.compilation.problems.warn(
            '"error_log off" writes to a file that is called "off"',
            call.directive.span,
            hint="to be rid of the error log: error_log /dev/null crit;",
        )
    return FileSink(log_files(call.compilation).add(call.compilation.logs_path(word.text)), level)


class ErrorLogs(Settings):
    """Where errors are written, and from which level up. A level's own logs replace those of the levels around it."""

    error_logs: tuple[Sink, ...] = directives(
        "error_log",
        where=MAIN | HTTP | SERVER | LOCATION | STREAM_LEVELS,
        takes=custom(_error_log, least=1, most=None, syntax="file [level]"),
        nginx=PAGE,
    )
    log: ErrorLog | None = None

    def finish(self, scope: Scope) -> None:
        """Complete the logs. None stays None: the process's own log, which the command line names."""
        if self.error_logs:
            self.log = ErrorLog(self.error_logs)
        if scope.parent is None:
            scope.compilation.defer(lambda: _assign(scope.compilation))


def _assign(compilation: Compilation) -> None:
    for part in parts_of(compilation.shared):
        for location in all_locations(server.root for server in part.get(SERVERS) or ()):
            location.error_log = location[ErrorLogs].log

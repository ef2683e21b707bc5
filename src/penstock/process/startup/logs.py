"""The process's own error log: before there is a configuration, and once there is one."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable
from errno import EACCES, ENOENT, EPERM, EROFS

from penstock.config.errors import ConfigError, render
from penstock.config.source import shown
from penstock.modules.core.error_log import FILES, ON_STDERR, ErrorLogs
from penstock.observe.errorlog import (
    EMERG,
    ERROR,
    INFO,
    NOTICE,
    WARN,
    DescriptorSink,
    ErrorLog,
    FileSink,
    fallback,
    report,
)
from penstock.observe.files import CannotOpen, LogFile, LogFiles
from penstock.plan.plan import Plan
from penstock.process.startup.launch import PROGRAM, Launch


def boot_log(launch: Launch) -> ErrorLog:
    """Open the log for the time while the configuration is read: the file of the command line, or standard error if it
    can not be."""
    level = INFO if launch.testing else NOTICE
    if not launch.error_log:
        return ErrorLog([DescriptorSink(2, level)])
    file = LogFile(launch.error_log)
    try:
        file.open()
    except CannotOpen as error:
        sys.stderr.write(f"{PROGRAM}: [alert] could not open error log file: {error}\n")
        return ErrorLog([DescriptorSink(2, level)])
    return ErrorLog([FileSink(file, level)])


def process_log(launch: Launch, plan: Plan) -> tuple[ErrorLog, LogFiles]:
    """Make the main level's log and all log files of a plan, none of them open yet.

    Where no file and no stderr is named at the main level, the command line's file is added, at `error`.
    """
    files = plan.shared.setdefault(FILES, LogFiles())
    log = plan.main.settings(ErrorLogs).log or ErrorLog()
    if not any(isinstance(sink, (FileSink, DescriptorSink)) for sink in log.sinks):
        if launch.error_log:
            log.add(FileSink(files.add(launch.error_log), ERROR))
        else:
            log.add(DescriptorSink(2, ERROR))
            plan.shared[ON_STDERR] = True
    return log, files


def redirect_stderr(plan: Plan, log: ErrorLog) -> None:
    """Let what anybody prints on standard error go to the log's first file, unless some log is standard error."""
    if ON_STDERR not in plan.shared and log.files:
        os.dup2(log.files[0].fd, 2)


def announce(problems: Iterable[ConfigError], *, console: bool, dropped: int = 0) -> None:
    """Log mistakes of a configuration; a person at the console sees where each was made as well."""
    log = fallback()
    for problem in problems:
        level = EMERG if problem.level == "emerg" else WARN
        if console:
            sys.stderr.write(render(problem, PROGRAM) + "\n")
        if not (console and log.seen_on_stderr(level)):
            log.write(level, str(problem))
    if dropped:
        report(None, WARN, f"{dropped} more mistakes were found")


def advise(error: CannotOpen, launch: Launch) -> None:
    """Tell a person what to do about a log that can not be opened."""
    words = advice(error, launch)
    if words:
        sys.stderr.write(f"     = {shown(words)}\n")


def advice(error: CannotOpen, launch: Launch) -> str:
    """Say what to do about a log that can not be opened, "" where nothing is known."""
    folder = error.path.rpartition("/")[0]
    if error.errno == ENOENT and folder:
        return f'make the folder "{folder}", or name another place with error_log, access_log and -e'
    if error.errno not in (EACCES, EPERM, EROFS):
        return ""
    if error.path == launch.access_log:
        # Who runs a file of one's own meets this first: the file names no log, and the prefix is the system's.
        return (
            f"{launch.prefix} logs there unless the configuration says otherwise: write access_log off; or access_log "
            f"FILE; into http, or start with -p FOLDER, which has logs and pid file in FOLDER/logs (make that first)"
        )
    return "this user can not write to it: name another place with error_log, access_log and -e"

"""The process's own error log: before there is a configuration, and once there is one."""

from __future__ import annotations

import os
import sys

from penstock.config.errors import Problems, render
from penstock.modules.error_log import FILES, ErrorLogs
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
)
from penstock.observe.files import CannotOpen, LogFile, LogFiles
from penstock.plan.plan import Plan
from penstock.process.launch import PROGRAM, Launch


def boot_log(launch: Launch) -> ErrorLog:
    """The log while the configuration is read: the file of the command line, or standard error if it can not be."""
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
    """The main level's log and all log files of a plan, none of them open yet.

    Where no file and no stderr is named at the main level, the command line's file is added, at `error`.
    """
    files: LogFiles = plan.shared.setdefault(FILES, LogFiles())
    log = plan.main.settings(ErrorLogs).log or ErrorLog()
    if not any(isinstance(sink, (FileSink, DescriptorSink)) for sink in log.sinks):
        if launch.error_log:
            log.add(FileSink(files.take(launch.error_log), ERROR))
        else:
            log.add(DescriptorSink(2, ERROR))
    return log, files


def redirect_stderr(log: ErrorLog) -> None:
    """Let what anybody prints on standard error go to the log's first file, unless the log is standard error."""
    if any(isinstance(sink, DescriptorSink) for sink in log.sinks):
        return
    if log.files:
        os.dup2(log.files[0].fd, 2)


def announce(problems: Problems, *, console: bool) -> None:
    """Log every mistake of a configuration; a person at the console sees where it was made as well."""
    log = fallback()
    for problem in problems:
        log.write(EMERG if problem.level == "emerg" else WARN, str(problem))
        if console:
            sys.stderr.write(render(problem, PROGRAM) + "\n")
    if problems.dropped:
        words = f"{problems.dropped} more mistakes were found"
        log.write(WARN, words)
        if console:
            sys.stderr.write(f"{PROGRAM}: {words}\n")

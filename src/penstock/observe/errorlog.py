"""The error log: levels, where its lines go, and whose connection or request a line is about.

    2026/11/21 06:53:00 [error] 1234#1234: *5 message, client: 127.0.0.1, server: localhost, request: "GET / HTTP/1.1"

What a peer sent may stand in a line, but never as a control character: a log is read in terminals.
"""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Iterable
from typing import Any, Protocol

from penstock.config.source import shown
from penstock.observe.clock import error_log_time
from penstock.observe.files import LogFile
from penstock.observe.syslog import Syslog

EMERG, ALERT, CRIT, ERROR, WARN, NOTICE, INFO, DEBUG = range(1, 9)
LEVELS = ("", "emerg", "alert", "crit", "error", "warn", "notice", "info", "debug")

LONGEST = 2048
"""Bytes of a line, its line feed included."""

_CONTROLS = re.compile("[\\x00-\\x1f\\x7f]|\xc2[\x80-\x9f]")
"""C0 and DEL, and what is a C1 control once a terminal has decoded it as UTF-8."""


class Sink(Protocol):
    """One place that lines go to, from `level` up in importance."""

    level: int

    def write(self, line: bytes, level: int) -> None:
        """`line` ends with a line feed."""
        ...


class FileSink:
    """A file opened with the other logs."""

    __slots__ = ("file", "level")

    def __init__(self, file: LogFile, level: int) -> None:
        self.file = file
        self.level = level

    def write(self, line: bytes, level: int) -> None:
        try:
            self.file.put(line)
        except OSError:
            pass  # a full disk: this is the log, and there is nowhere else to say so


class DescriptorSink:
    """A descriptor that stays what it is, such as standard error."""

    __slots__ = ("fd", "level")

    def __init__(self, fd: int, level: int) -> None:
        self.fd = fd
        self.level = level

    def write(self, line: bytes, level: int) -> None:
        try:
            os.write(self.fd, line)
        except OSError:
            pass  # closed by whoever started us, or a pipe that nobody empties


class SyslogSink:
    """A syslog server. Severities are the levels less one."""

    __slots__ = ("level", "server")

    def __init__(self, server: Syslog, level: int) -> None:
        self.server = server
        self.level = level

    def write(self, line: bytes, level: int) -> None:
        self.server.send(line[:-1], level - 1)


class ErrorLog:
    """The sinks of one level of the configuration. `level` is the most talkative of them."""

    __slots__ = ("level", "sinks")

    def __init__(self, sinks: Iterable[Sink] = ()) -> None:
        self.sinks: tuple[Sink, ...] = ()
        self.level = 0
        for sink in sinks:
            self.add(sink)

    def add(self, sink: Sink) -> None:
        """Write there too."""
        self.sinks = (*self.sinks, sink)
        self.level = max(self.level, sink.level)

    @property
    def files(self) -> list[LogFile]:
        """Its files, in the order they were given."""
        return [sink.file for sink in self.sinks if isinstance(sink, FileSink)]

    def seen_on_stderr(self, level: int) -> bool:
        """Whether a line of that level goes to standard error anyway."""
        return any(isinstance(sink, DescriptorSink) and level <= sink.level for sink in self.sinks)

    def write(self, level: int, text: str, number: int = 0) -> None:
        """One line: `text` with the time, the level and the process before it, and the connection's `number`."""
        if level > self.level:
            return
        line = _line(level, text, number)
        for sink in self.sinks:
            if level <= sink.level:
                sink.write(line, level)


class Subject:
    """What a line is about, after the request itself has been let go: kept for the life of a tunnel."""

    __slots__ = ("context", "error_log", "number")

    def __init__(self, subject: Any) -> None:
        self.error_log: ErrorLog | None = _log_of(subject)
        self.number, self.context = _context(subject)


_fallback = ErrorLog([DescriptorSink(2, NOTICE)])
_console: str | None = None


def set_fallback(log: ErrorLog) -> None:
    """The log of what belongs to no server, and of servers without a log of their own."""
    global _fallback
    _fallback = log


def fallback() -> ErrorLog:
    """The log in force where no other is."""
    return _fallback


def use_console(program: str | None) -> None:
    """While a program starts, what is worth a warning goes to standard error too, after the program's name."""
    global _console
    _console = program


def report(subject: Any, level: int, message: str) -> None:
    """Log `message` about a `Request`, a `Connection`, a `Subject` kept from either, or None for the process."""
    log = _fallback if subject is None else _log_of(subject) or _fallback
    if level > log.level and _console is None:
        return
    if subject is None:
        number, context = 0, ""
    elif type(subject) is Subject:
        number, context = subject.number, subject.context
    else:
        number, context = _context(subject)
    log.write(level, message + context, number)
    if _console is not None and level <= WARN and not log.seen_on_stderr(level):
        sys.stderr.write(f"{_console}: [{LEVELS[level]}] {shown(message)}\n")


def escape(text: str) -> str:
    """Latin-1 text without control characters, each written as `\\x1B`."""
    if text.isprintable() and text.isascii():
        return text
    return _CONTROLS.sub(_escaped, text)


def _escaped(match: re.Match[str]) -> str:
    return "".join(f"\\x{ord(char):02X}" for char in match[0])


def _line(level: int, text: str, number: int) -> bytes:
    pid = os.getpid()
    star = f"*{number} " if number else ""
    line = f"{error_log_time()} [{LEVELS[level]}] {pid}#{pid}: {star}{escape(text)}"
    return line.encode("latin-1", "backslashreplace")[: LONGEST - 1] + b"\n"


def _log_of(subject: Any) -> ErrorLog | None:
    """The log in force for a subject; None where that is the process's."""
    location = getattr(subject, "location", None)
    if location is not None:
        return location.error_log  # type: ignore[no-any-return]
    server = getattr(subject, "server", None)
    if server is not None:
        return server.root.error_log  # type: ignore[no-any-return]
    return subject.error_log  # type: ignore[no-any-return]


def _context(subject: Any) -> tuple[int, str]:
    """The connection's number, and what nginx says after the message."""
    head = getattr(subject, "head", None)
    if head is None:
        return subject.number, f", client: {subject.client_address}, server: {_shown(subject.listen.address)}"
    connection = subject.connection
    parts = [f", client: {connection.client_address}, server: {subject.server.name}"]
    if head.line:
        parts.append(f', request: "{head.line}"')
    if subject.parent is not None:
        parts.append(f', subrequest: "{subject.uri}"')
    upstream = getattr(subject, "upstream_url", "")
    if upstream:
        parts.append(f', upstream: "{upstream}"')
    fields = head.fields
    if "host" in fields:
        parts.append(f', host: "{fields["host"]}"')
    if "referer" in fields:
        parts.append(f', referrer: "{fields["referer"]}"')
    return connection.number, "".join(parts)


def _shown(address: Any) -> str:
    if isinstance(address, str):
        return f"unix:{address}"
    return f"[{address[0]}]:{address[1]}" if ":" in address[0] else f"{address[0]}:{address[1]}"

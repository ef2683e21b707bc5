"""The error log: levels, where its lines go, and whose connection or request a line is about.

    2026/11/21 06:53:00 [error] 1234#1234: *5 message, client: 127.0.0.1, server: localhost, request: "GET / HTTP/1.1"

What a peer sent may stand in a line, but never as a control character: a log is read in terminals.
"""

from __future__ import annotations

import os
import re
import sys
import traceback
from collections.abc import Callable, Iterable
from typing import Any, Protocol, TypeAlias

from penstock.config.addresses import address_text
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
    """A place that lines go to, from `level` up in importance."""

    level: int

    def write(self, line: bytes, level: int) -> None:
        """Write a line; `line` ends with a line feed."""
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
        """Add a place to write to."""
        self.sinks = (*self.sinks, sink)
        self.level = max(self.level, sink.level)

    @property
    def files(self) -> list[LogFile]:
        """Return its files, in the order they were given."""
        return [sink.file for sink in self.sinks if isinstance(sink, FileSink)]

    def seen_on_stderr(self, level: int) -> bool:
        """Return whether a line of that level goes to standard error anyway."""
        return any(isinstance(sink, DescriptorSink) and level <= sink.level for sink in self.sinks)

    def write(self, level: int, text: str, number: int = 0) -> None:
        """Write one line: `text` with the time, the level and the process before it, and the connection's `number`."""
        if _overhearing is not None:
            _overhearing(level, text)
        if level > self.level:
            return
        line = _line(level, text, number)
        for sink in self.sinks:
            if level <= sink.level:
                sink.write(line, level)


Words: TypeAlias = tuple[str, str, str, str, str | None, str | None]
"""What the context of a line is made of: client, server, request, upstream, host, referer."""


def words_of(request: Any) -> Words:
    """Return what lines about a request will need, after it has been let go."""
    connection, head = request.connection, request.head
    fields = head.fields
    upstream = request.upstream_url
    return (
        connection.client_address, request.server.name, head.line, upstream, fields.get("host"), fields.get("referer")
    )


class Subject:
    """What a line is about, after the request itself has been let go: kept for the life of a tunnel.

    What nginx says after a message is put together when there is one, which is seldom: until then there are only the
    texts that it is made of.
    """

    __slots__ = ("_context", "error_log", "number")

    _context: str | Words

    # Any: a request, a connection, a `Subject`, or a plan: what it has decides what the line says.
    def __init__(self, subject: Any) -> None:
        self.error_log: ErrorLog | None = _log_of(subject)
        if subject.parent is not None or getattr(subject, "log_context", None) is not None:
            self.number, self._context = _context(subject)
            return
        self.number = subject.connection.number
        self._context = words_of(subject)

    @classmethod
    def kept(cls, log: ErrorLog | None, number: int, words: Words) -> Subject:
        """Make one of what was kept of it."""
        made = cls.__new__(cls)
        made.error_log, made.number, made._context = log, number, words
        return made

    @property
    def context(self) -> str:
        """Return what nginx says after a message."""
        made = self._context
        if not isinstance(made, str):
            self._context = made = _in_words("", *made)
        return made

    @context.setter
    def context(self, context: str) -> None:
        self._context = context


_fallback = ErrorLog([DescriptorSink(2, NOTICE)])
_console: str | None = None


def set_fallback(log: ErrorLog) -> None:
    """Set the log of what belongs to no server, and of servers without a log of their own."""
    global _fallback
    _fallback = log


def fallback() -> ErrorLog:
    """Return the log in force where no other is."""
    return _fallback


def use_console(program: str | None) -> None:
    """Write what is worth a warning to standard error too, after the program's name, while a program starts."""
    global _console
    _console = program


_overhearing: Callable[[int, str], None] | None = None


def overhear(listener: Callable[[int, str], None] | None) -> None:
    """Tell somebody each line that is logged, with its level, from now on; None for nobody."""
    global _overhearing
    _overhearing = listener


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


def report_mistake(subject: Any, error: BaseException) -> None:
    """Log an error that nobody has expected, with the place where it was raised; the whole way there for `debug`."""
    frames = traceback.extract_tb(error.__traceback__)
    place = f" at {frames[-1].name} line {frames[-1].lineno}" if frames else ""
    report(subject, CRIT, f"internal error: {error!r}{place}")
    report(subject, DEBUG, "".join(traceback.format_exception(error)).replace("\n", " | "))


def hears(subject: Any, level: int) -> bool:
    """Return whether a line of that level about a subject would be written: for lines that cost something to make."""
    return level <= (_log_of(subject) or _fallback).level


def escape(text: str) -> str:
    """Return latin-1 text without control characters, each written as `\\x1B`."""
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
    """Return the log in force for a subject; None if that is the process's."""
    location = getattr(subject, "location", None)
    if location is not None:
        return location.error_log  # type: ignore[no-any-return]
    server = getattr(subject, "server", None)
    if server is not None:
        return server.root.error_log  # type: ignore[no-any-return]
    return subject.error_log  # type: ignore[no-any-return]


def _context(subject: Any) -> tuple[int, str]:
    """Return the connection's number, and what nginx says after the message."""
    head = getattr(subject, "head", None)
    if head is None:
        return subject.number, f", client: {subject.client_address}, server: {address_text(subject.listen.address)}"
    connection, fields = subject.connection, head.fields
    own: str | None = getattr(subject, "log_context", None)
    if own is not None:
        return connection.number, own  # a session of a stream
    words = _in_words(
        "" if subject.parent is None else subject.uri,
        connection.client_address,
        subject.server.name,
        head.line,
        getattr(subject, "upstream_url", ""),
        fields.get("host"),
        fields.get("referer"),
    )
    return connection.number, words


def _in_words(
    subrequest: str, client: str, server: str, line: str, upstream: str, host: str | None, referer: str | None
) -> str:
    parts = [f", client: {client}, server: {server}"]
    if line:
        parts.append(f', request: "{line}"')
    if subrequest:
        parts.append(f', subrequest: "{subrequest}"')
    if upstream:
        parts.append(f', upstream: "{upstream}"')
    if host is not None:
        parts.append(f', host: "{host}"')
    if referer is not None:
        parts.append(f', referrer: "{referer}"')
    return "".join(parts)

"""Where the lines about a tunnel go, told to the process that goes on with it.

A log file is named by its path, and its descriptor goes along: the line is written to the file it was meant for even if
the other process's configuration does not have it, or its user may not open it. What both have open is used as it is.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any

from penstock.observe.accesslog import FrozenLine, LineTarget, read_line
from penstock.observe.errorlog import DescriptorSink, ErrorLog, FileSink, Sink, Subject, SyslogSink
from penstock.observe.files import LogFile, LogFiles
from penstock.observe.paths_by_request import NamedFile
from penstock.observe.syslog import Syslog, read_syslog
from penstock.shared.json_fields import Fields, Strange

Show = Callable[[LogFile], None]
"""Is called with every log file that is named, so that its descriptor can go along."""


def describe_lines(lines: tuple[FrozenLine, ...], late: Any, show: Show) -> list[dict[str, object]]:
    """Describe the lines of an access log as plain values."""
    placed = ((line, line.place(late)) for line in lines)
    return [{"place": _place(target, show), **line.state(late)} for line, target in placed if target is not None]


def describe_subject(subject: Subject, show: Show) -> dict[str, object]:
    """Describe what the error log says about a tunnel, and where."""
    log = subject.error_log
    sinks = None if log is None else [{"level": sink.level, "place": _sink(sink, show)} for sink in log.sinks]
    return {"number": subject.number, "context": subject.context, "log": sinks}


class ReceivedPaths:
    """The log files that another process told. `given` are descriptors of log files by path, which came along."""

    __slots__ = ("_files", "_given", "_known", "_logs")

    def __init__(self, files: LogFiles) -> None:
        self._files = files
        self._given: dict[str, int] = {}
        self._known: dict[str, Syslog] = {}
        self._logs: dict[tuple[tuple[Any, int], ...], ErrorLog] = {}

    def give(self, path: str, fd: int) -> None:
        """Add a descriptor of a log file; it is closed if nobody needs it."""
        if self._files.find(path) is not None or path in self._given:
            os.close(fd)
        else:
            self._given[path] = fd

    def close(self) -> None:
        """Close what nobody needs: nothing more comes."""
        for fd in self._given.values():
            os.close(fd)
        self._given.clear()

    def lines(self, told: list[Fields]) -> tuple[FrozenLine, ...]:
        """Read the lines of an access log. Raises `Strange`."""
        return tuple(read_line(fields, self._target(fields.object("place"))) for fields in told)

    def subject(self, fields: Fields) -> Subject:
        """Read what the error log says about a tunnel. Raises `Strange`."""
        # Not through `__init__`, which reads a request or a connection: that was in another process.
        subject = Subject.__new__(Subject)
        subject.number = fields.whole("number")
        subject.context = fields.text("context")
        log = fields.objects_or_none("log")
        subject.error_log = None if log is None else self._error_log([self._sink(each) for each in log])
        fields.end()
        return subject

    def _error_log(self, sinks: list[tuple[Any, int]]) -> ErrorLog:
        """Return one log for all tunnels that log alike."""
        key = tuple(sinks)
        found = self._logs.get(key)
        if found is None:
            found = self._logs[key] = ErrorLog([_sink_for(target, level) for target, level in sinks])
        return found

    def _sink(self, fields: Fields) -> tuple[Any, int]:
        """Return where lines go, and from which level up. A number is a descriptor."""
        level = fields.whole("level", 8)
        place = fields.object("place")
        fields.end()
        if place.has("descriptor"):
            fd = place.whole("descriptor", 2)
            place.end()
            return fd, level
        target = self._target(place)
        if not isinstance(target, (LogFile, Syslog)):
            raise Strange("an error log goes where none can go")
        return target, level

    def _target(self, place: Fields) -> LineTarget:
        if place.has("syslog"):
            server = read_syslog(place.object("syslog"))
            place.end()
            return self._known.setdefault(repr(server.state()), server)
        if place.has("named"):
            path = place.text("named")
            place.end()
            return NamedFile(path, None)
        path = place.text("file")
        place.end()
        found = self._files.find(path)
        if found is not None:
            return found
        fd = self._given.pop(path, -1)
        if fd < 0:
            raise Strange(f'a log file "{path}" is named that did not come along')
        return self._files.adopt(path, fd)


def _sink_for(target: LogFile | Syslog | int, level: int) -> Sink:
    if isinstance(target, LogFile):
        return FileSink(target, level)
    if isinstance(target, Syslog):
        return SyslogSink(target, level)
    return DescriptorSink(target, level)


def _place(target: LineTarget, show: Show) -> dict[str, object]:
    if isinstance(target, LogFile):
        show(target)
        return {"file": target.path}
    if isinstance(target, NamedFile):
        return {"named": target.path}
    if isinstance(target, Syslog):
        return {"syslog": target.state()}
    raise TypeError(f"{target!r} can not be told to another process")


def _sink(sink: Sink, show: Show) -> dict[str, object]:
    if isinstance(sink, FileSink):
        return _place(sink.file, show)
    if isinstance(sink, SyslogSink):
        return _place(sink.server, show)
    if isinstance(sink, DescriptorSink):
        return {"descriptor": sink.fd}
    raise TypeError(f"{sink!r} can not be told to another process")

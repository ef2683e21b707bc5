"""Access logs: where the line about a request goes, in which format, on which condition."""

from __future__ import annotations

import os
from collections import OrderedDict
from collections.abc import Callable
from time import monotonic
from typing import Any, Protocol

from penstock.config.variables import Template
from penstock.observe.errorlog import ALERT, CRIT, report
from penstock.observe.files import open_to_append
from penstock.observe.formats import Format


class Target(Protocol):
    """Where lines go: a `LogFile`, a `Syslog` server."""

    def line(self, data: bytes) -> None:
        """One line with its line feed."""
        ...


class NamedByRequest:
    """A file whose name depends on the request. A few are kept open, each for a second at most, so that a file which
    is moved away loses nothing that matters.

    `exists(request)` says whether the request's document root is there: no files are made for names that clients
    invent (nginx: access_log).
    """

    __slots__ = ("_exists", "_open", "_path")

    MOST = 16
    SECONDS = 1.0

    def __init__(self, path: Template, exists: Callable[[Any], bool]) -> None:
        self._path = path
        self._exists = exists
        self._open: OrderedDict[str, tuple[int, float]] = OrderedDict()

    def path_for(self, request: Any) -> str | None:
        """The file's name, None where nothing is to be logged."""
        return self._path.evaluate(request) if self._exists(request) else None

    def line_to(self, path: str, data: bytes) -> None:
        """Append a line to the file of that name."""
        try:
            fd = self._descriptor(path)
        except (OSError, ValueError) as error:
            report(None, CRIT, f'open() "{path}" failed ({_words(error)})')
            return
        try:
            os.write(fd, data)
        except OSError as error:
            report(None, ALERT, f'write() to "{path}" failed ({_words(error)})')

    def _descriptor(self, path: str) -> int:
        now = monotonic()
        known = self._open.pop(path, None)
        if known is not None:
            if now - known[1] < self.SECONDS:
                self._open[path] = known
                return known[0]
            os.close(known[0])
        fd = open_to_append(path)
        self._open[path] = fd, now
        if len(self._open) > self.MOST:
            _, (oldest, _) = self._open.popitem(last=False)
            os.close(oldest)
        return fd

    def close(self) -> None:
        for fd, _ in self._open.values():
            os.close(fd)
        self._open.clear()


def _words(error: OSError | ValueError) -> str:
    if isinstance(error, OSError):
        return f"{error.errno}: {os.strerror(error.errno or 0)}"
    return str(error)


class AccessLog:
    """One `access_log`: a target, a format, and the condition of `if=`."""

    __slots__ = ("condition", "format", "target")

    def __init__(self, target: Target | NamedByRequest, form: Format, condition: Template | None = None) -> None:
        self.target = target
        self.format = form
        self.condition = condition

    def write(self, request: Any) -> None:
        """The line of a request that is over."""
        if self.condition is not None and self.condition.evaluate(request) in ("", "0"):
            return
        target = self.target
        if not isinstance(target, NamedByRequest):
            target.line(self.format.line(request))
            return
        path = target.path_for(request)
        if path is not None:
            target.line_to(path, self.format.line(request))

    def freeze(self, request: Any) -> FrozenLine | None:
        """What is known of the line while the request's tunnel opens; None where there will be no line."""
        if self.condition is not None and self.condition.evaluate(request) in ("", "0"):
            return None
        path = None
        if isinstance(self.target, NamedByRequest):
            path = self.target.path_for(request)
            if path is None:
                return None
        return FrozenLine(self, self.format.freeze(request), path)


class FrozenLine:
    """A line that waits for the end of a tunnel: text, and gaps where late variables go."""

    __slots__ = ("_log", "_path", "_text")

    def __init__(self, log: AccessLog, text: str, path: str | None) -> None:
        self._log = log
        self._text = text
        self._path = path

    def write(self, late: Any) -> None:
        """Fill the gaps and log. `late` is the request, or whatever has the attributes that late variables read."""
        data = self._log.format.thaw(self._text, late)
        target = self._log.target
        if not isinstance(target, NamedByRequest):
            target.line(data)
        elif self._path is not None:
            target.line_to(self._path, data)

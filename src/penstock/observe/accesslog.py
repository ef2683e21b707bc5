"""Access logs: where the line about a request goes, in which format, on which condition."""

from __future__ import annotations

from typing import Protocol

from penstock.config.variables import SomeRequest, Template
from penstock.config.vocabulary import VOCABULARIES
from penstock.observe.files import LogFile
from penstock.observe.formats import ESCAPES, Format, format_of_gaps
from penstock.observe.paths_by_request import NamedByRequest
from penstock.shared.json_fields import Fields, Strange


class LineTarget(Protocol):
    """A place where lines go: a `LogFile`, a `Syslog` server, a `NamedFile`."""

    def line(self, data: bytes) -> None:
        """Write one line with its line feed."""
        ...


MOMENTS = ("open", "close", "both")
"""When a tunnel gets its line."""


class AccessLog:
    """An `access_log`: a target, a format, the condition of `if=`, and when tunnels get their lines."""

    __slots__ = ("condition", "file", "format", "moment", "target")

    def __init__(
        self,
        target: LineTarget | NamedByRequest,
        form: Format,
        condition: Template | None = None,
        moment: str = "close",
    ) -> None:
        self.moment = moment
        self.target = target
        self.format = form
        self.condition = condition
        self.file = target if condition is None and isinstance(target, LogFile) else None
        """Where every line goes, if that is one file."""

    def write(self, request: SomeRequest) -> None:
        """Write the line of a request that is over."""
        target = self.target if self.condition is None else self._target_for(request)
        if isinstance(target, NamedByRequest):
            target = target.bind(request)
        if target is not None:
            target.line(self.format.line(request))

    def freeze(self, request: SomeRequest) -> FrozenLine | None:
        """Freeze what is known of the line while the request's tunnel opens; None if there will be no line.

        A condition is decided now: it has the status, and of what comes later nothing else.
        """
        if self.file is not None:
            return FrozenLine(self.format, self.format.freeze(request), self.file)
        target = self._target_for(request)
        if target is not None and isinstance(self.target, NamedByRequest) and self.target.late():
            return UnnamedLine(self.format, self.format.freeze(request), self.target)
        return FrozenLine(self.format, self.format.freeze(request), target) if target is not None else None

    def _target_for(self, request: SomeRequest) -> LineTarget | None:
        if self.condition is not None and self.condition.evaluate(request) in ("", "0"):
            return None
        target = self.target
        return target.bind(request) if isinstance(target, NamedByRequest) else target


def read_line(fields: Fields, target: LineTarget) -> FrozenLine:
    """Read a line that was frozen in another process, as `FrozenLine.state` tells it. Raises `Strange`."""
    texts, gaps = fields.texts("texts"), fields.texts("gaps")
    escape = fields.one_of("escape", {name: name for name in ESCAPES})
    language = fields.one_of("language", {name: name for name in VOCABULARIES})
    fields.end()
    if len(texts) != len(gaps) + 1 or any("\0" in text for text in texts):
        raise Strange("a line has other gaps than texts around them")
    return FrozenLine(format_of_gaps(tuple(gaps), escape, language), "\0".join(texts), target)


class FrozenLine:
    """A line that waits for the end of a tunnel: text, and gaps where late variables go."""

    __slots__ = ("_format", "_target", "_text")

    def __init__(self, form: Format, text: str, target: LineTarget) -> None:
        self._format = form
        self._text = text
        self._target = target

    @property
    def self_contained(self) -> bool:
        """Return whether `write` needs no more of a request than its counters, times and attempts."""
        return self._format.self_contained

    def place(self, late: SomeRequest) -> LineTarget | None:
        """Return where it is written, if that were now; None for nowhere."""
        return self._target

    def state(self, late: SomeRequest) -> dict[str, object]:
        """Return the line as plain values, to be written by another process: texts around gaps, what fills each gap,
        in which vocabulary, and how that is escaped. What only this configuration knows is filled in now."""
        texts = self._text.split("\0")
        names, values = self._format.gaps(late)
        whole = [texts[0]]
        left: list[str] = []
        filling = iter(values)
        for name, text in zip(names, texts[1:], strict=True):
            if name is None:
                whole[-1] += next(filling) + text
            else:
                left.append(name)
                whole.append(text)
        return {"texts": whole, "gaps": left, **self._format.manner}

    def write(self, late: SomeRequest) -> None:
        """Fill the gaps and log. `late` is the request, or whatever has the attributes that late variables read."""
        self._target.line(self._format.thaw(self._text, late))


class UnnamedLine(FrozenLine):
    """A line for a file whose name has late variables in it, too."""

    __slots__ = ("_named",)

    def __init__(self, form: Format, text: str, named: NamedByRequest) -> None:
        self._format = form
        self._text = text
        self._named = named

    @property
    def self_contained(self) -> bool:
        return False

    def place(self, late: SomeRequest) -> LineTarget | None:
        return self._named.bind(late)

    def write(self, late: SomeRequest) -> None:
        target = self.place(late)
        if target is not None:
            target.line(self._format.thaw(self._text, late))

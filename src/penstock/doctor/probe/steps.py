"""What a probe finds, step by step, and what of others' text may be shown."""

from __future__ import annotations

import enum
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

LONGEST = 160


class StepVerdict(enum.Enum):
    """Of one step. `NOTE` is neither good nor bad, `WARN` worth a look, `FAIL` ends what depends on it."""

    OK = "ok"
    NOTE = "note"
    WARN = "warn"
    FAIL = "fail"


class Exit(enum.IntEnum):
    """Where a probe failed; 2 is left to command lines that make no sense."""

    FINE = 0
    WARNED = 1
    DNS = 3
    CONNECT = 4
    TLS = 5
    HANDSHAKE = 6
    TUNNEL = 7


@dataclass(frozen=True, slots=True)
class ProbeStep:
    """One thing that was looked at. `seconds` is how long it took; `details` are further lines for a person, `advice`
    what to do about it, `sent` and `received` what went over the line (shown when asked for), `data` the facts."""

    name: str
    verdict: StepVerdict
    summary: str
    seconds: float | None = None
    details: tuple[str, ...] = ()
    advice: tuple[str, ...] = ()
    sent: tuple[str, ...] = ()
    received: tuple[str, ...] = ()
    data: Mapping[str, object] = field(default_factory=dict)

    def as_json(self) -> dict[str, object]:
        """Return the facts and the words, for a program."""
        found: dict[str, object] = {"step": self.name, "verdict": self.verdict.value, "summary": self.summary}
        if self.seconds is not None:
            found["milliseconds"] = round(self.seconds * 1000, 2)
        for name in ("details", "advice", "sent", "received"):
            if lines := getattr(self, name):
                found[name] = list(lines)
        return {**found, **self.data}


Say = Callable[[ProbeStep], None]
"""Is told each step as soon as it is known."""


class ProbeFailed(Exception):
    """The probe cannot go on; the step that says why has been told."""

    def __init__(self, exit: Exit) -> None:
        super().__init__(exit)
        self.exit = exit


def safe(text: str, longest: int = LONGEST) -> str:
    """Write what somebody else sent as one short line that cannot do anything to a terminal.

    `text` is latin-1 text: what is UTF-8 in it is shown as the characters it means, what is not printable as `\x1b`.
    """
    try:
        text = text.encode("latin-1").decode("utf-8")
    except UnicodeError:
        pass
    cut = text[:longest]
    shown = cut if cut.isprintable() else "".join(char if char.isprintable() else _escaped(char) for char in cut)
    return shown + "..." if len(text) > longest else shown


def _escaped(char: str) -> str:
    number = ord(char)
    if char in "\r\n\t":
        return {"\r": "\\r", "\n": "\\n", "\t": "\\t"}[char]
    return f"\\x{number:02x}" if number < 0x100 else f"\\u{number:04x}" if number < 0x10000 else f"\\U{number:08x}"


def time_shown(seconds: float) -> str:
    """Write a time as `0.8 ms`, `12 ms`, `1.25 s`, `90 s`."""
    if seconds < 0.01:
        return f"{seconds * 1000:.1f} ms"
    if seconds < 1:
        return f"{seconds * 1000:.0f} ms"
    return f"{seconds:.2f} s" if seconds < 10 else f"{seconds:.1f} s"

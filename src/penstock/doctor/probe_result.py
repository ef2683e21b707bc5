"""How to probe, and what was found."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from penstock.doctor.probe_handshake import Answer
from penstock.doctor.probe_steps import Exit, Step, Verdict, safe
from penstock.doctor.probe_target import Target

SAME_HOST = "same-host"
"""For `Options.origin`: what a page on the same host would send."""


@dataclass(frozen=True, slots=True)
class Options:
    """How to probe. Times are seconds; `idle` 0 leaves silence out; `origin` is SAME_HOST, None for none, or what to
    send. `trusted`, `certificate` and `key` are PEM files, `days` how early a certificate's end is worth a warning.
    `address` is a host to connect to in the place of the target's. `http2`: inside of HTTP/2 (RFC 8441)."""

    timeout: float = 10.0
    idle: float = 0.0
    origin: str | None = SAME_HOST
    protocols: str | None = None
    headers: tuple[tuple[str, str], ...] = ()
    compression: bool = True
    echo: bool = True
    insecure: bool = False
    trusted: str | None = None
    certificate: str | None = None
    key: str | None = None
    address: str | None = None
    days: int = 14
    http2: bool = False


@dataclass(slots=True)
class Result:
    """What a probe has found; `answer` is the handshake's, `facts` what two probes can be compared by."""

    target: Target
    exit: Exit = Exit.FINE
    steps: list[Step] = field(default_factory=list)
    answer: Answer | None = None
    facts: dict[str, Any] = field(default_factory=dict)

    @property
    def failure(self) -> Step | None:
        """The first step that failed."""
        return next((step for step in self.steps if step.verdict is Verdict.FAIL), None)

    def as_json(self) -> dict[str, Any]:
        return {
            "url": safe(self.target.url, 2000),
            "healthy": self.exit is Exit.FINE,
            "exit": int(self.exit),
            "steps": [step.as_json() for step in self.steps],
        }

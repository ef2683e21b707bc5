"""How to probe, and what was found."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from penstock.doctor.probe.handshake import ProbeAnswer
from penstock.doctor.probe.steps import Exit, ProbeStep, StepVerdict, safe
from penstock.doctor.probe.target import ProbeTarget

SAME_HOST = "same-host"
"""For `Options.origin`: what a page on the same host would send."""


@dataclass(frozen=True, slots=True)
class ProbeOptions:
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

    target: ProbeTarget
    exit: Exit = Exit.FINE
    steps: list[ProbeStep] = field(default_factory=list)
    answer: ProbeAnswer | None = None
    facts: dict[str, Any] = field(default_factory=dict)

    @property
    def failure(self) -> ProbeStep | None:
        """Return the first step that failed."""
        return next((step for step in self.steps if step.verdict is StepVerdict.FAIL), None)

    def as_json(self) -> dict[str, object]:
        return {
            "url": safe(self.target.url, 2000),
            "healthy": self.exit is Exit.FINE,
            "exit": int(self.exit),
            "steps": [step.as_json() for step in self.steps],
        }

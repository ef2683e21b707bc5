"""All rules over one configuration; and what compiling it said, where that is known.

Nothing here needs the configuration to be compiled: `problems` are handed in by who could try.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass

from penstock.config.errors import ConfigError
from penstock.config.source import Source
from penstock.config.tree import Directive
from penstock.doctor.finding import ERROR, NOTE, WARNING, Finding, Severity
from penstock.doctor.ignore import Ignored
from penstock.doctor.level import PLACEHOLDERS
from penstock.doctor.machine import Machine
from penstock.doctor.rules import BY_ID, TABLE
from penstock.doctor.rules.capacity import Capacity, capacity
from penstock.doctor.site import Site, Target

SYNTAX, MACHINE = "config", "machine"
OTHER_IDS = {
    SYNTAX: "the configuration is not accepted",
    MACHINE: "something this configuration needs is not on this machine",
    "ignore-unknown": "a comment ignores a rule that does not exist",
}
"""What is reported under an id without being a rule of its own."""
_OF_THE_MACHINE = (
    "host not found", "cannot load ", "open() ", "getpwnam", "getgrnam", "pread() ", "stat() ", "SSL_CTX_",
)  # fmt: skip
_OF_PENSTOCK = ("unknown directive", "directive is not supported", "is not supported", "HTTP/3 is not spoken")


@dataclass(frozen=True, slots=True)
class Report:
    """What was found, in the order of files and lines; `ignored` is what comments have put aside."""

    findings: tuple[Finding, ...]
    ignored: int
    capacity: Capacity
    tunnels: bool
    """Whether WebSockets get through anywhere, so that the capacity means something."""
    sources: tuple[Source, ...]
    torn: frozenset[str] = frozenset()
    """Files whose braces or quotes do not add up."""

    def at_least(self, severity: Severity) -> list[Finding]:
        return [each for each in self.findings if each.severity >= severity]

    def count(self, severity: Severity) -> int:
        return sum(each.severity is severity for each in self.findings)


def check(
    tree: tuple[Directive, ...],
    sources: Iterable[Source],
    problems: Iterable[ConfigError],
    *,
    target: Target,
    machine: Machine,
    torn: Collection[str] = (),
) -> Report:
    """Look at a configuration with every rule. `torn` are files whose braces or quotes do not add up."""
    sources = tuple(sources)
    problems = tuple(problems)
    holes = [each.span for each in problems if each.span is not None and each.message.startswith("open() ")]
    site = Site(tree, target, machine, holes)
    found = list(dict.fromkeys(finding for rule in TABLE for finding in rule.look(site)))
    told = {line for finding in found if finding.severity is ERROR for line in finding.lines}
    found += [each for each in map(_from_problem, problems) if _concerns(each, target) and not each.lines & told]
    ignored = Ignored(tree, sources, {*BY_ID, *OTHER_IDS})
    kept = [each for each in found if not ignored.covers(each)]
    order = {source.path: place for place, source in enumerate(sources)}
    shown = [*kept, *ignored.unknown]
    shown.sort(key=lambda each: (order.get(each.place[0], -1), each.place[1:], -each.severity))
    return Report(
        tuple(dict.fromkeys(shown)),
        len(found) - len(kept),
        capacity(site),
        any(place.passes_websockets for place in site.passes),
        sources,
        frozenset(torn),
    )


def _from_problem(problem: ConfigError) -> Finding:
    span = problem.span
    if span is not None and span.source.line(span.line).strip() in PLACEHOLDERS:
        return Finding(SYNTAX, NOTE, "something has been left out of this example", span)
    machine = problem.message.startswith(_OF_THE_MACHINE)
    severity = NOTE if machine else ERROR if problem.level == "emerg" else WARNING
    return Finding(
        MACHINE if machine else SYNTAX,
        severity,
        problem.message,
        span,
        label=problem.label or "",
        advice=problem.hint or "",
    )


def _concerns(finding: Finding, target: Target) -> bool:
    """What Penstock alone would refuse does not concern who stays with nginx."""
    return not (target.nginx and any(each in finding.message for each in _OF_PENSTOCK))

"""All rules over one configuration; and what compiling it said, where that is known.

Nothing here needs the configuration to be compiled: `problems` are handed in by who could try.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass

from penstock.config.errors import ConfigError
from penstock.config.source import Source
from penstock.config.tree import Directive
from penstock.doctor.attempt import Rehearse
from penstock.doctor.finding import ERROR, NOTE, Finding, Severity
from penstock.doctor.ignore import Ignored
from penstock.doctor.problems import MACHINE, SYNTAX, findings
from penstock.doctor.rules import BY_ID, LOUD, TABLE
from penstock.doctor.rules.capacity import Capacity, capacity
from penstock.doctor.rules.redirected import redirected
from penstock.doctor.site.machine import Machine
from penstock.doctor.site.site import CheckedProgram, Site

GENERAL_WAY = "general-way"
OTHER_IDS = {
    SYNTAX: "the configuration is not accepted",
    MACHINE: "something this configuration needs is not on this machine",
    "ignore-unknown": "a comment ignores a rule that does not exist",
    GENERAL_WAY: "requests take the general way, which costs more than the straight one (--performance)",
}
"""What is reported under an id without being a rule of its own."""


@dataclass(frozen=True, slots=True)
class Ways:
    """How many of the locations that pass requests on have the straight way, and what is said of the others."""

    straight: int
    locations: int
    findings: tuple[Finding, ...]


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
    redirected: tuple[str, ...] = ()
    """Paths of locations to which a handshake without their final slash is redirected."""
    ways: Ways | None = None
    """Which ways requests take, where that was asked for."""

    def at_least(self, severity: Severity) -> list[Finding]:
        """Return the findings of that severity or a worse one, and what was asked for besides."""
        return [each for each in self.findings if each.severity >= severity or each.rule == GENERAL_WAY]

    def shown(self, severity: Severity) -> list[Finding]:
        """Return the findings as `at_least` does, with what is worth seeing even by who wants no notes."""
        return [each for each in self.findings if each.severity >= severity or each.rule in (*LOUD, GENERAL_WAY)]

    def fails(self, severity: Severity) -> bool:
        """Return whether something of that severity is wrong: which way requests take is not."""
        return any(each.severity >= severity and each.rule != GENERAL_WAY for each in self.findings)

    def count(self, severity: Severity) -> int:
        return sum(each.severity is severity for each in self.findings)


def check(
    tree: tuple[Directive, ...],
    sources: Iterable[Source],
    problems: Iterable[ConfigError],
    *,
    target: CheckedProgram,
    machine: Machine,
    torn: Collection[str] = (),
    piece: bool = False,
    rehearse: Rehearse | None = None,
    ways: Ways | None = None,
) -> Report:
    """Look at a configuration with every rule. `torn` are files whose braces or quotes do not add up; a `piece` is not
    all there is; `rehearse` tries handshakes; `ways` is reported besides."""
    sources = tuple(sources)
    problems = tuple(problems)
    holes = [each.span for each in problems if each.span is not None and each.message.startswith("open() ")]
    site = Site(tree, target, machine, holes, piece=piece, rehearse=rehearse)
    found = list(dict.fromkeys(finding for rule in TABLE for finding in rule.look(site)))
    told = {line for finding in found if finding.severity is ERROR for line in finding.lines}
    said = [*findings(problems, site.main, target, piece=piece), *_unwhole(site)]
    found += [each for each in said if not each.lines & told]
    found += () if ways is None else ways.findings
    ignored = Ignored(tree, sources, {*BY_ID, *OTHER_IDS})
    kept = [each for each in found if not ignored.covers(each)]
    order = {source.path: place for place, source in enumerate(sources)}
    shown = [*kept, *ignored.unknown]
    shown.sort(key=lambda each: (order.get(each.place[0], -1), each.place[1:], -each.severity))
    return Report(
        tuple(dict.fromkeys(shown)),
        len(found) - len(kept),
        capacity(site),
        not piece and any(place.passes_websockets for place in site.passes),
        sources,
        frozenset(torn),
        redirected(site),
        ways,
    )


def _unwhole(site: Site) -> Iterator[Finding]:
    """An http section alone: pages show it so, no server takes it so."""
    http = next((each for each in site.main.below if each.kind == "http"), None)
    if site.piece and http is not None:
        yield Finding(
            SYNTAX,
            NOTE,
            'there is no "events" section, so this is taken as a piece of a configuration',
            http.span,
            advice="a whole one needs: events { }",
        )

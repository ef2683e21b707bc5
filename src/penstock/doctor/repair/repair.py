"""Putting right what can be put right by itself: fix, look again, until nothing is left to fix.

One fix may make room for another (a location that lets WebSockets through needs a timeout), and two may want the same
place; so they are applied in rounds, each to what the round before made. A round after which more is refused is taken
back. In a file whose braces or quotes do not add up nothing is changed but what is an error itself: there is no telling
what belongs where.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Callable, Iterable, Mapping

from penstock.config.source import Source
from penstock.doctor.check import Report
from penstock.doctor.finding import ERROR, Edit, Finding, Severity

ROUNDS = 20
_LINE = re.compile(r"[^\n]*\n|[^\n]+\Z")

Examine = Callable[[Mapping[str, str]], Report]
"""Looks at the configuration with these texts in place of files of these names."""


def repair(examine: Examine, least: Severity) -> tuple[dict[str, str], list[Finding], Report]:
    """Repair what can be: new texts by file, what was put right, and what is found afterwards."""
    texts: dict[str, str] = {}
    done: list[Finding] = []
    report = examine(texts)
    for _ in range(ROUNDS):
        wanted = [each for each in report.at_least(least) if _possible(each, report)]
        chosen = _together(wanted)
        if not chosen:
            break
        edits = [edit for each in chosen if each.fix is not None for edit in each.fix.edits]
        changed = {**texts, **apply(edits)}
        after = examine(changed)
        if after.count(ERROR) > report.count(ERROR):
            break
        texts, report = changed, after
        done += chosen
    return texts, done, report


def _possible(finding: Finding, report: Report) -> bool:
    if finding.fix is None or all(edit.source.text[edit.start : edit.end] == edit.text for edit in finding.fix.edits):
        return False
    return finding.severity is ERROR or not any(edit.source.path in report.torn for edit in finding.fix.edits)


def _together(findings: Iterable[Finding]) -> list[Finding]:
    """Those whose edits do not meet; of two that do, the first, and the worst before the others."""
    taken: list[Edit] = []
    chosen = []
    for finding in sorted(findings, key=lambda each: -each.severity):
        assert finding.fix is not None
        if any(_meet(edit, other) for edit in finding.fix.edits for other in taken):
            continue
        taken += finding.fix.edits
        chosen.append(finding)
    return chosen


def _meet(one: Edit, two: Edit) -> bool:
    if one.source.path != two.source.path:
        return False
    return one.start <= two.end and two.start <= one.end


def apply(edits: Iterable[Edit]) -> dict[str, str]:
    """Apply the edits to the texts of the sources. They do not meet each other; equal ones count once."""
    by_path: dict[str, list[Edit]] = {}
    sources: dict[str, Source] = {}
    for edit in dict.fromkeys(edits):
        by_path.setdefault(edit.source.path, []).append(edit)
        sources[edit.source.path] = edit.source
    made = {}
    for path, changes in by_path.items():
        text = sources[path].text
        for edit in sorted(changes, key=lambda each: (each.start, each.end), reverse=True):
            text = text[: edit.start] + edit.text + text[edit.end :]
        made[path] = text
    return made


def difference(path: str, before: str, after: str) -> list[str]:
    """Write the lines of a unified diff, byte for byte as `patch` reads it. All is latin-1 text."""
    made: list[str] = []
    for line in difflib.unified_diff(_LINE.findall(before), _LINE.findall(after), path, path):
        made.append(line)
        if not line.endswith("\n"):
            made[-1:] = [f"{line}\n", "\\ No newline at end of file\n"]
    return made

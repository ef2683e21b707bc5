"""What was found, as text for a person, JSON for a program, and annotations for GitHub's actions."""

from __future__ import annotations

import json
from collections.abc import Callable

from penstock.config.errors import excerpt
from penstock.config.source import Span, shown
from penstock.doctor.check import Report, Ways
from penstock.doctor.finding import ERROR, NOTE, WARNING, Finding, Severity
from penstock.doctor.rules import BY_ID

Paint = Callable[[str, str], str]
_STYLE = {ERROR: "red", WARNING: "yellow", NOTE: "cyan"}


def plain(style: str, words: str) -> str:
    """Paint nothing: return the text as it is."""
    return words


def as_text(report: Report, least: Severity | None = NOTE, paint: Paint = plain) -> str:
    """Write findings as a compiler does: place, what, the line with carets, what to do. `least` None: warnings, errors,
    and the notes that everybody should see."""
    findings = _chosen(report, least)
    parts = [_finding(each, paint, least) for each in findings]
    parts.append(_summary(report, findings, least))
    return "\n\n".join(parts) + "\n"


def _chosen(report: Report, least: Severity | None) -> list[Finding]:
    return report.shown(WARNING) if least is None else report.at_least(least)


def _finding(finding: Finding, paint: Paint, least: Severity | None) -> str:
    word = paint(_STYLE[finding.severity], finding.severity.word)
    lines = [f"{_place(finding)}{word}: {paint('bold', shown(finding.message))} [{finding.rule}]"]
    if finding.span is not None:
        lines += excerpt(finding.span, finding.label or None)
    for each in finding.related:
        lines.append(f"     = {shown(each.span.file)}:{each.span.line}: {shown(each.text)}")
    if finding.advice:
        first, *rest = finding.advice.split("\n")
        lines.append(f"     = {shown(first)}")
        lines += [f"       {shown(line)}" for line in rest]
    if finding.fix is not None:
        how = "--fix --level note" if least is None and finding.severity is NOTE else "--fix"
        lines.append(f"     = {how} can do it: {shown(finding.fix.title)}")
    return "\n".join(lines)


def _place(finding: Finding) -> str:
    file, line, column = finding.place
    return f"{shown(file)}:{line}:{column}: " if file else ""


def _summary(report: Report, findings: list[Finding], least: Severity | None) -> str:
    counts = [(severity, sum(each.severity is severity for each in findings)) for severity in (ERROR, WARNING, NOTE)]
    said = [f"{count} {severity.word}{'s' if count > 1 else ''}" for severity, count in counts if count]
    line = ", ".join(said) if said else "nothing found"
    hidden = len(report.findings) - len(findings)
    if hidden:
        line += f" ({hidden} below that; --level note shows all)"
    if report.ignored:
        line += f" ({report.ignored} ignored by comments)"
    fixable = sum(each.fix is not None and (least is not None or each.severity > NOTE) for each in findings)
    if fixable:
        line += f"; --fix can put {fixable} of them right"
    explained = list(dict.fromkeys(each.rule for each in findings if each.rule in BY_ID))
    if len(explained) == 1:
        line += f"; penstock check --explain {explained[0]} says more"
    lines = [line]
    if len(explained) > 1:
        width = max(map(len, explained))
        lines.append("the page of each rule, with symptom, cause and cure:")
        lines += [f"  penstock check --explain {rule:<{width}}   {BY_ID[rule].title}" for rule in explained]
    lines += map(_redirected, report.redirected)
    if report.ways is not None:
        lines.append(_ways(report.ways))
    if report.tunnels:
        lines.append(_capacity(report))
    return "\n".join(lines)


def _redirected(path: str) -> str:
    return (
        f'a handshake to "{shown(path.rstrip("/"))}" is redirected (301) to location {shown(path)}, which no browser '
        "follows: clients have to ask with the slash"
    )


def _ways(ways: Ways) -> str:
    if not ways.locations:
        return "no location is known to pass requests on"
    if ways.straight == ways.locations:
        return "every location that passes requests on has the straight way"
    return f"{ways.straight} of {ways.locations} locations that pass requests on have the straight way"


def _capacity(report: Report) -> str:
    held = report.capacity
    limits = [f"worker_connections {held.connections} allow {held.by_connections} (a tunnel takes two)"]
    limits.append("open files any number" if held.by_descriptors is None else f"open files {held.by_descriptors}")
    limits.append("ports any number" if held.by_ports is None else f"ports to one backend {held.by_ports}")
    many = "s" if held.workers > 1 else ""
    return f"{held.tunnels} WebSockets at once on this machine, with {held.workers} worker{many}: {', '.join(limits)}"


def as_json(report: Report, least: Severity = NOTE) -> str:
    """Write findings as one object; its keys are documented in docs/cli.md."""
    held = report.capacity
    data = {
        "version": 1,
        "findings": [_object(each) for each in report.at_least(least)],
        "ignored": report.ignored,
        "capacity": {
            "tunnels": held.tunnels,
            "limit": held.limit,
            "workers": held.workers,
            "by_connections": held.by_connections,
            "by_descriptors": held.by_descriptors,
            "by_ports": held.by_ports,
        },
        "redirected": [shown(each) for each in report.redirected],
        "ways": None
        if report.ways is None
        else {"straight": report.ways.straight, "locations": report.ways.locations},
    }
    return json.dumps(data, indent=2) + "\n"


def _object(finding: Finding) -> dict[str, object]:
    return {
        "rule": finding.rule,
        "severity": finding.severity.word,
        "message": shown(finding.message),
        **_region(finding.span),
        "label": shown(finding.label),
        "advice": shown(finding.advice),
        "related": [{**_region(each.span), "text": shown(each.text)} for each in finding.related],
        "fix": None
        if finding.fix is None
        else {
            "title": shown(finding.fix.title),
            "edits": [
                {"file": shown(each.source.path), "start": each.start, "end": each.end, "text": shown_text(each.text)}
                for each in finding.fix.edits
            ],
        },
    }


def shown_text(text: str) -> str:
    """Decode latin-1 text to the characters it stands for."""
    return text.encode("latin-1").decode("utf-8", "backslashreplace")


def _region(span: Span | None) -> dict[str, object]:
    if span is None:
        return {"file": None, "line": None, "column": None, "end_line": None, "end_column": None}
    line, column = span.source.position(span.start)
    end_line, end_column = span.source.position(span.end)
    return {
        "file": shown(span.file),
        "line": line,
        "column": column,
        "end_line": end_line,
        "end_column": end_column,
    }


def as_github(report: Report, least: Severity = NOTE) -> str:
    """Write findings as workflow commands, which GitHub shows beside the lines of a change."""
    kinds = {ERROR: "error", WARNING: "warning", NOTE: "notice"}
    lines = []
    for each in report.at_least(least):
        where = _region(each.span)
        values: dict[str, object] = {"title": f"penstock check: {each.rule}"}
        if where["file"]:
            values |= {"file": where["file"], "line": where["line"], "col": where["column"]}
            values |= {"endLine": where["end_line"]}
            if where["end_line"] == where["line"]:
                values["endColumn"] = where["end_column"]
        said = ",".join(f"{key}={_property(str(value))}" for key, value in values.items())
        message = shown(each.message) + (f"\n{shown(each.advice)}" if each.advice else "")
        lines.append(f"::{kinds[each.severity]} {said}::{_data(message)}\n")
    return "".join(lines)


def _data(text: str) -> str:
    return text.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")


def _property(text: str) -> str:
    return _data(text).replace(":", "%3A").replace(",", "%2C")

"""What was found, as text for a person, JSON for a program, and annotations for GitHub's actions."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

from penstock.config.errors import excerpt
from penstock.config.source import Span, shown
from penstock.doctor.check import Report
from penstock.doctor.finding import ERROR, NOTE, WARNING, Finding, Severity

Paint = Callable[[str, str], str]
_STYLE = {ERROR: "red", WARNING: "yellow", NOTE: "cyan"}


def plain(style: str, words: str) -> str:
    """Paints nothing."""
    return words


def as_text(report: Report, least: Severity = NOTE, paint: Paint = plain) -> str:
    """As a compiler says it: place, what, the line with carets, what to do."""
    findings = report.at_least(least)
    parts = [_finding(each, paint) for each in findings]
    parts.append(_summary(report, findings))
    return "\n\n".join(parts) + "\n"


def _finding(finding: Finding, paint: Paint) -> str:
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
        lines.append(f"     = --fix can do it: {shown(finding.fix.title)}")
    return "\n".join(lines)


def _place(finding: Finding) -> str:
    file, line, column = finding.place
    return f"{shown(file)}:{line}:{column}: " if file else ""


def _summary(report: Report, findings: list[Finding]) -> str:
    counts = [(severity, sum(each.severity is severity for each in findings)) for severity in (ERROR, WARNING, NOTE)]
    said = [f"{count} {severity.word}{'s' if count > 1 else ''}" for severity, count in counts if count]
    line = ", ".join(said) if said else "nothing found"
    hidden = len(report.findings) - len(findings)
    if hidden:
        line += f" ({hidden} below that; --level note shows all)"
    if report.ignored:
        line += f" ({report.ignored} ignored by comments)"
    fixable = sum(each.fix is not None for each in findings)
    if fixable:
        line += f"; --fix can put {fixable} of them right"
    return f"{line}\n{_capacity(report)}" if report.tunnels else line


def _capacity(report: Report) -> str:
    held = report.capacity
    limits = [f"worker_connections allow {held.by_connections}"]
    limits.append("open files any number" if held.by_descriptors is None else f"open files {held.by_descriptors}")
    limits.append("ports any number" if held.by_ports is None else f"ports to one backend {held.by_ports}")
    many = "s" if held.workers > 1 else ""
    return f"{held.tunnels} WebSockets at once on this machine, with {held.workers} worker{many}: {', '.join(limits)}"


def as_json(report: Report, least: Severity = NOTE) -> str:
    """One object; its keys are documented in docs/cli.md."""
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
    }
    return json.dumps(data, indent=2) + "\n"


def _object(finding: Finding) -> dict[str, Any]:
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
    """Latin-1 text as the characters it stands for."""
    return text.encode("latin-1").decode("utf-8", "backslashreplace")


def _region(span: Span | None) -> dict[str, Any]:
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
    """Workflow commands, which GitHub shows beside the lines of a change."""
    kinds = {ERROR: "error", WARNING: "warning", NOTE: "notice"}
    lines = []
    for each in report.at_least(least):
        where = _region(each.span)
        values = {"title": f"penstock check: {each.rule}"}
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

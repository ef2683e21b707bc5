"""What was found as SARIF 2.1.0, which code hosts and editors read (OASIS, sarif-v2.1.0)."""

from __future__ import annotations

import json
from urllib.parse import quote

from penstock import __version__
from penstock.config.source import Source, Span, shown
from penstock.doctor.check import OTHER_IDS, Report
from penstock.doctor.finding import ERROR, NOTE, WARNING, Edit, Finding, Fix, Severity
from penstock.doctor.reports.pages import page_of
from penstock.doctor.reports.report import shown_text
from penstock.doctor.rules import TABLE

_LEVELS = {ERROR: "error", WARNING: "warning", NOTE: "note"}
_SCHEMA = "https://json.schemastore.org/sarif-2.1.0.json"


def as_sarif(report: Report, least: Severity = NOTE) -> str:
    """Write one run with every rule, and the findings as its results. Columns count characters."""
    rules = _rules()
    places = {rule["id"]: place for place, rule in enumerate(rules)}
    log = {
        "$schema": _SCHEMA,
        "version": "2.1.0",
        "runs": [
            {
                "tool": {"driver": {"name": "penstock check", "version": __version__, "rules": rules}},
                "columnKind": "unicodeCodePoints",
                "results": [_result(each, places[each.rule]) for each in report.at_least(least)],
            }
        ],
    }
    return json.dumps(log, indent=2) + "\n"


def _rules() -> list[dict[str, object]]:
    made: list[dict[str, object]] = [
        {
            "id": rule.id,
            "shortDescription": {"text": rule.title},
            "fullDescription": {"text": rule.title},
            "help": _help(rule.id),
            "defaultConfiguration": {"level": _LEVELS[rule.severity]},
        }
        for rule in TABLE
    ]
    made += [{"id": name, "shortDescription": {"text": title}} for name, title in OTHER_IDS.items()]
    return made


def _help(rule: str) -> dict[str, str]:
    """The whole page, for who has no clone of this project; and the command that shows it."""
    page = page_of(rule)
    text = f"penstock check --explain {rule}"
    return {"text": f"{page}\n{text}\n", "markdown": page} if page else {"text": text}


def _result(finding: Finding, place: int) -> dict[str, object]:
    text = shown(finding.message) + (f"\n{shown(finding.advice)}" if finding.advice else "")
    made: dict[str, object] = {
        "ruleId": finding.rule,
        "ruleIndex": place,
        "level": _LEVELS[finding.severity],
        "message": {"text": text},
        "locations": [] if finding.span is None else [{"physicalLocation": _physical(finding.span)}],
    }
    if finding.related:
        made["relatedLocations"] = [
            {"id": number, "physicalLocation": _physical(each.span), "message": {"text": shown(each.text)}}
            for number, each in enumerate(finding.related, 1)
        ]
    if finding.fix is not None:
        made["fixes"] = [_fix(finding.fix)]
    return made


def _physical(span: Span) -> dict[str, object]:
    return {"artifactLocation": {"uri": _uri(span.file)}, "region": _region(span)}


def _region(span: Span) -> dict[str, int]:
    line, column = _position(span.source, span.start)
    end_line, end_column = _position(span.source, span.end)
    return {"startLine": line, "startColumn": column, "endLine": end_line, "endColumn": end_column}


def _position(source: Source, offset: int) -> tuple[int, int]:
    line, column = source.position(offset)
    return line, len(shown_text(source.line(line)[: column - 1])) + 1


def _fix(fix: Fix) -> dict[str, object]:
    files: dict[str, list[Edit]] = {}
    for edit in fix.edits:
        files.setdefault(edit.source.path, []).append(edit)
    return {
        "description": {"text": shown(fix.title)},
        "artifactChanges": [
            {
                "artifactLocation": {"uri": _uri(path)},
                "replacements": [
                    {
                        "deletedRegion": _region(Span(edit.source, edit.start, edit.end)),
                        "insertedContent": {"text": shown_text(edit.text)},
                    }
                    for edit in edits
                ],
            }
            for path, edits in files.items()
        ],
    }


def _uri(path: str) -> str:
    """A relative reference for a relative path, a file URI for an absolute one."""
    escaped = quote(path.encode("latin-1"))
    return f"file://{escaped}" if path.startswith("/") else escaped

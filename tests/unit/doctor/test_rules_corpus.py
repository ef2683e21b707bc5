"""Each rule has a folder in `tests/corpus/rules`: a bad configuration, the report on it, the cure, a near miss.

`fixed.conf` is what `--fix` makes of `bad.conf`; of a rule that puts nothing right by itself it is what a person would.
"""

import re
from pathlib import Path

import pytest

from penstock.cli.check.dry_run import rehearser
from penstock.cli.reading import Read, read
from penstock.doctor.check import Report, check
from penstock.doctor.finding import NOTE, WARNING
from penstock.doctor.repair.repair import repair
from penstock.doctor.reports.report import as_text
from penstock.doctor.rules import BY_ID, TABLE
from penstock.doctor.site.machine import Machine
from penstock.doctor.site.site import CheckedProgram
from penstock.process.startup.launch import Launch

ROOT = Path(__file__).resolve().parents[3]
CORPUS = ROOT / "tests" / "corpus" / "rules"
PAGES = ROOT / "docs" / "rules"
MACHINE = Machine(descriptors=10_000, most_descriptors=1_048_576, ports=28_232, cores=2, root=True)
BY_HAND = {"capacity-ports", "if-trap", "ip-hash-behind-proxy", "name-resolved-once", "regex-backtracking"}
"""Rules whose cure needs to know what no file says."""
OF_NGINX = {"auth-request-upgrade", "decoded-variable", "name-resolved-once"}
"""Rules about what Penstock does by itself."""

each_rule = pytest.mark.parametrize("rule", [rule.id for rule in TABLE])


def examined(name: str, texts: dict[str, str], *, nginx: bool = False) -> tuple[Read, Report]:
    launch = Launch("./", name, "")
    found = read(launch, texts)
    return found, check(
        found.tree,
        found.sources,
        found.problems,
        target=CheckedProgram(nginx),
        machine=MACHINE,
        piece=found.piece,
        rehearse=rehearser(launch, texts, found),
    )


def reported(rule: str, name: str, texts: dict[str, str] | None = None) -> Report:
    return examined(name, texts or {}, nginx=rule in OF_NGINX)[1]


def test_every_rule_has_its_folder_and_no_folder_is_left_over() -> None:
    assert sorted(entry.name for entry in CORPUS.iterdir()) == sorted(BY_ID)


@each_rule
def test_the_report_on_the_bad_one(rule: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(CORPUS / rule)
    report = reported(rule, "bad.conf")
    assert {each.rule for each in report.findings} == {rule}
    assert as_text(report) == Path("report.txt").read_text("utf-8")
    assert max(each.severity for each in report.findings) <= BY_ID[rule].severity


@each_rule
def test_the_fix(rule: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(CORPUS / rule)
    texts, done, after = repair(lambda texts: reported(rule, "bad.conf", dict(texts)), NOTE)
    if rule in BY_HAND:
        assert not done
    else:
        assert texts == {"bad.conf": Path("fixed.conf").read_text("latin-1")}
        assert not after.findings
    found, left = examined("fixed.conf", {}, nginx=rule in OF_NGINX)
    assert not left.findings, as_text(left)
    assert found.plan is not None, "it is accepted"


@each_rule
def test_the_fix_leaves_the_rest_as_it_is(rule: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Comments stay, and a line is changed only where it is the line that was wrong."""
    monkeypatch.chdir(CORPUS / rule)
    if rule in BY_HAND:
        return
    bad, fixed = (Path(name).read_text("utf-8") for name in ("bad.conf", "fixed.conf"))
    assert re.findall(r"#.*", bad) == re.findall(r"#.*", fixed)
    kept = set(bad.splitlines()) & set(fixed.splitlines())
    assert len(set(bad.splitlines()) - kept) <= 3


@each_rule
def test_windows_line_ends_stay(rule: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(CORPUS / rule)
    if rule in BY_HAND:
        return
    bad, fixed = (Path(name).read_text("latin-1").replace("\n", "\r\n") for name in ("bad.conf", "fixed.conf"))
    texts, _, _ = repair(lambda texts: reported(rule, "bad.conf", {"bad.conf": bad, **texts}), NOTE)
    assert texts["bad.conf"] == fixed


@each_rule
def test_the_near_miss_stays_silent(rule: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(CORPUS / rule)
    report = reported(rule, "near-miss.conf")
    assert rule not in {each.rule for each in report.findings}
    assert not report.at_least(WARNING), as_text(report)


@each_rule
def test_a_comment_puts_it_aside(rule: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(CORPUS / rule)
    text = Path("bad.conf").read_text("latin-1")
    report = reported(rule, "bad.conf", {"bad.conf": f"# penstock: ignore-file {rule} we know\n{text}"})
    assert not report.findings
    assert report.ignored
    line = reported(rule, "bad.conf").findings[0].place[1]
    lines = text.splitlines(keepends=True)
    lines.insert(line - 1, f"# penstock: ignore {rule} we know\n")
    above = reported(rule, "bad.conf", {"bad.conf": "".join(lines)})
    assert above.ignored


@each_rule
def test_its_page(rule: str) -> None:
    """Symptom as people type it, cause, cure; and the corpus's own line of the report."""
    page = (PAGES / f"{rule}.md").read_text("utf-8")
    assert page.startswith(f"# {rule}\n")
    for heading in ("## What people see", "## Why", "## What to do"):
        assert heading in page, heading
    assert BY_ID[rule].title in page.replace("\n", " ").replace("`", "")


def test_the_list_of_pages() -> None:
    text = (PAGES / "README.md").read_text("utf-8")
    assert re.findall(r"\[([a-z0-9.-]+)\]\(\1\.md\)", text) == [rule.id for rule in TABLE]
    assert sorted(path.stem for path in PAGES.glob("*.md") if path.stem != "README") == sorted(BY_ID)

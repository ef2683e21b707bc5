"""Every case through a live nginx and through Penstock: they agree, or known.toml says why not. See README.md."""

from collections.abc import Iterator
from fnmatch import fnmatchcase
from pathlib import Path

import pytest

from differential.cases import Case, areas, load
from differential.known import judge, table
from differential.run import Both, Outcome, Surprising, reference_version, run
from harness.binary import stream_module

AREAS = {name: area for name in areas() if not (area := load(name)).streams or stream_module() is not None}
CASES = [case for area in AREAS.values() for case in area.cases]
WORDS = Path(__file__).parents[2] / "docs" / "differences.md"

pytestmark = [
    pytest.mark.skipif(reference_version() is None, reason="no nginx to compare with (set NGINX_BINARY)"),
    pytest.mark.timeout(120),
]


class ByTable(Surprising):
    """Surprising is what the table does not say."""

    def __init__(self) -> None:
        at_hand = reference_version()
        assert at_hand is not None
        self.rows = [row for row in table() if row.applies_to(at_hand)]

    def __call__(self, both: Both) -> bool:
        verdict = judge(both.case.id, both.nginx.answers, both.differences, self.rows)
        return bool(verdict.unlisted or verdict.gone)


class Results:
    """What both did, an area at a time, on first demand."""

    def __init__(self) -> None:
        self.table = ByTable()
        self._areas: dict[str, Outcome] = {}

    def of(self, area: str) -> Outcome:
        if area not in self._areas:
            self._areas[area] = run(AREAS[area], self.table)
        return self._areas[area]


@pytest.fixture(scope="module")
def results() -> Iterator[Results]:
    yield Results()


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.id)
def test_nginx_and_penstock_agree(case: Case, results: Results) -> None:
    both = results.of(case.area).cases[case.name]
    verdict = judge(case.id, both.nginx.answers, both.differences, results.table.rows)
    said = [f"unlisted: {one}" for one in verdict.unlisted]
    said += [f"in known.toml and not seen any more: {gone}" for gone in verdict.gone]
    assert not said, f"{case.about or case.id}\n" + "\n".join(said)


@pytest.mark.parametrize("area", AREAS)
def test_no_alerts_are_logged(area: str, results: Results) -> None:
    assert not results.of(area).alarms


def test_every_row_with_a_pattern_is_seen_somewhere(results: Results) -> None:
    for row in results.table.rows:
        for pattern in row.cases:
            if pattern.partition("/")[0] not in AREAS and pattern.partition("/")[0] in areas():
                continue  # it can not be tried here
            if not any(fnmatchcase(case.id, pattern) for case in CASES):
                pytest.fail(f"{row.title}: there is no case {pattern}")
            if "*" not in pattern:
                continue
            within = [results.of(case.area).cases[case.name] for case in CASES if fnmatchcase(case.id, pattern)]
            seen = [one for both in within if row.matches(both.case.id, both.nginx.answers) for one in both.differences]
            assert any(row.covers(one) for one in seen), f"{row.title}: not seen any more in {pattern}"


def test_there_are_many_cases() -> None:
    assert len(CASES) >= 200
    assert len({case.id for case in CASES}) == len(CASES)


def test_every_row_has_a_reason_and_is_put_in_words() -> None:
    words = WORDS.read_text("utf-8")
    for row in table():
        assert row.reason.strip(), row.title
        assert row.answers or row.differs, row.title
        assert f"## {row.title}\n" in words, f"docs/differences.md says nothing of: {row.title}"

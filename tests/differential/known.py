"""The table of known differences, `known.toml`; its head describes the format."""

import re
import tomllib
from collections.abc import Iterable
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path

from differential.compare import ANSWERS, Difference

TABLE = Path(__file__).parent / "known.toml"
Version = tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Known:
    """One row. A name with `*` in `cases` must be seen somewhere, any other in each of its cases."""

    title: str
    reason: str
    cases: tuple[str, ...]
    when: tuple[str, ...]
    answers: tuple[str, str] | None
    differs: tuple[str, ...]
    versions: str

    def matches(self, case: str, answers: str) -> bool:
        return any(fnmatchcase(answers, pattern) for pattern in self.when) and any(
            fnmatchcase(case, pattern) for pattern in self.cases
        )

    def applies_to(self, nginx: Version) -> bool:
        """Whether the row is about this version of nginx: `versions` is like ">= 1.29.7 < 1.31.4"."""
        for sign, text in re.findall(r"(<|>=)\s*([0-9.]+)", self.versions):
            bound = version(text)
            if (nginx < bound) != (sign == "<"):
                return False
        return True

    def covers(self, difference: Difference) -> bool:
        if difference.what == ANSWERS:
            return self.answers == (difference.nginx, difference.penstock)
        return any(fnmatchcase(difference.what, pattern) for pattern in self.differs)


@dataclass(frozen=True, slots=True)
class Verdict:
    """Of one case: differences no row covers, and rows that name the case and are not seen in it."""

    unlisted: list[Difference]
    gone: list[str]


def version(text: str) -> Version:
    """(1, 31, 5) of "1.31.5"."""
    return tuple(int(part) for part in text.split("."))


def table() -> list[Known]:
    """All rows, in order."""
    rows = tomllib.loads(TABLE.read_text("utf-8")).get("difference", [])
    return [
        Known(
            row["title"],
            row["reason"],
            tuple(row["cases"]),
            tuple(row.get("when", ["*"])),
            (row["answers"][0], row["answers"][1]) if "answers" in row else None,
            tuple(row.get("differs", ())),
            row.get("nginx", ""),
        )
        for row in rows
    ]


def judge(case: str, answers: str, found: Iterable[Difference], rows: Iterable[Known]) -> Verdict:
    """Compare a case's differences with the rows about it; `answers` are nginx's."""
    differences = list(found)
    about = [row for row in rows if row.matches(case, answers)]
    unlisted = [one for one in differences if not any(row.covers(one) for row in about)]
    gone: list[str] = []
    for row in about:
        if case not in row.cases:
            continue
        if row.answers and not any(one.what == ANSWERS and row.covers(one) for one in differences):
            gone.append(f"{row.title}: answers {row.answers}")
        gone += [
            f"{row.title}: {what}"
            for what in row.differs
            if not any(fnmatchcase(one.what, what) for one in differences)
        ]
    return Verdict(unlisted, gone)

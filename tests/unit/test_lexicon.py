"""The lexicon says where each of our words is defined, and there it is."""

import ast
import re
from collections import defaultdict
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
SOURCE = ROOT / "src" / "penstock"


def _table(heading: str) -> list[list[str]]:
    text = (ROOT / "docs" / "internals" / "lexicon.md").read_text("utf-8")
    part = text.partition(heading)[2].partition("\n## ")[0]
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in part.splitlines() if line[:1] == "|"]
    return rows[2:]


WORDS = _table("# Lexicon")
VERBS = _table("## Verbs")


@cache
def _definitions() -> dict[str, set[str]]:
    """The files in which a function or a class of each name is defined."""
    found: dict[str, set[str]] = defaultdict(set)
    for path in SOURCE.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
                found[node.name].add(str(path.relative_to(SOURCE)))
    return found


def test_each_word_stands_there_once() -> None:
    words = [word for row in WORDS for word in row[0].split(", ")]
    assert len(words) >= 40 and len(words) == len(set(words))
    assert all(len(row) == 4 and all(row) for row in WORDS)


@pytest.mark.parametrize("row", WORDS, ids=lambda row: row[0])
def test_a_word_is_defined_where_the_lexicon_says(row: list[str]) -> None:
    name, file = row[2].strip("`"), row[3].strip("`")
    assert file in _definitions()[name]


@pytest.mark.parametrize("row", VERBS, ids=lambda row: row[0])
def test_a_verb_is_used_where_the_lexicon_says_and_nowhere_else(row: list[str]) -> None:
    assert _definitions()[row[0].strip("`")] == set(re.findall(r"`([^`]+)`", row[2]))


@pytest.mark.parametrize("name", ["look", "succeed", "take_back"])
def test_a_word_that_meant_many_things_stays_away(name: str) -> None:
    assert not _definitions().get(name)

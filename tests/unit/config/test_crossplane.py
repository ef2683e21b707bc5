"""Random configurations: crossplane reads the same tree from valid ones, damaged ones crash nothing."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

import crossplane
from hypothesis import given
from hypothesis import strategies as st

from penstock.config.errors import Problems, render
from penstock.config.parser import parse_text
from penstock.config.tree import Directive

SPACE = st.sampled_from([" ", "\t", "\n", "  ", " # a \"comment' with {;}\n", "\r\n"])
NAMES = st.from_regex(r"[a-z][a-z_0-9]{0,12}", fullmatch=True).filter(
    lambda name: name not in ("include", "if")
)
# Without "}": crossplane ends a word there, nginx does not.
BARE = st.from_regex(r"[a-z0-9_./:=~^*?$,@|<>-][a-z0-9_./:=~^*?,@|<>\"'#-]{0,12}", fullmatch=True)
# Not at the end of a word: there crossplane takes the next character for a part of it.
VARIABLE = st.from_regex(r"[a-z]{0,3}\$\{[a-z]{1,5}\}[a-z]{1,3}", fullmatch=True)
QUOTED = st.text("ab {};#$\n\xe9", max_size=8).flatmap(
    lambda text: st.sampled_from([f'"{text}"', f"'{text}'", f'"{text}\'"', f"'\"{text}'"])
)
ARGUMENT = st.one_of(BARE, VARIABLE, QUOTED)


@st.composite
def directives(draw: st.DrawFn, depth: int = 3) -> str:
    parts = []
    for _ in range(draw(st.integers(0, 4))):
        words = [draw(NAMES), *draw(st.lists(ARGUMENT, max_size=4))]
        text = words[0] + "".join(draw(SPACE) + word for word in words[1:]) + draw(SPACE)
        if depth and draw(st.booleans()):
            parts.append(f"{text}{{{draw(SPACE)}{draw(directives(depth=depth - 1))}}}")
        else:
            parts.append(text + ";")
        parts.append(draw(SPACE))
    return "".join(parts)


def ours(tree: tuple[Directive, ...]) -> list[Any]:
    return [(each.text, list(each.words), None if each.block is None else ours(each.block)) for each in tree]


def theirs(block: list[dict[str, Any]]) -> list[Any]:
    return [
        (each["directive"], each["args"], theirs(each["block"]) if "block" in each else None)
        for each in block
        if each["directive"] != "#"
    ]


@given(directives())
def test_same_tree_as_crossplane(text: str) -> None:
    problems = Problems()
    tree = parse_text(text, "a", problems)
    assert [str(problem) for problem in problems] == []
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "nginx.conf")
        path.write_bytes(text.encode("utf-8"))
        payload = crossplane.parse(str(path), check_ctx=False, check_args=False, comments=False)
    assert payload["errors"] == []
    assert ours(tree) == theirs(payload["config"][0]["parsed"])


DAMAGE = st.lists(
    st.tuples(
        st.floats(0, 1, exclude_max=True),
        st.sampled_from(["", ";", "{", "}", '"', "'", "\\", "\n", "}\n}", "${"]),
    ),
    min_size=1,
    max_size=5,
)


@given(directives(), DAMAGE)
def test_damaged_text_gives_a_tree_and_reports(text: str, damage: list[tuple[float, str]]) -> None:
    for place, replacement in damage:
        at = int(place * len(text))
        text = text[:at] + replacement + text[at + 1 :]
    problems = Problems()
    ours(parse_text(text, "a", problems, known=lambda name: "a" in name))
    for problem in problems:
        assert render(problem).startswith("penstock: [emerg] ")
        assert problem.span is not None
        assert 0 <= problem.span.start <= problem.span.end <= len(text)


@given(st.text().map(lambda text: text.encode("utf-8", "surrogatepass").decode("latin-1")))
def test_any_text_gives_a_tree_and_reports(text: str) -> None:
    problems = Problems()
    parse_text(text, "a", problems, known=lambda name: True)
    assert all(render(problem) for problem in problems)

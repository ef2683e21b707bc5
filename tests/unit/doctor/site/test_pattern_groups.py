"""What the groups of a pattern are, and whether they may hold a line end."""

import pytest

from penstock.doctor.site.pattern_groups import groups, may_hold_line_ends


@pytest.mark.parametrize(
    ("pattern", "found"),
    [
        ("^/(a|b)/(.*)$", [("", "a|b"), ("", ".*")]),
        (r"^/(?<who>\w+)/(?:x)/(?'id'[0-9]+)", [("who", r"\w+"), ("id", "[0-9]+")]),
        (r"\((x)\)[()](y)[]()](z)[^]()]", [("", "x"), ("", "y"), ("", "z")]),
        ("((a)(?=b)(c))", [("", "(a)(?=b)(c)"), ("", "a"), ("", "c")]),
        ("(open", [("", "")]),
    ],
)
def test_groups(pattern: str, found: list[tuple[str, str]]) -> None:
    assert [(each.name, each.text) for each in groups(pattern)] == found


@pytest.mark.parametrize(
    ("text", "may"),
    [
        (".*", False),
        ("[^/]*", True),
        (r"[^/\s]+", False),
        (r"[^\n\r/]+", False),
        (r"\S+", False),
        (r"\W*", True),
        (r"[\s\S]*", True),
        (r"(?s).*", True),
        ("[a-z0-9-]+", False),
        (r"\d+", False),
    ],
)
def test_line_ends(text: str, may: bool) -> None:
    (group,) = groups(f"({text})")[:1]
    assert may_hold_line_ends(group) is may

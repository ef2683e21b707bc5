"""Text for one line: no control character is left in it, and nothing else is changed."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from penstock.config.variables import FAMILIES, VARIABLES, VariableTable
from penstock.config.vocabulary import CLEAN, CLEAN_FAMILIES
from penstock.http.line import location_safe, nul_safe, target_safe, value_safe, written

LATIN = st.text(st.characters(max_codepoint=255))
CONTROL = re.compile(r"[\x00-\x08\x0a-\x1f\x7f]")


@given(LATIN)
def test_no_control_character_is_left(text: str) -> None:
    assert not CONTROL.search(value_safe(text))
    assert not CONTROL.search(written(text))
    assert not re.search(r"[\x00-\x20\x7f]", target_safe(text))
    assert not re.search(r"[\x00-\x1f\x7f]", location_safe(text))
    assert "\0" not in nul_safe(text)


@given(st.text(st.characters(min_codepoint=32, max_codepoint=255, exclude_characters="\x7f")))
def test_what_may_stand_in_a_line_is_left_alone(text: str) -> None:
    assert value_safe(text) == location_safe(text) == nul_safe(text) == text
    assert target_safe(text) == text.replace(" ", "%20")


@pytest.mark.parametrize(
    ("text", "value", "target"),
    [
        ("a\r\nX: y", "a%0D%0AX: y", "a%0D%0AX:%20y"),
        ("a\r\n b", "a b", "a%0D%0A%20b"),
        ("a \n\t b", "a b", "a%20%0A%09%20b"),
        ("a\tb", "a\tb", "a%09b"),
        ("\0\x7f", "%00%7F", "%00%7F"),
        ("\xe9\x85\n", "\xe9\x85%0A", "\xe9\x85%0A"),
    ],
)
def test_how_they_are_written(text: str, value: str, target: str) -> None:
    assert (value_safe(text), target_safe(text)) == (value, target)


def test_what_is_written_over_several_lines_is_one() -> None:
    assert written("\n  default-src 'self';\r\n\timg-src *\n") == "default-src 'self'; img-src *"


def test_clean_variables_are_variables() -> None:
    from penstock.modules.load import known

    known()
    assert VARIABLES.keys() >= CLEAN
    assert FAMILIES.keys() >= CLEAN_FAMILIES


def test_only_what_may_be_unclean_is_looked_at() -> None:
    from penstock.config.errors import Problems
    from penstock.modules.load import known

    known()
    table = VariableTable()
    table.stored("mine")
    looked: list[str] = []

    def mend(request: object, text: str) -> str:
        looked.append(text)
        return "mended"

    clean = table.line("$host:$http_x_odd", None, mend)
    unclean = table.line("$host $mine", None, mend)
    table.bind(Problems())

    class Asked:
        host = "a"
        variables = {"mine": "x\n"}

    assert unclean.evaluate(Asked) == "mended"
    assert looked == ["a x\n"]
    assert clean.evaluate.__name__ != unclean.evaluate.__name__

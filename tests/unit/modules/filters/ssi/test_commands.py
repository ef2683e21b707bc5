"""The scanner for server-side includes: whole texts and texts in pieces."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from penstock.modules.filters.ssi.commands import LONGEST, Scanner, SsiCommand


def scanned(*pieces: str) -> list[str | SsiCommand]:
    scanner = Scanner()
    parts = [part for piece in pieces for part in scanner.feed(piece)]
    rest = scanner.end()
    return [*parts, rest] if rest else parts


@pytest.mark.parametrize(
    ("text", "name", "params"),
    [
        ('<!--#echo var="a" -->', "echo", (("var", "a"),)),
        ('<!--# include virtual="/a?b" wait="yes"-->', "include", (("virtual", "/a?b"), ("wait", "yes"))),
        ("<!--#if expr='$a = \"b\"' -->", "if", (("expr", '$a = "b"'),)),
        ('<!--#set var="a" value="x --> \\" y" -->', "set", (("var", "a"), ("value", 'x --> \\" y'))),
        ("<!--#endif-->", "endif", ()),
        ('<!--#echo\n var = "a"\n-->', "echo", (("var", "a"),)),
        ("<!--#echo var=a -->", "", ()),
        ('<!--#echo "a" -->', "", ()),
        ("<!--#-->", "", ()),
    ],
)
def test_commands(text: str, name: str, params: tuple[tuple[str, str], ...]) -> None:
    assert scanned(f"x{text}y") == ["x", SsiCommand(name, params, text), "y"]


def test_text_that_is_none() -> None:
    assert "".join(map(str, scanned("<!-- #echo -->", "<!--", "-", "#", "<!"))) == "<!-- #echo --><!---#<!"
    assert scanned('<!--#echo var="') == ['<!--#echo var="']


def test_what_is_held_back_is_bounded() -> None:
    scanner = Scanner()
    parts = scanner.feed("<!--#echo " + "x" * LONGEST)
    assert [part.name for part in parts if isinstance(part, SsiCommand)] == [""]
    assert scanner.end() == ""


PARTS = st.lists(st.sampled_from(["<!--#", "echo", ' var="', '"', " -->", "text", "<!", "--", "#", "\n"]), max_size=12)


@given(PARTS, st.integers(0, 40))
def test_pieces_make_no_difference(parts: list[str], cut: int) -> None:
    def joined(found: list[str | SsiCommand]) -> list[str | SsiCommand]:
        made: list[str | SsiCommand] = []
        for part in found:
            if made and isinstance(part, str) and isinstance(made[-1], str):
                made[-1] += part
            else:
                made.append(part)
        return made

    text = "".join(parts)
    assert joined(scanned(text[:cut], text[cut:])) == joined(scanned(text))

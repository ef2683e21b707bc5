"""Log formats: values escaped, the missing shown, and lines frozen for the life of a tunnel."""

import gc
import json
from types import SimpleNamespace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from penstock.config.variables import Variable, inlined, split_template
from penstock.observe.formats import COMBINED, ESCAPES, Format, escape_default, escape_json
from penstock.shared.memo import MOST

LATIN = st.text(st.characters(max_codepoint=255))


def made(text: str, escape: str = "default", late: frozenset[str] = frozenset()) -> Format:
    pieces, names = split_template(text, None)
    form = Format(pieces, names, escape)
    for index, name in enumerate(names):
        form.bind(index, Variable(name, lambda request, name=name: getattr(request, name), None, name in late))
    return form


def test_values_and_texts() -> None:
    form = made('$a [$b] "100%" $a')
    assert form.line(SimpleNamespace(a="x", b="y")) == b'x [y] "100%" x\n'


def test_what_writes_a_line_goes_with_its_format() -> None:
    """It is made at the first line; in a cycle it would outlive the configuration by a collection that never comes."""
    gc.collect()
    gc.disable()
    try:
        form = made("$a $b", late=frozenset("b"))
        request = SimpleNamespace(a="x", b="y")
        form.line(request)
        form.thaw(form.freeze(request), request)
        del form
        assert gc.collect() == 0
    finally:
        gc.enable()


@pytest.mark.parametrize(("escape", "shown"), [("default", b"-||\n"), ("json", b"||\n"), ("none", b"||\n")])
def test_not_found_is_not_empty(escape, shown) -> None:
    assert made("$a|$b|", escape).line(SimpleNamespace(a=None, b="")) == shown


@pytest.mark.parametrize(
    ("escape", "shown"),
    [
        ("default", rb"\x22\x5C\x00\x0A~\x7F\xC3"),
        ("json", b'\\"\\\\\\u0000\\n~\x7f\xc3'),
        ("none", b'"\\\x00\n~\x7f\xc3'),
    ],
)
def test_escapes(escape, shown) -> None:
    assert made("$a", escape).line(SimpleNamespace(a='"\\\0\n~\x7f\xc3')) == shown + b"\n"


@given(LATIN)
def test_default_escape_leaves_printable_ascii_only(text) -> None:
    escaped = escape_default(text)
    assert escaped.isascii()
    assert escaped == "" or escaped.isprintable()
    assert '"' not in escaped
    plain = escaped.encode().decode("unicode_escape")
    assert plain == text


@given(LATIN)
def test_json_escape_is_json(text) -> None:
    assert json.loads(f'"{escape_json(text)}"') == text


@given(st.lists(LATIN, min_size=2, max_size=2))
def test_one_look_at_all_values_is_enough(values) -> None:
    first, second = values
    line = made("$a,$b").line(SimpleNamespace(a=first, b=second))
    assert line.decode("latin-1") == f"{escape_default(first)},{escape_default(second)}\n"


@pytest.mark.parametrize("escape", ["default", "json", "none"])
@given(st.lists(LATIN, min_size=2, max_size=2))
def test_values_that_come_again_are_escaped_each_time(escape, values) -> None:
    form = Format([None, "\t", None], ["a", "b"], escape)
    for at, late in enumerate((False, True)):
        get = inlined("fields.get('a')", recurs=True)(lambda request: request.head.fields.get("a"))
        form.bind(at, Variable("ab"[at], get, None, late))
    one = ESCAPES[escape][0]
    for number in range(3):
        for value in (*values, *(f"{number} {each}" for each in range(MOST if number == 1 else 1))):
            request = SimpleNamespace(head=SimpleNamespace(fields={"a": value}))
            form.line(request)
            assert form.line(request) == f"{one(value)}\t{one(value)}\n".encode("latin-1")
            if "\0" not in value:
                assert form.thaw(form.freeze(request), request) == form.line(request)


@pytest.mark.parametrize("escape", ["default", "json", "none"])
@given(a=LATIN, b=LATIN, c=LATIN)
def test_frozen_line_is_the_line(escape, a, b, c) -> None:
    form = made("<$a> $b:$c$b.", escape, late=frozenset("b"))
    frozen = form.freeze(SimpleNamespace(a=a, c=c))
    thawed = form.thaw(frozen, SimpleNamespace(b=b))
    if "\0" in a + c and escape == "none":
        a, c = a.replace("\0", "\\x00"), c.replace("\0", "\\x00")
    assert thawed == form.line(SimpleNamespace(a=a, b=b, c=c))


def test_frozen_line_asks_late_variables_only() -> None:
    form = made("$a $b", late=frozenset("b"))
    frozen = form.freeze(SimpleNamespace(a="early"))
    assert "early" in frozen
    assert form.thaw(frozen, SimpleNamespace(b=None)) == b"early -\n"


def test_combined_is_nginx_combined() -> None:
    names = split_template(COMBINED, None)[1]
    assert names[0] == "remote_addr"
    assert names[-1] == "http_user_agent"
    assert len(names) == 8

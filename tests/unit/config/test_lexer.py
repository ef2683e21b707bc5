"""The words of a configuration are nginx's words, odd ones included."""

import pytest

from penstock.config.errors import Problems
from penstock.config.lexer import LONGEST, statements
from penstock.config.source import Source


def read(text: str) -> tuple[list[tuple[list[str], str]], list[str]]:
    problems = Problems()
    found = [
        ([word.text for word in words], end) for words, end, _ in statements(Source("a", text), problems)
    ]
    assert found.pop() == ([], ""), "something is left at the end"
    return found, [problem.message for problem in problems]


@pytest.mark.parametrize(
    ("text", "words", "end"),
    [
        ("listen 80;", ["listen", "80"], ";"),
        ("a\tb\r\nc;", ["a", "b", "c"], ";"),
        ("server {", ["server"], "{"),
        ("server{", ["server"], "{"),
        ("}", [], "}"),
        ("a # b;\n c;", ["a", "c"], ";"),
        ("# only\n#\na;", ["a"], ";"),
        ("a b#c d#;", ["a", "b#c", "d#"], ";"),
        ("a \"b c\" 'd e';", ["a", "b c", "d e"], ";"),
        ("a '';", ["a", ""], ";"),
        ('"" a;', ["", "a"], ";"),
        ("a b\"c d'e;", ["a", 'b"c', "d'e"], ";"),
        ('a "b\nc";', ["a", "b\nc"], ";"),
        ('a "b{c};#d";', ["a", "b{c};#d"], ";"),
        ("a }b c};", ["a"], "}"),
        ("a b}c;", ["a", "b}c"], ";"),
        ("a ${b}c;", ["a", "${b}c"], ";"),
        ("a x${b}${c};", ["a", "x${b}${c}"], ";"),
        ("a ${{b;", ["a", "${{b"], ";"),
        ("a $b {", ["a", "$b"], "{"),
        ("a $b{", ["a", "$b"], "{"),
        ("a b$;", ["a", "b$"], ";"),
        (r'a "b\"c" \"d;', ["a", 'b"c', '"d'], ";"),
        (r"a 'b\'c' b\\c;", ["a", "b'c", r"b\c"], ";"),
        (r"a \t\r\n;", ["a", "\t\r\n"], ";"),
        (r"a \.php$ \;b \{;", ["a", r"\.php$", r"\;b", r"\{"], ";"),
        (r"a b\ c;", ["a", r"b\ c"], ";"),
        (r"a $\{b;", ["a", r"$\{b"], ";"),
        (r'a "b\\";', ["a", "b\\"], ";"),
        (r"a '\d';", ["a", r"\d"], ";"),
        ('if ("a"){', ["if", '("a")'], "{"),
        ('if ( "a"){', ["if", "(", "a", ")"], "{"),
        ('a "b"{', ["a", "b"], "{"),
        ("a caf\xc3\xa9 \xff\x00;", ["a", "caf\xc3\xa9", "\xff\x00"], ";"),
    ],
)
def test_one_statement(text: str, words: list[str], end: str) -> None:
    first = next(statements(Source("a", text), Problems()))
    assert ([word.text for word in first.words], first.end) == (words, end)


def test_statements_follow_each_other() -> None:
    found, messages = read("a {b c;d{}}\n;{")
    assert found == [
        (["a"], "{"),
        (["b", "c"], ";"),
        (["d"], "{"),
        ([], "}"),
        ([], "}"),
        ([], ";"),
        ([], "{"),
    ]
    assert messages == []


def test_what_is_left_at_the_end_is_given_too() -> None:
    *_, last = statements(Source("a", "a; b 'c'  # d"), Problems())
    assert ([word.text for word in last.words], last.end) == (["b", "c"], "")


def test_spans_include_quotes() -> None:
    source = Source("a", "x; name 'one two' three;")
    _, statement, _ = statements(source, Problems())
    assert [word.span.text for word in statement.words] == ["name", "'one two'", "three"]
    assert [word.quoted for word in statement.words] == [False, True, False]


@pytest.mark.parametrize(
    ("text", "found", "message"),
    [
        ("a 'b'c; d;", [(["a", "b", "c"], ";"), (["d"], ";")], 'unexpected "c"'),
        ("a 'b'#c\n; d;", [(["a", "b"], ";"), (["d"], ";")], 'unexpected "#"'),
        ("a 'b''c'; d;", [(["a", "b", "c"], ";"), (["d"], ";")], 'unexpected "\'"'),
        ("a 'b\nc'd;", [(["a", "b\nc", "d"], ";")], 'unexpected "d"'),
        ('a "b; # c\nd;', [(["a", "b"], ";"), (["d"], ";")], 'missing terminating """ character'),
        ('a "b;\nc "d";', [(["a", "b"], ";"), (["c", "d"], ";")], 'missing terminating """ character'),
        (
            "a 'b {\nc 'd'; }",
            [(["a", "b"], "{"), (["c", "d"], ";"), ([], "}")],
            'missing terminating "\'" character',
        ),
        ("a 'b\n;", [(["a", "b"], ";")], 'missing terminating "\'" character'),
        ("\xef\xbb\xbfa;", [(["a"], ";")], "unexpected byte order mark"),
    ],
)
def test_one_mistake_is_one_message_and_the_rest_is_read(
    text: str, found: list[tuple[list[str], str]], message: str
) -> None:
    assert read(text) == (found, [message])


@pytest.mark.parametrize(
    ("text", "messages"),
    [
        (f"a {'b' * (LONGEST - 1)};", []),
        (f"a {'b' * LONGEST};", ['too long parameter "bbbbbbbbbb..." started']),
        (f"a '{'b' * (LONGEST - 2)}';", []),
        (
            f"a '{'b' * (LONGEST - 1)}';",
            ['too long parameter, probably missing terminating "\'" character'],
        ),
        (f"# {'b' * LONGEST}\n", []),
    ],
    ids=["plain", "plain too long", "quoted", "quoted too long", "comment"],
)
def test_length_of_words(text: str, messages: list[str]) -> None:
    assert read(text)[1] == messages


def test_lua_is_not_read_as_directives() -> None:
    text = """content_by_lua_block {
        local open, close = "{", '}' -- it's }
        --[[ } ]] ngx.say([==[ } ]==])
        if a then b { c = 1 } end
    }
    listen 80;"""
    assert read(text) == ([(["content_by_lua_block"], "{"), ([], "}"), (["listen", "80"], ";")], [])


def test_hostile_text_takes_linear_time() -> None:
    for text in [
        "'" * 100_000,
        '"a"b' * 50_000,
        "\\" * 100_001,
        "${" * 100_000,
        '"a;\n' * 50_000,
        " " * 200_000 + "'",
    ]:
        list(statements(Source("a", text), Problems()))

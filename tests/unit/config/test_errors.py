"""A report is nginx's line, then the place, then what to do."""

import pytest

from penstock.config.errors import ConfigError, ConfigFailed, Problems, render, suggest
from penstock.config.source import Source, Span


def span(text: str, marked: str, path: str = "nginx.conf") -> Span:
    start = text.index(marked)
    return Span(Source(path, text), start, start + len(marked))


def test_render_shows_line_carets_label_and_hint() -> None:
    error = ConfigError(
        'unknown directive "prox_pass"',
        span("http {\n    prox_pass x;\n}\n", "prox_pass"),
        label="nobody declares it",
        hint="did you mean: proxy_pass\nor uwsgi_pass",
    )
    assert render(error).split("\n") == [
        'penstock: [emerg] unknown directive "prox_pass" in nginx.conf:2',
        "   2 |     prox_pass x;",
        "     |     ^^^^^^^^^ nobody declares it",
        "     = did you mean: proxy_pass",
        "       or uwsgi_pass",
    ]


def test_render_without_a_place() -> None:
    error = ConfigError('open() "/none" failed (2: No such file or directory)', level="warn")
    assert render(error, "nginx") == 'nginx: [warn] open() "/none" failed (2: No such file or directory)'


def test_command_line_has_no_line_number() -> None:
    assert render(ConfigError("oops", span("daemon x;", "x", "command line"))).startswith(
        "penstock: [emerg] oops in command line\n"
    )


@pytest.mark.parametrize(
    ("text", "marked", "carets"),
    [
        ("\tlisten 80", "80", " " * 12 + "^^"),
        ("a\xc3\xa9 x", "x", " " * 4 + "^"),
        ("\xe6\xbc\xa2 x", "x", " " * 4 + "^"),
        ("a 'b\nc' d", "'b\nc'", " " * 3 + "^^"),
        ("a \x1b x", "x", " " * 8 + "^"),
    ],
    ids=["tab", "two bytes", "wide", "several lines", "control"],
)
def test_carets_stand_under_what_they_mean(text: str, marked: str, carets: str) -> None:
    last = render(ConfigError("x", span(text, marked))).split("\n")[2]
    assert last == "     |" + carets


def test_an_empty_span_has_one_caret_at_its_place() -> None:
    source = Source("a", "listen 80\n")
    assert render(ConfigError("x", Span(source, 9, 9))).split("\n")[2] == "     |          ^"
    assert render(ConfigError("x", Span(source, 10, 10))).split("\n")[1:] == ["   2 |", "     | ^"]


def test_long_lines_are_cut_around_the_place() -> None:
    text = "a" * 5000 + " HERE " + "b" * 5000
    first, second = render(ConfigError("x", span(text, "HERE"))).split("\n")[1:]
    assert len(first) < 200
    assert first.index("HERE") == second.index("^^^^")


def test_a_message_cannot_write_control_characters() -> None:
    assert "\x1b" not in render(ConfigError('unknown directive "\x1b[31m"', span("\x1b[31m x;", "\x1b[31m")))


def test_problems_keep_order_and_tell_warnings_from_errors() -> None:
    problems = Problems()
    problems.warn("one")
    assert not problems.failed
    problems.error("two")
    problems.add(ConfigError("three"))
    assert problems.failed
    assert [problem.message for problem in problems] == ["one", "two", "three"]
    assert str(ConfigFailed(problems)) == "two"


def test_problems_are_bounded() -> None:
    problems = Problems()
    for number in range(250):
        problems.error(f"{number}")
    problems.warn("still heard")
    assert (len(problems), problems.dropped, problems.full) == (101, 150, True)


@pytest.mark.parametrize(
    ("word", "near"),
    [
        ("prox_pass", "proxy_pass"),
        ("proxypass", "proxy_pass"),
        ("Proxy_Pass", "proxy_pass"),
        ("sevrer", "server"),
        ("listne", "listen"),
        ("xyzzy", None),
        ("", None),
        ("a" * 100, None),
    ],
)
def test_suggest(word: str, near: str | None) -> None:
    assert suggest(word, ["listen", "server", "server_name", "proxy_pass", "uwsgi_pass"]) == near

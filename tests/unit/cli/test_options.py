"""The command line: nginx's letters, in all their spellings."""

import pytest

from penstock.cli.options import BadOption, parse_options


def test_separate_attached_and_combined() -> None:
    for arguments in (
        ["-t", "-q", "-p", "/p", "-c", "a.conf"],
        ["-tq", "-p/p", "-ca.conf"],
        ["-tqp/p", "-c", "a.conf"],
        ["-tqp", "/p", "-ca.conf"],
    ):
        found = parse_options(arguments)
        assert (found.test, found.quiet, found.prefix, found.configuration) == (True, True, "/p", "a.conf")


def test_what_is_compiled_is_shown_with_a_dump_only() -> None:
    assert parse_options(["--compiled", "-T"]).compiled and not parse_options(["-T"]).compiled
    with pytest.raises(BadOption, match='"--compiled" belongs to -T'):
        parse_options(["-t", "--compiled"])


def test_dump_is_a_test() -> None:
    found = parse_options(["-T"])
    assert found.test
    assert found.dump


def test_last_one_counts() -> None:
    assert parse_options(["-g", "a;", "-g", "b;"]).globals_text == "b;"


def test_error_log_on_stderr() -> None:
    assert parse_options(["-e", "stderr"]).error_log == ""
    assert parse_options(["-e", "x"]).error_log == "x"
    assert parse_options([]).error_log is None


@pytest.mark.parametrize("word", ["stop", "quit", "reopen", "reload"])
def test_signals(word) -> None:
    assert parse_options([f"-s{word}"]).signal == word


@pytest.mark.parametrize(("arguments", "shows"), [(["-v"], "v"), (["-V"], "vV"), (["-h"], "vh"), (["-?"], "vh")])
def test_what_to_show(arguments, shows) -> None:
    assert parse_options(arguments).shows == shows


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["x"], 'invalid option: "x"'),
        (["-tx"], 'invalid option: "x"'),
        (["--help"], 'invalid option: "-"'),
        (["-p"], 'option "-p" requires directory name'),
        (["-e"], 'option "-e" requires file name'),
        (["-c"], 'option "-c" requires file name'),
        (["-g"], 'option "-g" requires parameter'),
        (["-s"], 'option "-s" requires parameter'),
        (["-s", "restart"], 'invalid option: "-s restart"'),
    ],
)
def test_mistakes(arguments, words) -> None:
    with pytest.raises(BadOption) as caught:
        parse_options(arguments)
    assert str(caught.value) == words

"""Command lines in another order, or in other words, than nginx's."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from penstock.cli.main import main
from penstock.cli.version import VERSION
from penstock.observe.errorlog import fallback, set_fallback, use_console


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ("reload", 'invalid option: "reload"; did you mean: penstock -s reload'),
        ("stop", 'invalid option: "stop"; did you mean: penstock -s stop'),
        ("-p /x -c y reload", 'invalid option: "reload"; did you mean: penstock -p /x -c y -s reload'),
        ("relaod", 'invalid option: "relaod"; did you mean: penstock -s reload'),
        ("status", 'invalid option: "status"; did you mean: penstock tunnels'),
        ("start", 'invalid option: "start"; did you mean: penstock\n'),
        ("test", 'invalid option: "test"; did you mean: penstock -t'),
        ("version", 'invalid option: "version"; did you mean: penstock -v'),
        ("-c y tunels", 'invalid option: "tunels"; did you mean: penstock tunnels'),
        ("--test", 'invalid option: "-"; did you mean: penstock -t'),
        ("--reload", 'invalid option: "-"; did you mean: penstock -s reload'),
        ("--config=x", 'invalid option: "-"; did you mean: penstock -c FILE'),
        ("--nothing", 'invalid option: "-"'),
        ("-s restart", 'invalid option: "-s restart"; did you mean: penstock -s quit, then penstock'),
        ("-x", 'invalid option: "x"'),
        ("-c y probe", 'invalid option: "probe"; options of probe stand behind its name: penstock probe --help'),
        ("-t tunnels", 'invalid option: "tunnels"; options of tunnels stand behind its name: penstock tunnels'),
        ("-g x; tunnels", 'invalid option: "tunnels"; options of tunnels stand behind its name'),
    ],
)
def test_what_was_meant_is_said(capfd, arguments: str, said: str) -> None:
    assert main(arguments.split()) == 1
    out, error = capfd.readouterr()
    assert out == ""
    assert error.startswith(f"penstock: {said}")
    assert error.count("\n") == 1


def test_the_version_for_those_who_write_it_out(capfd) -> None:
    assert main(["--version"]) == 0
    assert capfd.readouterr() == (VERSION + "\n", "")


@pytest.mark.parametrize("before", ["-p {0}/ -c nginx.conf", "-p{0}/ -cnginx.conf", "-c {0}/nginx.conf"])
def test_options_before_a_command_are_those_of_the_command(capfd, tmp_path: Path, before: str) -> None:
    (tmp_path / "nginx.conf").write_text("pid here.pid; events { }")
    assert main([*before.format(tmp_path).split(), "tunnels", "--json"]) == 3
    error = capfd.readouterr().err
    assert error.startswith("penstock tunnels: there is no folder")
    assert "here.control" in error
    assert main([*before.format(tmp_path).split(), "explain"]) == 2
    assert capfd.readouterr().err.startswith("penstock explain: ")


@pytest.fixture
def system(monkeypatch, tmp_path: Path) -> Iterator[Path]:
    """A folder that stands for /etc/nginx, with a configuration, and another one to be in."""
    monkeypatch.setattr("penstock.cli.paths.SYSTEM_PREFIXES", (f"{tmp_path}/etc/",))
    (tmp_path / "etc").mkdir()
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    for folder in ("etc", "here"):
        (tmp_path / folder / "nginx.conf").write_text("pid here.pid; error_log e.log; events { }")
    (tmp_path / "here" / "other.conf").write_text("pid here.pid; error_log e.log; events { }")
    log = fallback()
    yield tmp_path
    use_console(None)
    set_fallback(log)


def test_another_configuration_in_this_folder_is_mentioned(capfd, system: Path) -> None:
    assert main(["-t"]) == 0
    said = capfd.readouterr().err
    assert f'{system}/etc/nginx.conf was taken; there is a "nginx.conf" in this folder too: -c $PWD/nginx.conf' in said
    assert main(["-t", "-c", "other.conf"]) == 1
    assert 'is relative to the prefix' in (said := capfd.readouterr().err)
    assert 'there is a "other.conf" in this folder: -c $PWD/other.conf' in said


def test_nothing_is_mentioned_where_the_right_one_was_taken(capfd, system: Path) -> None:
    for arguments in (["-t", "-c", f"{system}/here/other.conf"], ["-t", "-p", f"{system}/here/"], ["-tq"]):
        assert main(arguments) == 0
        assert "in this folder" not in capfd.readouterr().err

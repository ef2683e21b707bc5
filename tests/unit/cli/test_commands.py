"""The subcommands: one table, imported when asked for; help and completion for all of them."""

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from penstock.cli.commands import COMMANDS, find
from penstock.cli.completion import SHELLS, choices
from penstock.cli.main import main

ROOT = Path(__file__).resolve().parents[3]
NAMES = [command.name for command in COMMANDS]

each_command = pytest.mark.parametrize("name", NAMES)


def test_nginx_s_flags_load_none_of_it() -> None:
    code = (
        "import sys\n"
        "from penstock.cli.main import main\n"
        "main(['-v'])\n"
        "main(['-c', '/nowhere/nginx.conf', '-q', '-t'])\n"
        "print(*sys.modules)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=60, env={"PYTHONPATH": str(ROOT / "src")}
    )
    loaded = done.stdout.split()
    assert "penstock.cli.configtest" in loaded, done.stderr
    assert {"argparse", "penstock.cli.commands", "penstock.cli.parsing"} & set(loaded) == set()
    assert [each for each in loaded if each.startswith("penstock.doctor.rules")] == []


@pytest.mark.parametrize("flag", ["-h", "-?", "--help"])
def test_help_has_nginx_s_options_and_the_commands(flag: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([flag]) == 0
    said = capsys.readouterr().err
    assert said.startswith("nginx version: nginx/")
    assert "  -s signal     : send signal to a master process: stop, quit, reopen, reload\n" in said
    for command in COMMANDS:
        assert re.search(rf"(?m)^  {command.name} +: {re.escape(command.summary)}$", said), command


@each_command
def test_help_of_a_command(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([name, "--help"]) == 0
    said = capsys.readouterr().out
    assert said.startswith(f"usage: penstock {name}")
    assert "examples:\n" in said
    assert f"penstock {name}" in said.partition("examples:")[2]
    assert main(["help", name]) == 0
    assert capsys.readouterr().out == said


def test_an_unknown_command(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["chekc"]) == 1
    assert capsys.readouterr().err == 'penstock: invalid option: "chekc"; did you mean: penstock check\n'
    assert main(["nginx.conf"]) == 1
    assert capsys.readouterr().err == 'penstock: invalid option: "nginx.conf"\n'
    assert main(["help", "chekc"]) == 2
    assert find("help") is not None


@pytest.mark.parametrize("shell", SHELLS)
def test_completion_knows_every_option(shell: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["completion", shell]) == 0
    script = capsys.readouterr().out
    for command in COMMANDS:
        assert command.name in script
        for each in choices(command.parser()):
            for spelling in each.spellings:
                written = spelling if shell != "fish" else f"-{'l' if spelling.startswith('--') else 's'} "
                assert written in script, (command.name, spelling)
    if shutil.which(shell):
        done = subprocess.run([shell, "-n"], input=script, capture_output=True, text=True, timeout=30)
        assert done.returncode == 0, done.stderr


@pytest.mark.parametrize(
    ("words", "completed"),
    [
        ("che", ["check"]),
        ("-", ["-T", "-V", "-c", "-e", "-g", "-h", "-p", "-q", "-s", "-t", "-v", "--compiled", "--help"]),
        ("-T --c", ["--compiled"]),
        ("-s re", ["reload", "reopen"]),
        ("check --for", ["--for", "--format"]),
        ("check --format s", ["sarif"]),
        ("completion f", ["fish"]),
        ("help ex", ["explain"]),
    ],
)
def test_bash_completes(words: str, completed: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    bash = shutil.which("bash")
    if bash is None:
        pytest.skip("no bash")
    main(["completion", "bash"])
    script = capsys.readouterr().out
    typed = ["penstock", *words.split(" ")]
    quoted = " ".join(f"'{word}'" for word in typed)
    script += f"COMP_WORDS=({quoted}); COMP_CWORD={len(typed) - 1}; _penstock; printf '%s\\n' \"${{COMPREPLY[@]}}\"\n"
    done = subprocess.run([bash], input=script, capture_output=True, text=True, timeout=30)
    assert sorted(done.stdout.split()) == sorted(completed), done.stderr


@each_command
def test_it_is_documented(name: str) -> None:
    text = (ROOT / "docs" / "cli.md").read_text("utf-8")
    part = text.partition(f"\n## penstock {name}\n")[2].partition("\n## ")[0]
    assert "exit code" in part.lower() or "| 0 |" in part


@pytest.mark.parametrize("name", ["check", "explain"])
def test_its_options_are_documented(name: str) -> None:
    text = (ROOT / "docs" / "cli.md").read_text("utf-8")
    part = text.partition(f"\n## penstock {name}\n")[2].partition("\n## ")[0]
    command = find(name)
    assert command is not None
    for each in choices(command.parser()):
        for spelling in each.spellings:
            assert spelling in ("-h", "--help") or f"`{spelling}" in part, spelling


@pytest.mark.parametrize("after", ["check -c nginx.conf", "explain -c demo/nginx.conf ws://localhost:8080/chat"])
def test_what_the_document_shows_is_what_is_said(
    after: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    text = (ROOT / "docs" / "cli.md").read_text("utf-8")
    shown = text.partition(f"$ penstock {after}\n")[2].partition("```")[0].removesuffix("...\n")
    monkeypatch.chdir(ROOT)
    words = after.replace("nginx.conf", "tests/corpus/rules/upgrade-missing/bad.conf", int(after.startswith("check")))
    main(words.split())
    said = capsys.readouterr().out.replace("tests/corpus/rules/upgrade-missing/bad.conf", "nginx.conf")
    assert said.startswith(shown)

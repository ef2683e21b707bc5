"""Completion as people get it: the shells themselves are asked, zsh at a terminal of its own."""

import os
import pty
import select
import shutil
import subprocess
import sys
import time
from itertools import takewhile
from pathlib import Path

import pytest

WORDS = {
    "che": ["check"],
    "-s re": ["reload", "reopen"],
    "check --fo": ["--for", "--format"],
    "check --format s": ["sarif"],
    "tunnels cl": ["close"],
    "completion f": ["fish"],
    "help ex": ["explain"],
}

each_line = pytest.mark.parametrize(("words", "completed"), WORDS.items())


def script(shell: str, folder: Path) -> Path:
    if shutil.which(shell) is None:
        pytest.skip(f"{shell} is not installed (Debian: apt-get install {shell})")
    path = folder / f"penstock.{shell}"
    with path.open("wb") as file:
        subprocess.run([sys.executable, "-m", "penstock", "completion", shell], stdout=file, check=True, timeout=30)
    assert subprocess.run([shell, "-n", str(path)], timeout=30).returncode == 0
    return path


@each_line
def test_fish(words: str, completed: list[str], tmp_path: Path) -> None:
    path = script("fish", tmp_path)
    environment = {**os.environ, "HOME": str(tmp_path), "XDG_CONFIG_HOME": str(tmp_path)}
    ask = f"source {path}; complete -C 'penstock {words}'"
    done = subprocess.run(
        ["fish", "--no-config", "-c", ask], cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=30
    )
    assert [line.split("\t")[0] for line in done.stdout.splitlines()] == completed, done.stderr


@pytest.fixture
def zsh(tmp_path: Path):
    """What a Tab after some words leaves on the line, or lists below it."""
    path = script("zsh", tmp_path)
    (tmp_path / "home").mkdir()
    process, terminal = pty.fork()
    if not process:
        os.chdir(tmp_path / "home")
        os.execvpe("zsh", ["zsh", "-f", "-i"], {"PATH": os.environ["PATH"], "TERM": "dumb", "HOME": str(tmp_path)})
    said = ""

    def until(wanted: str) -> str:
        nonlocal said
        deadline = time.monotonic() + 20
        while wanted not in said:
            assert time.monotonic() < deadline, f"no {wanted!r} in {said!r}"
            if select.select([terminal], [], [], 0.1)[0]:
                said += os.read(terminal, 65536).decode("utf-8", "replace").replace("\a", "")
        told, _, said = said.partition(wanted)
        return told

    def tab(words: str) -> str:
        # The line is taken away, and what it had become is printed with a word at its end.
        os.write(terminal, f"penstock {words}\t".encode())
        os.write(terminal, b"\x18p")
        return until("]END").rpartition("BEGIN[")[2]

    try:
        setup = (
            "unsetopt zle_bracketed_paste beep prompt_sp; PS1='> '; autoload -Uz compinit && compinit -u -D",
            f"source {path}; show() {{ print; print \"BEG\"\"IN[$BUFFER]END\"; BUFFER=; zle redisplay }}",
            "zle -N show; bindkey '^Xp' show; echo rea\"\"dy",
        )
        for line in setup:
            os.write(terminal, line.encode() + b"\n")
        until("\nready")
        yield tab
    finally:
        os.close(terminal)
        os.kill(process, 9)
        os.waitpid(process, 0)


def test_zsh(zsh) -> None:
    for words, completed in WORDS.items():
        line = zsh(words)
        common = "".join(each[0] for each in takewhile(lambda each: len(set(each)) == 1, zip(*completed, strict=False)))
        before = words.rpartition(" ")[0]
        assert line.rstrip() == f"penstock {before} {common}".replace("  ", " "), words
        assert line.endswith(" ") == (len(completed) == 1), words

"""Every command of every page runs: each is typed here, or a line of tests/pages.txt says what stands for it."""

import os
import re
import shlex
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from websockets.sync.client import connect

from harness.backends import WebSocketEcho
from harness.machine import penstock_for
from harness.pages import ROOT, Block, blocks, exemptions, pages
from harness.ports import free_port
from harness.processes import children
from harness.waiting import eventually
from penstock.cli.commands import COMMANDS
from penstock.cli.commands import find as find_command

CONFIGURATION = """
    daemon off;
    {user}
    pid {folder}/run/penstock.pid;
    error_log {folder}/log/error.log notice;
    worker_processes 2;
    events {{ }}
    http {{
        access_log off;
        upstream app {{
            zone app 256k;
            server 127.0.0.1:{backends[0]};
            server 127.0.0.1:{backends[1]};
            server 127.0.0.1:{backends[2]};
        }}
        server {{
            listen 127.0.0.1:{port};
            server_name chat.example;
            location / {{ proxy_pass http://app; websocket auto; }}
            location /api {{ api write=on; allow 127.0.0.0/8; deny all; }}
        }}
    }}
"""


class Machine:
    """A folder in which a Penstock runs that `penstock` finds without being told where."""

    def __init__(self, folder: Path, backends: list[int]) -> None:
        self.folder, self.port, self.proxied = folder, free_port(), free_port()
        self._backends = backends
        for name in ("etc", "run", "log", "home"):
            (folder / name).mkdir()
        penstock_for(folder / "etc", folder / "bin")
        self._configuration = folder / "etc" / "nginx.conf"
        self._configuration.write_text(
            CONFIGURATION.format(
                folder=folder, backends=backends, port=self.port, user="" if os.geteuid() else "user root;"
            )
        )
        self._control = folder / "run" / "penstock.sock"
        command = [sys.executable, "-m", "penstock", "-e", f"{folder}/log/error.log"]
        command += ["-c", str(self._configuration), "-l", f"unix:{self._control}"]
        self._process = subprocess.Popen(command, cwd=folder, start_new_session=True)
        self.pid_file = folder / "run" / "penstock.pid"
        self.old = folder / "run" / "penstock.pid.oldbin"
        eventually(self.pid, 30, why="it serves")
        eventually(lambda: len(children(self.pid() or 0)) >= 2, 30, why="workers are there")

    def pid(self) -> int | None:
        """The master's number, once it serves."""
        text = self.pid_file.read_text() if self.pid_file.exists() else ""
        return int(text) if text.strip() else None

    def placed(self, text: str) -> str:
        """A command of a page as it is typed on this machine."""
        for number, port in enumerate(self._backends, 1):
            text = text.replace(f"10.0.0.{number}:8000", f"127.0.0.1:{port}")
        text = text.replace("--peer 10.0.0.3", f"--peer 127.0.0.1:{self._backends[2]}")
        for theirs, ours in (
            ("http://127.0.0.1/api", f"http://127.0.0.1:{self.port}/api"),
            ("wss://example.com", f"ws://127.0.0.1:{self.port}"),
            ("localhost:3000", f"localhost:{self._backends[0]}"),
            (":8080", f":{self.proxied}"),
            ("/run/penstock.", f"{self.folder}/run/penstock."),
            ("/var/log/penstock", f"{self.folder}/log"),
            ("--idle 90s", "--idle 1s"),
            ("--spread 30s", "--spread 1s"),
            ("--spread 60s", "--spread 1s"),
        ):
            text = text.replace(theirs, ours)
        return text

    def type(self, text: str) -> subprocess.CompletedProcess[str]:
        """Let a shell do it, in the folder of this machine."""
        environment = {**os.environ, "PATH": f"{self.folder}/bin:{os.environ['PATH']}", "HOME": f"{self.folder}/home"}
        where = {"cwd": self.folder, "env": environment, "stdin": subprocess.DEVNULL}
        if text.startswith("penstock proxy ") and "--print" not in text:
            process = subprocess.Popen(
                ["bash", "-c", f"exec {text}"], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, **where
            )  # type: ignore[call-overload]
            assert process.stdout is not None
            said = ""
            for line in process.stdout:
                said += line
                if "Ctrl-C ends it" in line:
                    process.send_signal(signal.SIGINT)
            return subprocess.CompletedProcess(text, process.wait(30), said, said)
        command = ["bash", "-euo", "pipefail", "-c", text]
        return subprocess.run(command, capture_output=True, text=True, timeout=50, **where)  # type: ignore[call-overload]

    def close(self) -> None:
        """End all that runs in it."""
        for path in (self.old, self.pid_file):
            if path.exists():
                os.kill(int(path.read_text()), signal.SIGTERM)
        self._process.wait(30)
        eventually(lambda: not self.pid_file.exists(), 30, why="all of it has ended")


@pytest.fixture
def machine() -> Iterator[Machine]:
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="pages-")))
        folder.chmod(0o755)
        backends = [stack.enter_context(WebSocketEcho()).port for _ in range(4)]
        made = Machine(folder, backends)
        try:
            yield made
        finally:
            made.close()


def _exempt(page: str, command: str) -> bool:
    return any(each.covers(page, command) for each in exemptions())


TYPED = [block for block in blocks() if not all(_exempt(block.page, each) for each in block.commands())]


@pytest.mark.parametrize("block", TYPED, ids=lambda block: block.name)
def test_the_commands_of_a_page_run(block: Block, machine: Machine) -> None:
    """With another port, folder and backend in place of those that are shown, and otherwise as they stand there."""
    if any("drain" in line or "tunnels" in line for line in block.lines):
        with ExitStack() as stack:
            for _ in range(12):  # so many that each backend has some
                stack.enter_context(connect(f"ws://127.0.0.1:{machine.port}/chat"))
            _typed(block, machine)
    else:
        _typed(block, machine)


def _typed(block: Block, machine: Machine) -> None:
    if _is_script(block):
        texts = ["\n".join(block.lines)]
    else:
        texts = [each for each in block.commands() if not _exempt(block.page, each)]
    if texts[0].startswith("kill -QUIT") and "oldbin" not in texts[0]:
        _upgraded(machine)
    for text in texts:
        typed = machine.placed(text)
        done = machine.type(typed)
        assert done.returncode == 0, f"{typed}\n{done.stdout}\n{done.stderr}"
        if "kill -USR2" in text:
            eventually(lambda: machine.old.exists() and machine.pid() is not None, 30, why="the new one serves")
        if "kill -QUIT" in text:
            eventually(lambda: not machine.old.exists() and machine.pid() is not None, 30, why="one is left")


def _upgraded(machine: Machine) -> None:
    os.kill(machine.pid() or 0, signal.SIGUSR2)
    eventually(lambda: machine.old.exists() and machine.pid() is not None, 30, why="the new one serves")


def _is_script(block: Block) -> bool:
    """Whether its lines make sense as a whole only."""
    return any(re.match(r"(\w+=|until |case |for )", line) for line in block.lines)


def test_every_line_of_the_table_stands_for_something() -> None:
    found = list(blocks())
    assert len(found) >= 30
    for each in exemptions():
        assert any(each.covers(block.page, line) for block in found for line in block.commands()), each
        if each.why.endswith(".py"):
            assert (ROOT / "tests" / each.why).exists(), each


# What stands in running text is not typed, but read: the command, its options, the target of make.

_INLINE = re.compile(r"`(penstock|make) ([^`\n]+)`")
NGINX_OPTIONS = {
    *("-c", "-p", "-e", "-g", "-t", "-T", "-q", "-s", "-v", "-V", "-l", "-h", "-?"),
    *("--help", "--version", "--compiled"),
}

UNDERSTOOD = ("...", "help", "reload")
"""What is no command, and answered with what is."""


@pytest.mark.parametrize("page", pages(), ids=lambda path: str(path.relative_to(ROOT)))
def test_commands_in_the_text_exist(page: Path) -> None:
    targets = set(re.findall(r"(?m)^([a-z-]+):", (ROOT / "Makefile").read_text("utf-8")))
    text = re.sub(r"(?ms)^ *```.*?^ *```", "", page.read_text("utf-8"))
    for program, rest in _INLINE.findall(text):
        words = _words(rest)
        if program == "make":
            names = [word for word in words if re.fullmatch(r"[a-z][a-z-]*", word)]
            assert set(names[:1]) <= targets, f"make {rest}"
            continue
        command = find_command(words[0]) if words else None
        given = {word.partition("=")[0] for word in words if re.match(r"--?[a-zA-Z]", word)}
        if command is None:
            assert words[0].startswith("-") or words[0].isupper() or words[0] in UNDERSTOOD, f"penstock {rest}"
            known = NGINX_OPTIONS | {"-tc", "-Tq"}
        else:
            parser = command.parser()
            known = set(parser._option_string_actions) | {"-h"}
        assert given <= known, f"penstock {rest}: {sorted(given - known)}"


def _words(text: str) -> list[str]:
    try:
        return shlex.split(text, comments=True)
    except ValueError:
        return text.split()


def test_every_command_is_shown_somewhere() -> None:
    text = "\n".join(path.read_text("utf-8") for path in pages())
    for command in COMMANDS:
        assert f"penstock {command.name}" in text, command.name

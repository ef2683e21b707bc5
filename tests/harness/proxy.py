"""A proxy process, run from a configuration in a test."""

import os
import re
import shutil
import signal
import subprocess
import tempfile
import textwrap
from collections.abc import Iterable, Mapping
from pathlib import Path
from types import TracebackType
from typing import Self

from harness.binary import Binary, DidNotStart, Refusal, penstock
from harness.ports import free_port
from harness.processes import children, gone
from harness.programs import Program, start
from harness.raw import RawClient, Response
from harness.slow import speed_up
from harness.waiting import PATIENCE, eventually

_PLACEHOLDER = re.compile(r"\{(port|value):([A-Za-z0-9_]+)\}|\{dir\}")
_TEMPORARY = ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
_FORBIDDEN = re.compile(r"\[(?:alert|emerg)\]|Traceback \(most recent call last\)")
_START_SECONDS = 60.0


class Proxy:
    """A running proxy in a directory of its own; the package's docstring describes the configuration's text.

    `expect` holds regexes for lines of the error log which would otherwise fail the test at the end. `fresh` is for a
    test about what a new process is (`programs.py`).
    """

    def __init__(
        self,
        configuration: str,
        binary: Binary | None = None,
        *,
        ports: Mapping[str, int] | None = None,
        values: Mapping[str, object] | None = None,
        files: Mapping[str, str | bytes] | None = None,
        expect: Iterable[str] = (),
        directory: Path | None = None,
        env: Mapping[str, str] | None = None,
        fresh: bool = False,
    ) -> None:
        self.binary = binary or penstock()
        self.directory = directory or Path(tempfile.mkdtemp(prefix="penstock-test-"))
        self.directory.mkdir(parents=True, exist_ok=True)
        self.ports: dict[str, int] = dict(ports or {})
        self.values = dict(values or {})
        self.expect = tuple(expect)
        self._keep_directory = directory is not None
        self._listening: list[str] = []
        self._environment = {**os.environ, **(env or {})}
        self._fresh = fresh
        self._process: Program | None = None
        self._group = 0
        for folder in ("logs", *(f"temp/{kind}" for kind in _TEMPORARY)):
            (self.directory / folder).mkdir(parents=True, exist_ok=True)
        for name, content in (files or {}).items():
            self.write(name, content)
        self.configure(configuration)

    # Before and after the start

    def write(self, name: str, content: str | bytes) -> Path:
        """Put a file into the proxy's directory; placeholders are filled in text, not in bytes."""
        path = self.directory / name
        path.parent.mkdir(parents=True, exist_ok=True)
        if isinstance(content, str):
            content = self.fill(content).encode("utf-8")
        path.write_bytes(content)
        return path

    def fill(self, text: str) -> str:
        """`text` with its placeholders replaced."""
        return _PLACEHOLDER.sub(self._replacement, text)

    def configure(self, configuration: str) -> None:
        """Write nginx.conf (without reloading)."""
        text = self.fill(textwrap.dedent(configuration).lstrip("\n"))
        (self.directory / "nginx.conf").write_text(self._completed(text), "utf-8")

    def command(self, *more: str) -> list[str]:
        """The command line for this proxy's directory and configuration."""
        text = (self.directory / "nginx.conf").read_text("utf-8")
        directives = [
            f"{name} {value};"
            for name, value in (
                ("daemon", "off"),
                ("pid", "nginx.pid"),
                ("error_log", "error.log notice"),
                *((("user", "root"),) if os.geteuid() == 0 else ()),
            )
            if not re.search(rf"(?m)^\s*{name}\s", text)
        ]
        own = ["-p", f"{self.directory}/", "-c", "nginx.conf", "-e", "error.log", "-g", " ".join(directives)]
        return [*self.binary.command, *own, *more]

    def check(self, *flags: str) -> Refusal:
        """Run with `-t` (or other flags) and wait for the end; code 0 is a configuration that is fine."""
        with start(
            self.command(*(flags or ("-t",))),
            cwd=self.directory,
            env=self._environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            fresh=self._fresh,
        ) as process:
            try:
                said, _ = process.communicate(timeout=30)
            except BaseException:
                process.kill()
                raise
        assert process.returncode is not None
        return Refusal(process.returncode, said.decode("utf-8", "replace"))

    def start(self) -> Self:
        """Start and wait until it serves; `DidNotStart` with what it said otherwise."""
        with (self.directory / "output").open("wb") as output:
            self._process = start(
                self.command(),
                cwd=self.directory,
                env=self._environment,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                session=True,
                fresh=self._fresh,
            )
        self._group = self._process.pid
        try:
            eventually(self._ready, _START_SECONDS, why="the proxy writes its pid file")
        except AssertionError as late:
            self.kill()
            raise DidNotStart(Refusal(-1, self._said())) from late
        if self._process.poll() is not None:
            code = self._process.wait()
            self._process = None
            raise DidNotStart(Refusal(code, self._said()))
        return self

    # While it runs

    @property
    def pid(self) -> int:
        """The master's process id, from its pid file."""
        return int((self.directory / "nginx.pid").read_text())

    def port(self, name: str | None = None) -> int:
        """A port by its name in the configuration, or the first one that was not given."""
        return self.ports[name or self._listening[0]]

    def client(self, port: str | None = None, timeout: float = PATIENCE) -> RawClient:
        """A raw connection."""
        return RawClient(self.port(port), timeout)

    def get(
        self,
        target: str = "/",
        headers: Mapping[str, str] | None = None,
        *,
        method: str = "GET",
        body: bytes = b"",
        port: str | None = None,
        timeout: float = PATIENCE,
    ) -> Response:
        """One request on a connection of its own, and its response."""
        fields = {"Host": "localhost", "Connection": "close", **(headers or {})}
        if body:
            fields.setdefault("Content-Length", str(len(body)))
        head = f"{method} {target} HTTP/1.1\r\n" + "".join(f"{k}: {v}\r\n" for k, v in fields.items())
        with self.client(port, timeout) as client:
            return client.send(f"{head}\r\n".encode("latin-1") + body).response(method)

    def url(self, target: str = "/", scheme: str = "http", port: str | None = None) -> str:
        """`scheme://127.0.0.1:PORT/target`."""
        return f"{scheme}://127.0.0.1:{self.port(port)}{target}"

    def send_signal(self, number: signal.Signals) -> None:
        """Send a signal to the master."""
        os.kill(self.pid, number)

    def reload(self, configuration: str | None = None) -> None:
        """SIGHUP, with a new configuration if given; returns when the log says that it is in force, or is not to be.

        Old workers of nginx may still serve for a moment; `eventually` is for what must hold after that.
        """
        if configuration is not None:
            self.configure(configuration)
        over = "reconfiguring" if self.binary.reference else "in force"
        before = self.error_log().count(over)
        workers = self.children()
        self.send_signal(signal.SIGHUP)
        eventually(lambda: self.error_log().count(over) > before, why=f"the log says {over}")
        if self.binary.reference:
            eventually(lambda: self.children() - workers, why="nginx starts new workers")

    def children(self) -> set[int]:
        """Process ids of the master's children."""
        return children(self.pid)

    def successor(self, old: int, workers: int = 1) -> int:
        """Wait until another master than `old` has the pid file, and has as many children: its process id."""

        def pid() -> int:
            said = _text(self.directory / "nginx.pid").strip()
            return int(said) if said.isdigit() and int(said) != old else 0

        new = eventually(pid, _START_SECONDS, why="a new master has the pid file")
        eventually(lambda: len(children(new)) >= workers, why="the new master has its workers")
        return new

    def error_log(self) -> str:
        return _text(self.directory / "error.log")

    def access_log(self, name: str = "access.log") -> str:
        return _text(self.directory / name)

    def logged(self, pattern: str, timeout: float = PATIENCE, name: str = "access.log") -> re.Match[str]:
        """The first match of a regex in a log, waiting for it."""
        found = eventually(
            lambda: re.search(pattern, _text(self.directory / name)),
            timeout,
            why=f"{pattern!r} in {name}:\n{_text(self.directory / name)}",
        )
        assert found is not None
        return found

    # The end

    def stop(self, number: signal.Signals = signal.SIGTERM, timeout: float = PATIENCE) -> None:
        """End with SIGTERM (or SIGQUIT for a graceful end), wait, and look at the error log."""
        if self._process is None:
            return
        if self._process.poll() is None:
            speed_up(self._process.pid)
            self._process.send_signal(number)
        try:
            self._process.wait(timeout)
        except subprocess.TimeoutExpired:
            self.kill()
            raise AssertionError(f"still running {timeout} s after {number.name}:\n{self._said()}") from None
        code = self._process.returncode
        self._process = None
        self.assert_clean()
        assert code == 0, f"exit code {code}:\n{self._said()}"

    def kill(self) -> None:
        """SIGKILL to the master and its workers; returns when nobody has their addresses any more."""
        if self._process is None:
            return
        family = children(self._process.pid)
        try:
            os.killpg(self._process.pid, signal.SIGKILL)
        except ProcessLookupError:
            pass
        self._process.wait()
        self._process = None
        eventually(lambda: all(gone(pid) for pid in family), why="killed workers are gone")

    def assert_clean(self) -> None:
        """Fail on alerts, emergencies and tracebacks in the log that `expect` does not cover."""
        bad = [
            line
            for line in self._said().splitlines()
            if _FORBIDDEN.search(line) and not any(re.search(pattern, line) for pattern in self.expect)
        ]
        assert not bad, "the error log holds:\n" + "\n".join(bad) + f"\n\nall of it:\n{self._said()}"

    def discard(self) -> None:
        """Kill what runs and remove the directory, unless it was given."""
        self.kill()
        if self._group:
            try:
                # A program that took the place of the first one is in its group.
                os.killpg(self._group, signal.SIGKILL)
            except ProcessLookupError:
                pass
            self._group = 0
        if not self._keep_directory:
            shutil.rmtree(self.directory, ignore_errors=True)

    def __enter__(self) -> Self:
        try:
            return self.start()
        except BaseException:
            self.discard()
            raise

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            if error is not None:
                error.add_note(f"the proxy said:\n{self._said()[-4000:]}")
                self.kill()
            else:
                self.stop()
        finally:
            self.discard()

    # Inside

    def _replacement(self, match: re.Match[str]) -> str:
        kind, name = match[1], match[2]
        if kind is None:
            return str(self.directory)
        if kind == "value":
            return str(self.values[name])
        if name not in self.ports:
            self.ports[name] = free_port()
            self._listening.append(name)
        return str(self.ports[name])

    def _completed(self, text: str) -> str:
        if not re.search(r"\bevents\s*\{", text):
            text += "\nevents { }\n"
        extra = "" if re.search(r"\baccess_log\s", text) else " access_log access.log;"
        if self.binary.reference:
            # The directories compiled into a packaged nginx belong to root.
            paths = (f"{kind}_temp_path" for kind in _TEMPORARY)
            extra += "".join(f" {p} temp/{p.removesuffix('_temp_path')};" for p in paths if p not in text)
        return re.sub(r"\bhttp\s*\{", lambda match: match[0] + extra, text, count=1)

    def _ready(self) -> bool:
        assert self._process is not None
        if self._process.poll() is not None:
            return True
        return _text(self.directory / "nginx.pid").strip().isdigit()

    def _said(self) -> str:
        return _text(self.directory / "output") + self.error_log()


def in_http(text: str) -> str:
    """A whole configuration around what belongs into `http`; line numbers shift by one."""
    return f"events {{ }} http {{\n{text}\n}}\n"


def in_server(text: str, port: str = "front") -> str:
    """A whole configuration around what belongs into `server`; line numbers shift by one."""
    return f"events {{ }} http {{ server {{ listen 127.0.0.1:{{port:{port}}};\n{text}\n}} }}\n"


def _text(path: Path) -> str:
    try:
        return path.read_text("utf-8", "replace")
    except FileNotFoundError:
        return ""

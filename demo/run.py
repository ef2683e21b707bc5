"""Run the demo: two chat backends and the proxy before them, until Ctrl-C.

    python demo/run.py [--binary PROGRAM] [--conf FILE] [--port PORT]

The backends' ports are those of the `upstream` in the configuration. `--port` listens
elsewhere than the file says.
"""

import argparse
import http.client
import os
import re
import shlex
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from types import FrameType

_HERE = Path(__file__).resolve().parent
_NAMES = ("north", "south")
_START_SECONDS = 15.0
_STOP_SECONDS = 5.0
PROBE = "penstock-demo"
"""Whose requests the access log leaves out."""


class Stopped(Exception):
    """Say that a signal asked for the end."""


class Asked:
    """Remember that a signal asked for the end.

    A handler that raised could raise anywhere: within a `__del__`, where Python drops it, or between a process and
    the note that it was started.
    """

    def __init__(self) -> None:
        self.stop = False

    def note(self, number: int, frame: FrameType | None) -> None:
        self.stop = True

    def pause(self, seconds: float) -> None:
        """Sleep; raise `Stopped` within a tenth of a second after a signal."""
        deadline = time.monotonic() + seconds
        while not self.stop and (left := deadline - time.monotonic()) > 0:
            time.sleep(min(left, 0.1))
        if self.stop:
            raise Stopped


class Failed(Exception):
    """The demo cannot go on; the message is for the person who started it."""


class Demo:
    """The processes of the demo and the directory they share."""

    def __init__(self, binary: Sequence[str], configuration: Path, port: int | None, asked: Asked) -> None:
        self._asked = asked
        text = configuration.read_text("utf-8")
        self.port = port or _listen_port(text)
        self.ports = _backend_ports(text)
        try:
            self.directory = Path(tempfile.mkdtemp(prefix="penstock-demo-"))
        except OSError as error:
            raise Failed(
                f"no folder for temporary files can be written to: {error.strerror} (TMPDIR names one)"
            ) from None
        if port is not None:
            text = re.sub(r"\blisten\s+((?:[\d.*]+:)?)\d+", rf"listen \g<1>{port}", text)
        # A copy, with a first line by which `penstock tunnels` knows what runs here.
        configuration = self.directory / "nginx.conf"
        configuration.write_text(f"# make run{f' PORT={port}' if port is not None else ''}\n{text}", "utf-8")
        self._proxy_command = [*binary, "-p", f"{_HERE}/", "-c", str(configuration)]
        self._proxy_command += ["-e", "stderr", "-g", self._globals()]
        self._proxy: subprocess.Popen[bytes] | None = None
        self._backends: dict[str, subprocess.Popen[bytes]] = {}

    def start(self) -> None:
        """Start all and wait until the page and, through the proxy, a backend answer."""
        for port in (self.port, *self.ports.values()):
            if _listens(port):
                raise Failed(f"port {port} is taken by another program (the page's: make run PORT=...)")
        for name in self.ports:
            self._start_backend(name)
        for name, port in self.ports.items():
            self._until(partial(_answers, port, "/api/status"), f"backend {name}")
        self._proxy = _spawn(self._proxy_command)
        self._until(lambda: _answers(self.port, "/") and _answers(self.port, "/api/status"), "the proxy")

    def watch(self) -> None:
        """Until the proxy ends; a backend that ends is started again after a while."""
        assert self._proxy is not None
        while self._proxy.poll() is None:
            for name, process in list(self._backends.items()):
                if process.poll() is not None:
                    print(f"backend {name} ended; it comes back in 3 s", flush=True)
                    self._asked.pause(3)
                    self._start_backend(name)
            self._asked.pause(0.2)
        raise Failed(f"the proxy ended with code {self._proxy.returncode}")

    def describe(self) -> str:
        """What a person who just started it wants to read."""
        lines = [f"\n  Penstock demo: http://127.0.0.1:{self.port}/\n"]
        lines.append("  Open it in two tabs. Ctrl-C ends it.")
        for name, process in self._backends.items():
            where = f"127.0.0.1:{self.ports[name]}, process {process.pid}"
            lines.append(f"  Backend {name}: {where}; end it and watch its tabs move.")
        penstock = _penstock()
        lines.append("\n  What it does, from another terminal:")
        lines.append(f"    {penstock} tunnels --watch")
        lines.append(f"    {penstock} check demo/nginx.conf")
        lines.append(f"    {penstock} explain -c demo/nginx.conf ws://127.0.0.1:{self.port}/chat")
        return "\n".join(lines) + "\n"

    def stop(self) -> None:
        """End every process and remove the directory."""
        processes = [process for process in (self._proxy, *self._backends.values()) if process is not None]
        for process in processes:
            if process.poll() is None:
                process.terminate()
        deadline = time.monotonic() + _STOP_SECONDS
        for process in processes:
            try:
                process.wait(max(0.1, deadline - time.monotonic()))
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
        shutil.rmtree(self.directory, ignore_errors=True)

    def _globals(self) -> str:
        directives = f"daemon off; pid {self.directory}/pid;"
        # Workers of a root master would otherwise change to a user who may not read this checkout.
        return f"{directives} user root;" if os.geteuid() == 0 else directives

    def _start_backend(self, name: str) -> None:
        arguments = [sys.executable, str(_HERE / "backends.py"), name, str(self.ports[name])]
        self._backends[name] = _spawn([*arguments, str(self.directory)])

    def _until(self, ready: Callable[[], bool], what: str) -> None:
        deadline = time.monotonic() + _START_SECONDS
        while not ready():
            for process in (self._proxy, *self._backends.values()):
                if process is not None and process.poll() is not None:
                    raise Failed(f"{what} did not start")
            if time.monotonic() > deadline:
                raise Failed(f"{what} does not answer after {_START_SECONDS:.0f} s")
            self._asked.pause(0.05)


def _penstock() -> str:
    """How a person calls it from here."""
    if shutil.which("penstock"):
        return "penstock"
    here = Path(sys.executable).with_name("penstock")
    return str(here.relative_to(Path.cwd())) if here.is_relative_to(Path.cwd()) else str(here)


def _spawn(command: Sequence[str]) -> subprocess.Popen[bytes]:
    # A session of its own: Ctrl-C reaches this program alone, which then ends the others in order.
    try:
        return subprocess.Popen(command, stdin=subprocess.DEVNULL, start_new_session=True)
    except FileNotFoundError:
        raise Failed(f"there is no program {command[0]}") from None


def _listen_port(text: str) -> int:
    found = re.search(r"\blisten\s+(?:[\d.*]+:)?(\d+)\s*;", text)
    if found is None:
        raise Failed("the configuration has no `listen PORT;`")
    return int(found[1])


def _backend_ports(text: str) -> dict[str, int]:
    found = [int(port) for port in re.findall(r"\bserver\s+127\.0\.0\.1:(\d+)", text)]
    if len(found) != len(_NAMES):
        raise Failed(f"the configuration has {len(found)} `server 127.0.0.1:PORT`, the demo {len(_NAMES)}")
    return dict(zip(_NAMES, found, strict=True))


def _listens(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port), 0.5).close()
    except OSError:
        return False
    return True


def _answers(port: int, target: str) -> bool:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=2)
    try:
        connection.request("GET", target, headers={"User-Agent": PROBE})
        return connection.getresponse().status == 200
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()


def _default_binary() -> str:
    return os.environ.get("PENSTOCK_BINARY") or str(Path(sys.executable).with_name("penstock"))


def main() -> int:
    """Returns the exit code: 0 after a signal, 1 when something did not start or ended by itself."""
    parser = argparse.ArgumentParser(description="Run the Penstock demo until Ctrl-C.")
    parser.add_argument("--binary", default=_default_binary(), help="a program with nginx's command line")
    parser.add_argument("--conf", type=Path, default=_HERE / "nginx.conf", help="default: %(default)s")
    parser.add_argument("--port", type=int, help="listen here and not where the configuration says")
    options = parser.parse_args()
    asked = Asked()
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, asked.note)
    demo: Demo | None = None
    try:
        demo = Demo(shlex.split(options.binary), options.conf, options.port, asked)
        demo.start()
        print(demo.describe(), flush=True)
        demo.watch()
    except Stopped:
        return 0
    except Failed as failure:
        print(f"demo: {failure}", file=sys.stderr)
        return 1
    finally:
        if demo is not None:
            demo.stop()
    return 0


if __name__ == "__main__":
    sys.exit(main())

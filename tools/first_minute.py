"""Make docs/first-minute.md anew: type its commands into real terminals, and write down what they show.

    python tools/first_minute.py            writes the document; ports 8080 and 3000 must be free
    python tools/first_minute.py --print    shows it; --ports FRONT BACK uses others

The `penstock` is the one beside this Python, which also needs the library websockets for the program that is proxied.
"""

import argparse
import fcntl
import os
import pty
import re
import select
import signal
import struct
import subprocess
import sys
import tempfile
import termios
import time
from pathlib import Path

DOCUMENT = Path(__file__).resolve().parents[1] / "docs" / "first-minute.md"

SERVER = """\
from websockets.sync.server import serve

def talk(connection):
    for message in connection:
        connection.send(message)

with serve(talk, "localhost", 3000) as server:
    server.serve_forever()
"""

TEXT = """\
# The first minute

From an empty folder to a WebSocket behind a proxy, without a configuration file. What follows is what terminals showed;
`python tools/first_minute.py` types the commands again and writes this page anew.

Something that speaks WebSocket at port 3000, here in Python (`pip install websockets`); any program will do:

```console
{server}
```

The proxy, in a terminal of its own, until Ctrl-C:

```console
{proxy}
```

Meanwhile, in another terminal. Is it well?

```console
{well}
```

And when the program behind it is not there?

```console
{unwell}
```

What would that be as a configuration? It runs with nginx as well, and is yours to change:

```console
{printed}
```

From here on: `penstock proxy --help` (TLS with a local certificate, several servers, paths that lead elsewhere),
[probe](probe.md) (what is looked at, exit codes), `penstock init` (a configuration for the project in a folder),
`penstock check` (what is wrong with an `nginx.conf`).
"""

_PROMPT = "\x1d$ "
"""What the shell shows when it waits: with a mark in it that nothing else prints."""

_ESCAPES = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]|\x1b[=>]")


class Terminal:
    """A shell in a terminal of 100 columns. `shown` is all that was on it."""

    def __init__(self, folder: Path) -> None:
        self.shown = ""
        environment = {
            "PATH": f"{Path(sys.executable).parent}:{os.environ.get('PATH', '/usr/bin:/bin')}",
            "HOME": str(folder),
            "TERM": "dumb",
            "NO_COLOR": "1",
            "PS1": _PROMPT,
            "LANG": "C.UTF-8",
            "COLUMNS": "100",
            **{name: os.environ[name] for name in ("PYTHONPATH",) if name in os.environ},
        }
        self._pid, self._terminal = pty.fork()
        if not self._pid:
            os.chdir(folder)
            os.execvpe("bash", ["bash", "--norc", "--noprofile", "--noediting", "-i"], environment)
        fcntl.ioctl(self._terminal, termios.TIOCSWINSZ, struct.pack("HHHH", 50, 100, 0, 0))
        self.wait(_PROMPT)

    def type(self, line: str, until: str = _PROMPT, timeout: float = 30.0) -> str:
        """Type a line, and wait for what must be shown after it; what was shown since, the line included."""
        return self._do(f"{line}\n".encode(), until, timeout)

    def interrupt(self, until: str = _PROMPT, timeout: float = 30.0) -> str:
        """Ctrl-C."""
        return self._do(b"\x03", until, timeout)

    def wait(self, until: str, timeout: float = 30.0) -> None:
        """Until this has been shown."""
        self._do(b"", until, timeout)

    def rest(self, seconds: float) -> None:
        """Let what is running print what it has to."""
        deadline = time.monotonic() + seconds
        while (left := deadline - time.monotonic()) > 0:
            self._read(left)

    def close(self) -> None:
        """End the shell and what runs in it."""
        os.kill(self._pid, signal.SIGHUP)
        os.waitpid(self._pid, 0)
        os.close(self._terminal)

    def _do(self, data: bytes, until: str, timeout: float) -> str:
        before = len(self.shown)
        os.write(self._terminal, data)
        deadline = time.monotonic() + timeout
        while until not in self.shown[before:]:
            left = deadline - time.monotonic()
            if left <= 0:
                raise SystemExit(f"not within {timeout:.0f} s: {until!r}\n{self.shown}")
            self._read(left)
        return self.shown[before:]

    def _read(self, timeout: float) -> None:
        if select.select([self._terminal], [], [], timeout)[0]:
            text = os.read(self._terminal, 65536).decode("utf-8", "replace")
            self.shown += _ESCAPES.sub("", text.replace("\r\n", "\n").replace("\r", ""))


def tidy(text: str) -> str:
    """A recording as the page shows it: prompts without their mark, no empty prompt at the end."""
    text = text.replace("\x1d", "").replace("^C", "^C\n" if "^C\n" not in text else "^C")
    lines = [line.rstrip() for line in text.strip("\n").split("\n")]
    while lines and lines[-1] in ("", "$"):
        lines.pop()
    return "\n".join(lines)


def record(front: int, back: int) -> str:
    """The whole document."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        program = SERVER.replace("3000", str(back))
        (folder / ".server").write_text(program)
        one, two, three = Terminal(folder), Terminal(folder), Terminal(folder)
        try:
            one.type("cp .server server.py")  # not shown: an editor's work
            begun = len(one.shown)
            one.type("ls")
            one.type("cat server.py")
            one.type("python server.py", until="python server.py\n")
            until_listening(back)
            server = "$ " + one.shown[begun:]
            started = two.type(f"penstock proxy --from :{front} --to localhost:{back}", until="What it does:\n\n")
            well = three.type(f"penstock probe localhost:{front} --idle 3s")
            one.interrupt()
            unwell = three.type(f"penstock probe localhost:{front}")
            begun = len(three.shown)
            three.type(f"penstock proxy --from :{front} --to localhost:{back} --print > nginx.conf")
            three.type("penstock check nginx.conf")
            three.type("sed -n '/server {/,$p' nginx.conf")
            printed = "$ " + three.shown[begun:]
            two.rest(0.5)
            begun = two.shown.index(started)
            two.interrupt()
            proxy = "$ " + two.shown[begun:]
        finally:
            for terminal in (two, three, one):
                terminal.close()
    return TEXT.format(
        server=tidy(server),
        proxy=tidy(proxy),
        well=tidy("$ " + well),
        unwell=tidy("$ " + unwell),
        printed=tidy(printed),
    )


def until_listening(port: int) -> None:
    """Until a connection is accepted there."""
    for _ in range(200):
        if subprocess.run(["bash", "-c", f": < /dev/tcp/localhost/{port}"], stderr=subprocess.DEVNULL).returncode == 0:
            return
        time.sleep(0.05)
    raise SystemExit(f"nothing listens on port {port}")


def main() -> int:
    """The exit code."""
    parser = argparse.ArgumentParser(description="Record docs/first-minute.md.")
    parser.add_argument("--print", action="store_true", dest="shows", help="show it and write nothing")
    parser.add_argument("--ports", nargs=2, type=int, default=(8080, 3000), metavar=("FRONT", "BACK"))
    given = parser.parse_args()
    text = record(*given.ports)
    if given.shows:
        sys.stdout.write(text)
    else:
        DOCUMENT.write_text(text, "utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())

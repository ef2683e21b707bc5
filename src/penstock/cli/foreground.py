"""The proxies of `penstock proxy` and `make run` that run now: found by where they live among temporary files."""

from __future__ import annotations

import os
import stat
import tempfile
from pathlib import Path
from typing import NamedTuple

from penstock.modules.core.control import ENDING
from penstock.shared.processes import is_alive

FOLDER = "penstock-"
"""How their folders' names begin."""


class Foreground(NamedTuple):
    """One of them: its control sockets' folder, and the command line that started it."""

    control: str
    command: str


def running() -> list[Foreground]:
    """List the proxies of this user, the oldest first. Folders of anybody else are not believed: everybody may make
    some here."""
    try:
        everywhere = Path(tempfile.gettempdir())
    except OSError:
        return []  # nobody can write one: a file system that is read-only
    found: list[tuple[float, Foreground]] = []
    for folder in everywhere.glob(f"{FOLDER}*"):
        try:
            if folder.name.endswith(".pid"):
                found.append(_by_pid_file(folder))
                continue
            seen = folder.lstat()
            if not stat.S_ISDIR(seen.st_mode) or seen.st_uid != os.geteuid() or seen.st_mode & stat.S_IWOTH:
                continue
            control = folder / f"pid{ENDING}"
            if not is_alive(int((folder / "pid").read_bytes())) or not control.is_dir():
                continue
            with (folder / "nginx.conf").open(encoding="latin-1") as file:
                first = file.readline()
        except (OSError, ValueError):
            continue  # it is another's, or has just gone
        command = first.removeprefix("# ").strip() or "penstock proxy"
        found.append((seen.st_mtime, Foreground(os.fsencode(control).decode("latin-1"), command)))
    return [each for _, each in sorted(found)]


def _by_pid_file(path: Path) -> tuple[float, Foreground]:
    """One that has no folder but a pid file, as `make run CONF=FILE` has. Raises `OSError`, `ValueError`."""
    seen = path.lstat()
    if not stat.S_ISREG(seen.st_mode) or seen.st_uid != os.geteuid() or seen.st_mode & stat.S_IWOTH:
        raise ValueError("it is another's")
    process = int(path.read_bytes())
    if not is_alive(process):
        raise ValueError("it has gone")
    control = path.with_suffix(ENDING)
    if not control.is_dir():
        raise ValueError("it has no control sockets")
    # Its title has the command line in one piece.
    words = Path(f"/proc/{process}/cmdline").read_bytes().replace(b"\0", b" ").decode("latin-1")
    file = words.partition(" -c ")[2].partition(" -e ")[0].strip()
    return seen.st_mtime, Foreground(os.fsencode(control).decode("latin-1"), f"make run CONF={file}")

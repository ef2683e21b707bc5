"""The proxies of `penstock proxy` that run now: found by the folders in which they live."""

from __future__ import annotations

import os
import stat
import tempfile
from pathlib import Path
from typing import NamedTuple

from penstock.modules.control import ENDING

FOLDER = "penstock-"
"""How their folders' names begin."""


class Foreground(NamedTuple):
    """One of them: its control sockets' folder, and the command line that started it."""

    control: str
    command: str


def running() -> list[Foreground]:
    """Those of this user, the oldest first. Folders of anybody else are not believed: everybody may make some here."""
    found: list[tuple[float, Foreground]] = []
    for folder in Path(tempfile.gettempdir()).glob(f"{FOLDER}*"):
        try:
            seen = folder.lstat()
            if not stat.S_ISDIR(seen.st_mode) or seen.st_uid != os.geteuid() or seen.st_mode & stat.S_IWOTH:
                continue
            os.kill(int((folder / "pid").read_bytes()), 0)
            if not (control := folder / f"pid{ENDING}").is_dir():
                continue
            with (folder / "nginx.conf").open(encoding="latin-1") as file:
                first = file.readline()
        except (OSError, ValueError):
            continue  # it is another's, or has just gone
        command = first.removeprefix("# ").strip() or "penstock proxy"
        found.append((seen.st_mtime, Foreground(os.fsencode(control).decode("latin-1"), command)))
    return [each for _, each in sorted(found)]

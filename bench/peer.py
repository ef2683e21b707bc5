"""A program that is measured, and where it is found."""

import os
import shlex
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path


class NotInstalled(Exception):
    """The message says where the program was looked for."""


@dataclass(frozen=True, slots=True)
class Peer:
    """A program to measure: `program` starts it in a directory that holds its configuration, in the foreground.

    `template` is what that is made of, `file` what it is called there; names between at signs are filled in, in the
    `arguments` as well. `watch` are directives of Penstock for the WebSocket locations, `zones` such for all of `http`.
    `fleet`: it has a Redis to agree with others. `late`: it listens before it knows what to do with a request.
    `caches`: it keeps answers at `/cached`. A cache has processes of its own, so it is there where it is measured only.
    `relays`: it has a `stream` block, in a proxy of its own for the same reason: nginx loads a module for it. `workers`
    is how many processes serve.
    """

    name: str
    program: tuple[str, ...]
    arguments: tuple[str, ...]
    template: str
    environment: tuple[tuple[str, str], ...] = ()
    watch: str = ""
    zones: str = ""
    fleet: bool = False
    file: str = "proxy.conf"
    version_flag: str = "-v"
    late: bool = False
    caches: bool = False
    relays: bool = False
    workers: int = 1

    def version(self) -> str:
        """What it says of its version, in one line."""
        done = subprocess.run(
            [*self.program, self.version_flag], capture_output=True, text=True, timeout=30, check=False
        )
        lines = (done.stdout + done.stderr).strip().splitlines()
        return " ".join(lines[0].split()) if lines else "?"


def program(name: str, advice: str) -> tuple[str, ...]:
    """The command that starts a program: the variable `NAME_BINARY`, or what is installed beside Python or in the
    path. Raises NotInstalled."""
    variable = f"{name.upper()}_BINARY"
    if chosen := os.environ.get(variable):
        return tuple(shlex.split(chosen))
    beside = Path(sys.executable).with_name(name)
    if beside.exists():
        return (str(beside),)
    found = shutil.which(name, path=os.environ.get("PATH", "") + ":/usr/local/sbin:/usr/sbin")
    if found is None:
        raise NotInstalled(f"{name} is not installed ({advice}, or {variable}=PROGRAM)")
    return (found,)

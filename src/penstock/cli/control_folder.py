"""Where the control sockets of a configuration are. Of the configuration nothing else has to be right."""

from __future__ import annotations

import os
from pathlib import PurePosixPath
from typing import TYPE_CHECKING

from penstock.config.errors import Problems
from penstock.config.parser import parse_file
from penstock.modules.core.control import ENDING

if TYPE_CHECKING:
    from penstock.process.startup.launch import Launch


def folder_of(launch: Launch) -> str:
    """Return the folder of the control sockets, "" where there is none. Raises `NobodyThere` where there is no
    configuration."""
    from penstock.process.asking import NobodyThere

    problems = Problems()
    folder = str(PurePosixPath(launch.path).parent)
    tree = parse_file(launch.path, problems, base=folder, loaded=[])
    if not tree and problems.failed:
        raise NobodyThere(f"{launch.path} can not be read; say where it is with -c, or name the --socket")
    said = {each.name.text: each.args[0].text for each in tree if each.args}
    control = said.get("control_socket")
    if control == "off":
        return ""
    if control is not None:
        return _below(launch.prefix, control)
    pid = said.get("pid")
    return (launch.pid_file if pid is None else _below(launch.prefix, pid)).removesuffix(".pid") + ENDING


def is_there(folder: str) -> bool:
    """Return whether a proxy has made the folder, and not taken it away again."""
    return os.path.isdir(folder.encode("latin-1"))  # noqa: PTH112  bytes


def _below(prefix: str, path: str) -> str:
    return path if path.startswith("/") else f"{prefix.rstrip('/')}/{path}"

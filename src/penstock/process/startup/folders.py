"""The folders for temporary files, made by the master so that workers, which may be somebody else, can write there.

nginx: ngx_create_paths. Like nginx, the master makes them at the start, at a reload and for `-t`, and gives them to the
workers' user. A folder that was asked for and can not be had is a mistake of the configuration. A default one is not:
without it requests with small bodies and all answers go through, as where everything is mounted read-only.
"""

from __future__ import annotations

import os
import stat
from errno import EACCES, ENOENT, ENOTDIR
from typing import TYPE_CHECKING

from penstock.config.errors import ConfigError, Level
from penstock.config.os_errors import os_failure
from penstock.modules.core.temp_paths import FolderInUse, temp_folders
from penstock.process.startup.launch import NotStarted
from penstock.process.startup.logs import announce

if TYPE_CHECKING:
    from penstock.plan.plan import Plan
    from penstock.process.startup.privileges import User

MODE = 0o700
PARENT_MODE = 0o755
_EVERYBODY = stat.S_IWOTH | stat.S_IXOTH


class _Failed(Exception):
    """`call` failed; `level` as of a problem that was written down."""

    def __init__(self, call: str, number: int, level: Level = "emerg") -> None:
        super().__init__(os_failure(call, number))
        self.number = number
        self.level: Level = level


def prepare_folders(plan: Plan, user: User | None, *, console: bool) -> None:
    """Make the folders that the plan's workers write to, as theirs. What is wrong is reported; raises `NotStarted`."""
    wrong = []
    for place in temp_folders(plan):
        try:
            _prepare(place, user)
        except _Failed as error:
            wrong.append(_problem(place, error))
    announce(wrong, console=console)
    if any(problem.level == "emerg" for problem in wrong):
        raise NotStarted


def _prepare(place: FolderInUse, user: User | None) -> None:
    shown = place.folder.path
    path = shown.encode("latin-1")
    try:
        _make(path, alone=place.span is not None)
    except OSError as error:
        raise _Failed(f'mkdir() "{shown}"', error.errno or 0) from None
    try:
        about = os.stat(path)
    except OSError as error:
        raise _Failed(f'stat() "{shown}"', error.errno or 0) from None
    if not stat.S_ISDIR(about.st_mode):
        raise _Failed(f'mkdir() "{shown}"', ENOTDIR)
    if user is None:
        if not os.access(path, os.W_OK | os.X_OK):
            raise _Failed(f'access() "{shown}"', EACCES, "warn")  # nginx does not look
        return
    # What everybody may write to, /tmp above all, stays whose it is.
    if about.st_uid != user.uid and about.st_mode & _EVERYBODY != _EVERYBODY:
        try:
            os.chown(path, user.uid, -1)
        except OSError as error:
            raise _Failed(f'chown("{shown}", {user.uid})', error.errno or 0) from None
    if about.st_mode & MODE != MODE:
        try:
            os.chmod(path, stat.S_IMODE(about.st_mode) | MODE)  # noqa: PTH101  bytes
        except OSError as error:
            raise _Failed(f'chmod() "{shown}"', error.errno or 0) from None


def _make(path: bytes, *, alone: bool) -> None:
    """The folder, unless it is there; with the one around it unless `alone`."""
    try:
        os.mkdir(path, MODE)  # noqa: PTH102  bytes
    except FileExistsError:
        return
    except FileNotFoundError:
        if alone:
            raise
        os.mkdir(os.path.dirname(path), PARENT_MODE)  # noqa: PTH102  bytes
        os.mkdir(path, MODE)  # noqa: PTH102  bytes


def _problem(place: FolderInUse, error: _Failed) -> ConfigError:
    folder = place.folder
    if place.span is not None:
        hint = "name another place"
        if error.number == ENOENT:
            hint = f'make the folder "{os.path.dirname(folder.path)}", or {hint}'
        elif error.number == EACCES:
            hint = f"let user {os.geteuid()} write there, or {hint}"
        return ConfigError(str(error), place.span, hint=hint, level=error.level)
    if folder.directive == "client_body_temp_path":
        lost = "requests with bodies larger than client_body_buffer_size will be answered with 500"
    else:
        lost = "answers will be read only as fast as clients take them"
    return ConfigError(f"{error}: {lost}; name another place with {folder.directive}", level="warn")

"""`disable_symlinks`: files are opened part by part, so that no part of their path is a link that may not be there.

Each part is opened from the descriptor of the one before it. What a name leads to can not be exchanged between the look
at it and its use, as nobody looks at the same name twice.
"""

from __future__ import annotations

import errno
import os
from dataclasses import dataclass
from typing import TYPE_CHECKING

from penstock.net.descriptors import with_room

if TYPE_CHECKING:
    from penstock.config.scope import Call
    from penstock.config.variables import Template
    from penstock.http.request import Request

OPEN = os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC
_SEARCH = os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC
_MODES = ("off", "on", "if_not_owner")


class WalkFailed(OSError):
    """A part of a path could not be opened, or is a link that is not allowed (ELOOP)."""


@dataclass(frozen=True, slots=True)
class SymlinkRule:
    """Links are refused, or with `owners` those whose owner is another one than that of what they lead to. `start` is a
    part that paths may begin with in which nothing is looked at."""

    owners: bool
    start: Template | None

    def open(self, request: Request, path: str, flags: int) -> int:
        """Open a file or folder. Raises `OSError`, and `ValueError` for a zero byte in the path."""
        trusted = self._trusted(request, path)
        if trusted == len(path):
            return os.open(path.encode("latin-1"), flags)
        name = path.encode("latin-1")
        if b"\0" in name:
            raise ValueError("embedded null byte")
        if trusted:
            at = os.open(name[:trusted], _SEARCH)
        elif name.startswith(b"/"):
            at = os.open(b"/", _SEARCH)
        else:
            at = os.open(b".", _SEARCH)
        *folders, last = name[trusted:].split(b"/")
        try:
            for part in folders:
                if part:
                    inner = self._step(part, at, _SEARCH)
                    os.close(at)
                    at = inner
            return self._step(last, at, flags) if last else _openat(b".", at, flags)
        finally:
            os.close(at)

    def _trusted(self, request: Request, path: str) -> int:
        """How many bytes of a path are not looked at."""
        if self.start is None:
            return 0
        start = self.start.evaluate(request)
        if not start or not path.startswith(start):
            return 0
        size = len(start)
        if size == len(path) or path[size] == "/":
            return size
        return size - 1 if start.endswith("/") else 0

    def _step(self, name: bytes, at: int, flags: int) -> int:
        if not self.owners:
            return _openat(name, at, flags | os.O_NOFOLLOW)
        fd = _openat(name, at, flags)
        try:
            same = os.stat(name, dir_fd=at, follow_symlinks=False).st_uid == os.fstat(fd).st_uid
        except BaseException:
            os.close(fd)
            raise
        if not same:
            os.close(fd)
            raise WalkFailed(errno.ELOOP, os.strerror(errno.ELOOP))
        return fd


def _openat(name: bytes, at: int, flags: int) -> int:
    try:
        return os.open(name, flags, dir_fd=at)
    except OSError as error:
        raise WalkFailed(error.errno, os.strerror(error.errno or 0)) from None


def read_rule(call: Call) -> SymlinkRule | None:
    """Read `disable_symlinks`; None for `off`."""
    mode, start = "", None
    for word in call.args:
        if word.text in _MODES:
            mode = word.text
        elif word.text.startswith("from="):
            start = call.template(word._replace(text=word.text.removeprefix("from=")))
        else:
            raise call.fail(f'invalid parameter "{word.text}"', word, hint=f"{', '.join(_MODES)}, from=part")
    if not mode:
        raise call.fail('"disable_symlinks" must have "off", "on" or "if_not_owner" parameter')
    if len(call.args) == 2 and start is None:
        raise call.fail(f'duplicate parameters "{call.args[0].text} {call.args[1].text}"')
    if mode == "off" and start is not None:
        raise call.fail('"from=" cannot be used with "off" parameter')
    return None if mode == "off" else SymlinkRule(mode == "if_not_owner", start)


def open_file(request: Request, path: str, rule: SymlinkRule | None) -> int:
    """Open a file or folder to read it. Raises `OSError`, `ValueError`."""
    if rule is None:
        return with_room(lambda: os.open(path.encode("latin-1"), OPEN))
    return with_room(lambda: rule.open(request, path, OPEN))


def status_of(request: Request, path: str, rule: SymlinkRule | None) -> os.stat_result:
    """Look at a file or folder. Raises `OSError`, `ValueError`."""
    if rule is None:
        return os.stat(path.encode("latin-1"))
    fd = open_file(request, path, rule)
    try:
        return os.fstat(fd)
    finally:
        os.close(fd)


def call_of(error: OSError, otherwise: str) -> str:
    """Return which system call has failed, for the error log."""
    return "openat()" if isinstance(error, WalkFailed) else otherwise

"""Watches what workers import after they were forked, and keeps them from it: as if they could not read the program."""

import os
from collections.abc import Mapping
from pathlib import Path

_GUARD = '''
import os
import sys

NOTES = {notes!r}
PATCH = {patch!r}


class Guard:
    def find_spec(self, name, path=None, target=None):
        note = os.open(NOTES, os.O_WRONLY | os.O_APPEND)
        os.write(note, name.encode() + b"\\n")
        os.close(note)
        raise ModuleNotFoundError("No module named " + repr(name), name=name)


def forked():
    # What needs no disk is found before it.
    disk = next(at for at, each in enumerate(sys.meta_path) if getattr(each, "__name__", "") == "PathFinder")
    exec(PATCH, {{}})
    sys.meta_path.insert(disk, Guard())


os.register_at_fork(after_in_child=forked)
'''


class LateImports:
    """For a proxy that is started with `env`: `names` are the modules that its workers wanted to import. `patch` is
    code that runs in every process that it forks."""

    def __init__(self, directory: Path, patch: str = "") -> None:
        self._notes = directory / "late-imports"
        self._notes.touch()
        self._notes.chmod(0o666)
        folder = directory / "guard"
        folder.mkdir()
        (folder / "sitecustomize.py").write_text(_GUARD.format(notes=str(self._notes), patch=patch))
        self._folder = folder

    @property
    def env(self) -> Mapping[str, str]:
        known = os.environ.get("PYTHONPATH")
        return {"PYTHONPATH": f"{self._folder}:{known}" if known else str(self._folder)}

    @property
    def names(self) -> set[str]:
        return set(self._notes.read_text().split())

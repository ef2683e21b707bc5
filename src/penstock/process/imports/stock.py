"""What of this program is not imported, kept for later as it is now: in memory, as the bytes of its files.

A package manager may put another version into the place of this one, and workers may be a user who can not read it; a
configuration that is taken up later may need more of it all the same, and has it from here, in whatever process. It is
one piece of memory for all processes, which none of them maps: it is no one's resident memory.
"""

from __future__ import annotations

import marshal
import os
import sys
from collections.abc import Iterator, Sequence
from importlib.machinery import ModuleSpec
from importlib.util import MAGIC_NUMBER, cache_from_source
from types import CodeType, ModuleType
from typing import TYPE_CHECKING, TypeAlias, cast

import penstock

if TYPE_CHECKING:
    from importlib.abc import Loader  # at runtime it would import much that workers have no use for

OUTSIDE = frozenset({"cli", "__pycache__"})
"""Folders of which nothing serves."""

_HEAD = 16
_UNCHECKED = 1
"""The flag of compiled files that stand for themselves, whatever their source says (PEP 552)."""

Place: TypeAlias = "tuple[int, int, str, bool]"
"""Where a module lies: offset and size, the path of its file, and whether it is compiled."""


class Stock:
    """All modules of the program that are not imported by now. Finds and loads them, in front of those on disk."""

    __slots__ = ("_fd", "_index", "_places")

    def __init__(self) -> None:
        """Read them. Raises `OSError`."""
        self._fd = os.memfd_create("modules", os.MFD_CLOEXEC)
        places: dict[str, Place] = {}
        at = 0
        for name, path in _files():
            if name not in sys.modules:
                data, compiled = _read(path)
                places[name] = at, os.write(self._fd, data), path, compiled
                at += len(data)
        self._index = at, os.write(self._fd, marshal.dumps(places))
        self._places: dict[str, Place] | None = None

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None, /
    ) -> ModuleSpec | None:
        if not fullname.startswith("penstock."):
            return None
        found = self._found(fullname)
        if found is None:
            return None
        folder, _, file = found[2].rpartition("/")
        package = file == "__init__.py"
        spec = ModuleSpec(fullname, cast("Loader", self), origin=found[2], is_package=package)
        spec.has_location = True
        if package:
            spec.submodule_search_locations = [folder]
        return spec

    def create_module(self, spec: ModuleSpec) -> None:
        """Create the module as usual."""

    def exec_module(self, module: ModuleType) -> None:
        # As the import system does it.
        exec(self.get_code(module.__name__), module.__dict__)

    def get_code(self, name: str) -> CodeType:
        """Return the code of a module that is here."""
        found = self._found(name)
        assert found is not None
        at, size, path, compiled = found
        data = os.pread(self._fd, size, at)
        made: CodeType = marshal.loads(data[_HEAD:]) if compiled else compile(data, path, "exec", dont_inherit=True)
        return made

    def _found(self, name: str) -> Place | None:
        if self._places is None:
            at, size = self._index
            self._places = marshal.loads(os.pread(self._fd, size, at))
        return self._places.get(name)


def lay_in() -> None:
    """Keep what is not imported, and have it found. Raises `OSError`."""
    sys.meta_path.insert(0, Stock())


def _files() -> Iterator[tuple[str, str]]:
    """All modules of the program that may serve, with their files."""
    for top in penstock.__path__:
        for folder, inner, files in os.walk(top):
            inner[:] = [each for each in inner if each not in OUTSIDE]
            package = penstock.__name__ + folder[len(top) :].replace("/", ".")
            for file in files:
                if file == "__init__.py":
                    yield package, f"{folder}/{file}"
                elif file.endswith(".py"):
                    yield f"{package}.{file[:-3]}", f"{folder}/{file}"


def _read(path: str) -> tuple[bytes, bool]:
    """What there is of a module: compiled, if that is of this file and this Python, or its source."""
    with open(path, "rb") as file:  # noqa: PTH123  workers do without pathlib
        about = os.fstat(file.fileno())
        try:
            with open(cache_from_source(path), "rb") as cached:  # noqa: PTH123
                data = cached.read()
        except (OSError, NotImplementedError):
            return file.read(), False
        flags = int.from_bytes(data[4:8], "little")
        stamp = int(about.st_mtime).to_bytes(8, "little")[:4] + (about.st_size & 0xFFFFFFFF).to_bytes(4, "little")
        if data[:4] == MAGIC_NUMBER and (flags == _UNCHECKED or (flags == 0 and data[8:_HEAD] == stamp)):
            return data, True
        return file.read(), False

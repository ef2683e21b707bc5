"""Modules that the master imported after its workers had begun: libraries that a new configuration asks for first.

A worker may not be able to read them where they are, so they come with the configuration, as code: what a worker
imports is what the master has imported. Modules of this program every process has at hand (`stock.py`). A library in C
can not come so; a worker that can not read it refuses the configuration, and a new one, which is forked with it, takes
its place.
"""

from __future__ import annotations

import marshal
import sys
from collections.abc import Sequence
from importlib.machinery import BuiltinImporter, FrozenImporter, ModuleSpec
from types import CodeType, ModuleType
from typing import TYPE_CHECKING, TypeAlias, cast

from penstock.process.imports.stock import Stock

if TYPE_CHECKING:
    from importlib.abc import Loader  # at runtime it would import much that workers have no use for

_KNOWN = (None, BuiltinImporter, FrozenImporter)
"""Loaders that every process has."""

Packed: TypeAlias = "dict[str, tuple[CodeType, str, list[str] | None]]"
"""By name: code, the file it was made of, and where a package looks for what is inside of it."""


class Latecomers:
    """The master's: what was not there when it was made."""

    __slots__ = ("_known", "_packed")

    def __init__(self) -> None:
        self._known = set(sys.modules)
        self._packed: Packed = {}

    def pack(self) -> bytes:
        """Pack all modules that have come since, for `Shelf`; nothing where none has."""
        for name in list(sys.modules):
            if name not in self._known:
                self._known.add(name)
                self._add(name)
        return marshal.dumps(self._packed) if self._packed else b""

    def _add(self, name: str) -> None:
        spec = getattr(sys.modules.get(name), "__spec__", None)
        loader = getattr(spec, "loader", None)
        if spec is None or loader in _KNOWN or isinstance(loader, Stock) or not hasattr(loader, "get_code"):
            return
        try:
            code = loader.get_code(spec.name)
        except (ImportError, OSError):
            return
        if isinstance(code, CodeType):
            places = spec.submodule_search_locations
            self._packed[name] = code, spec.origin or "", None if places is None else list(places)


class Shelf:
    """A worker's: gives what came with a configuration, before anybody looks for it on disk."""

    def __init__(self) -> None:
        self._packed: Packed = {}

    def fill(self, data: bytes) -> None:
        """Have these too."""
        self._packed.update(marshal.loads(data))
        if self not in sys.meta_path:
            sys.meta_path.insert(0, self)

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None, /
    ) -> ModuleSpec | None:
        found = self._packed.get(fullname)
        if found is None:
            return None
        _, origin, places = found
        spec = ModuleSpec(fullname, cast("Loader", self), origin=origin, is_package=places is not None)
        spec.has_location = bool(origin)
        if places is not None:
            spec.submodule_search_locations = places
        return spec

    def create_module(self, spec: ModuleSpec) -> None:
        """Create the module as usual."""

    def exec_module(self, module: ModuleType) -> None:
        # As the import system does it: the code came from the master, since the file may be gone or not to be read.
        exec(self._packed[module.__name__][0], module.__dict__)

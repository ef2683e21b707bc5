"""Where temporary files go: `client_body_temp_path`, `proxy_temp_path` and their kin, and what stands for them.

The master makes these folders before it serves (`process/startup/folders.py`): those that are written down wherever
they stand, as nginx does, and of the defaults those that something in the configuration needs. nginx makes all
defaults; here a configuration that passes nothing on leaves no folders behind.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from penstock.config import values
from penstock.config.errors import ConfigError
from penstock.config.key import Key
from penstock.config.kinds import Kind, converted
from penstock.config.scope import Call, Compilation
from penstock.config.source import Span
from penstock.observe.default_paths import places_for
from penstock.plan.plan import Plan
from penstock.upstream.exchange.temp_file import TempFolder

FOLDERS: Key[dict[str, FolderInUse]] = Key("folders of temporary files")
"""The key of the plan's `shared`: `FolderInUse` by path."""
_MOST_DIGITS = 10


@dataclass(frozen=True, slots=True)
class FolderInUse:
    """A folder that is used, and where that was said; None for a default."""

    folder: TempFolder
    span: Span | None


def temp_folders(plan: Plan) -> Iterable[FolderInUse]:
    """Return all folders that workers may put files into."""
    return (plan.shared.get(FOLDERS) or {}).values()


def default_folder(compilation: Compilation, name: str, directive: str) -> TempFolder:
    """Return the folder in use where `directive` says no other, by its `name` below the prefix. Raises `ConfigError`.
    """
    path = compilation.logs_path(places_for(compilation.prefix).temporary + name)
    return note_folder(compilation, TempFolder(path, (), directive), None)


def _temp_path(call: Call) -> TempFolder:
    path, *levels = call.args
    digits: list[int] = []
    for word in levels:
        count = converted(call, word, values.number)
        if not 0 < count <= _MOST_DIGITS - sum(digits):
            hint = "a level is a number of digits, at least 1, and all levels together have 10 at most"
            raise call.fail(f'"{call.name}" directive invalid value', word, hint=hint)
        digits.append(count)
    full = call.compilation.logs_path(path.text.removesuffix("/"))
    return note_folder(call.compilation, TempFolder(full, tuple(digits), call.name), call.directive.span)


def note_folder(compilation: Compilation, folder: TempFolder, span: Span | None) -> TempFolder:
    """Note a folder that workers write to, so that it is made for them. Raises `ConfigError`."""
    places = compilation.shared.setdefault(FOLDERS, {})
    there = places.setdefault(folder.path, FolderInUse(folder, span))
    if there.folder.levels != folder.levels:
        where = f" in {there.span.file}:{there.span.line}" if there.span is not None else ""
        raise ConfigError(
            f'the same path name "{folder.path}" used{where} has different levels',
            span or there.span,
            hint="give the same levels everywhere, or name another folder",
        )
    if there.span is None and span is not None:
        places[folder.path] = FolderInUse(folder, span)
    return folder


temp_path = Kind(_temp_path, 1, 4, "path [level1 [level2 [level3]]]")
"""The arguments of these directives, as a `TempFolder`."""

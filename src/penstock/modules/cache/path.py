"""`proxy_cache_path` and its kin: where answers are kept, and the memory in which all workers know of them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from penstock.config import values
from penstock.config.errors import ConfigError
from penstock.config.key import Key
from penstock.config.registry import HTTP, REGISTRY, Spec
from penstock.config.scope import Call, Scope
from penstock.config.tree import Directive, Word
from penstock.modules.access.zones import zones
from penstock.modules.cache.stores import STORES, caches
from penstock.modules.core.temp_paths import note_folder
from penstock.observe.errorlog import CRIT, WARN, report
from penstock.shared.cache_index import CacheIndex
from penstock.upstream.cache.store import CacheStore, Stride
from penstock.upstream.exchange.temp_file import TempFolder

OWNERS: Key[dict[str, str]] = Key("whose caches")
"""By name of a zone: the directive that has defined it."""

SMALLEST = 8 * 1024
"""Bytes of a zone: nginx wants two pages."""
LEVELS_MOST = 3
LEVELS = {"write": CRIT, "crit": CRIT, "warn": WARN}
SYNTAX = (
    "path [levels=levels] [use_temp_path=on|off] keys_zone=name:size [inactive=time] [max_size=size] [min_free=size] "
    "[manager_files=number] [manager_sleep=time] [manager_threshold=time] [loader_files=number] [loader_sleep=time] "
    "[loader_threshold=time]"
)
DOC = (
    "Files are Penstock's own: nginx's are not read. A place in the zone takes 64 bytes. `purger` and its parameters, "
    "nginx Plus's, have no effect: what a wildcard purges is gone when it is answered."
)
# Any: each converts to a type of its own.
_PURGER: dict[str, Callable[[str], Any]] = {
    "purger": values.flag,
    "purger_files": values.number,
    "purger_sleep": values.seconds,
    "purger_threshold": values.seconds,
}


def declare_path(prefix: str, page: str) -> None:
    """Declare the directive for a family of modules."""

    def handle(scope: Scope, directive: Directive) -> None:
        _define(Call(scope, directive))

    REGISTRY.add(
        Spec(f"{prefix}_cache_path", HTTP, handle, 2, None, syntax=SYNTAX, nginx=page, module=prefix, doc=DOC)
    )


def _define(call: Call) -> None:
    path = call.compilation.logs_path(call.args[0].text.removesuffix("/"))
    name, size = "", 0
    # Any: each parameter has its own type, which the store's fields check.
    given: dict[str, Any] = {}
    paces: dict[str, dict[str, Any]] = {"manager": {}, "loader": {}}
    use_temp_path = True
    for word in call.args[1:]:
        key, equals, text = word.text.partition("=")
        who, _, what = key.partition("_")
        if not equals:
            raise call.fail(f'invalid parameter "{word.text}"', word)
        if key == "keys_zone":
            name, size = _zone(call, word, text)
        elif key == "levels":
            given["levels"] = _levels(call, word, text)
        elif key == "use_temp_path":
            use_temp_path = _value(call, word, text, values.flag)
        elif key == "inactive":
            given["inactive"] = _value(call, word, text, values.whole_seconds)
        elif key == "max_size":
            given["most"] = _value(call, word, text, values.offset)
        elif key == "min_free":
            given["free"] = _value(call, word, text, values.offset)
        elif who in paces and what == "files":
            paces[who][what] = _value(call, word, text, values.number)
        elif who in paces and what in ("sleep", "threshold"):
            paces[who][what] = _value(call, word, text, values.seconds)
        elif key in _PURGER:
            _value(call, word, text, _PURGER[key])
        else:
            raise call.fail(f'invalid parameter "{word.text}"', word)
    if not name:
        raise call.fail(f'"{call.name}" must have "keys_zone" parameter', hint="add: keys_zone=name:10m")
    known = caches(call.compilation)
    owners = call.compilation.shared.setdefault(OWNERS, {})
    if name in known:
        if owners[name] != call.name:
            raise _taken(name, call)
        raise call.fail(f'duplicate zone "{name}"')
    for other in known.values():
        if other.path == path:
            raise call.fail(f'the cache "{other.name}" is in "{path}" already', hint="give each cache a folder")
    folder = TempFolder(path, given.get("levels", ()), call.name)
    note_folder(call.compilation, folder, call.directive.span)
    store = CacheStore(
        name,
        path,
        temporary=None if use_temp_path else folder,
        manager=Stride(**paces["manager"]),
        loader=Stride(**paces["loader"]),
        say=lambda level, text: report(None, LEVELS[level], text),
        **given,
    )
    known[name] = store
    owners[name] = call.name
    compilation = call.compilation

    def take_memory() -> None:
        if name in zones(compilation):
            raise _taken(name, call)
        old = (compilation.previous.get(STORES) or {}).get(name)
        if old is not None and (old.path, old.levels, old.index.size) == (path, store.levels, size):
            store.shared = old.index
        else:
            store.shared = CacheIndex(name, size)

    compilation.defer(take_memory)


def _taken(name: str, call: Call) -> ConfigError:
    return ConfigError(f'the shared memory zone "{name}" is already declared for a different use', call.directive.span)


def _zone(call: Call, word: Word, text: str) -> tuple[str, int]:
    name, colon, digits = text.partition(":")
    try:
        size = values.size(digits) if colon else 0
    except ValueError:
        size = 0
    if not size or not name:
        raise call.fail(f'invalid keys zone size "{word.text}"', word, hint="write: keys_zone=name:10m")
    if size < SMALLEST:
        raise call.fail(f'keys zone "{word.text}" is too small', word, hint="it takes at least 8k")
    return name, size


def _levels(call: Call, word: Word, text: str) -> tuple[int, ...]:
    parts = text.split(":")
    if len(parts) > LEVELS_MOST or any(part not in ("1", "2") for part in parts):
        raise call.fail(f'invalid "levels" "{word.text}"', word, hint="up to three numbers, 1 or 2: levels=1:2")
    return tuple(int(part) for part in parts)


def _value(call: Call, word: Word, text: str, convert: Callable[[str], Any]) -> Any:
    try:
        return convert(text)
    except ValueError as error:
        name = word.text.partition("=")[0]
        raise call.fail(f'invalid {name} value "{word.text}"', word, hint=str(error)) from None

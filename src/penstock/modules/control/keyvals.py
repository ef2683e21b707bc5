"""Pairs of keys and values by the API: `/9/http/keyvals` and `/9/stream/keyvals` of nginx's paid edition."""

from __future__ import annotations

from time import time
from typing import TYPE_CHECKING, Any

from penstock.config.os_errors import os_failure
from penstock.modules.control.plus import ApiRefused, Plain
from penstock.modules.rewrite.keyval import KEYVALS
from penstock.plan.plan import STREAM_PART, Plan
from penstock.shared.keyvals import Entries, KeyvalStore, as_latin1, as_unicode
from penstock.shared.versioned_text import TooMuch

if TYPE_CHECKING:
    from collections.abc import Mapping

NO_KEY = 404, "KeyvalKeyNotFound", "keyval key not found"
LONGEST_STAY = 10.0**15
"""Milliseconds that a pair may stay: more than anybody means."""


def stores_of(plan: Plan, part: str) -> dict[str, KeyvalStore]:
    """Return the zones of `http` or `stream`."""
    shared = plan.shared if part == "http" else plan.shared.get(STREAM_PART)
    return {} if shared is None else shared.get(KEYVALS) or {}


def all_pairs(stores: Mapping[str, KeyvalStore]) -> dict[str, Plain]:
    """Return the pairs of all zones."""
    return {name: _shown(store) for name, store in stores.items()}


def pairs_of(store: KeyvalStore, key: str | None) -> Plain:
    """Return the pairs of a zone, or that of one key. Raises `ApiRefused`."""
    pairs = _shown(store)
    if key is None:
        return pairs
    if key not in pairs:
        raise ApiRefused(*NO_KEY)
    return {key: pairs[key]}


def store_named(stores: Mapping[str, KeyvalStore], name: str) -> KeyvalStore:
    """Return a zone. Raises `ApiRefused`."""
    found = stores.get(name)
    if found is None:
        raise ApiRefused(404, "KeyvalNotFound", "keyval not found")
    return found


def change(store: KeyvalStore, method: str, given: Plain) -> None:
    """Do what POST, PATCH or DELETE asks for. Raises `ApiRefused`; nothing has changed then."""
    acts = {"POST": _add, "PATCH": _set, "DELETE": _clear}
    try:
        now = time()
        store.change(lambda entries: acts[method](store, entries, given, now), now)
    except TooMuch as error:
        raise ApiRefused(507, "KeyvalOutOfMemory", str(error)) from None
    except OSError as error:
        raise ApiRefused(500, "InternalError", os_failure("open()", error, store.state)) from None


def _shown(store: KeyvalStore) -> Plain:
    return {as_unicode(key): as_unicode(value) for key, value in store.pairs(time()).items()}


def _format(text: str) -> ApiRefused:
    return ApiRefused(400, "KeyvalFormatError", text)


def _clear(store: KeyvalStore, entries: Entries, given: Plain, now: float) -> None:
    entries.clear()


def _add(store: KeyvalStore, entries: Entries, given: Plain, now: float) -> None:
    if not given:
        raise _format("key required")
    if len(given) > 1 and entries:
        raise _format("only one key can be added")
    for key, said in given.items():
        name = as_latin1(key)
        if not store.takes(name):
            raise _format("invalid key format")
        if name in entries:
            raise ApiRefused(409, "KeyvalKeyExists", "key already exists")
        value, expire = _pair(store, said)
        if value is None:
            raise _format("invalid value")
        entries[name] = [value, store.end_of(expire, now)]


def _set(store: KeyvalStore, entries: Entries, given: Plain, now: float) -> None:
    if not given:
        raise _format("key required")
    if len(given) > 1:
        raise _format("only one key can be updated")
    ((key, said),) = given.items()
    name = as_latin1(key)
    if name not in entries:
        raise ApiRefused(*NO_KEY)
    if said is None:
        del entries[name]
        return
    value, expire = _pair(store, said)
    entries[name] = [entries[name][0] if value is None else value, store.end_of(expire, now)]


def _pair(store: KeyvalStore, said: Any) -> tuple[str | None, float | None]:
    """Read a value, or an object of a value and the milliseconds that it stays."""
    expire = None
    if isinstance(said, dict):
        if not said or set(said) - {"value", "expire"}:
            raise _format("invalid value")
        expire = said.get("expire")
        if "expire" in said:
            if isinstance(expire, bool) or not isinstance(expire, int | float) or not 0 < expire < LONGEST_STAY:
                raise _format("invalid expire")
            if not store.timeout:
                raise _format("keyval timeout is not enabled")
        if "value" not in said:
            return None, expire
        said = said["value"]
    if not isinstance(said, str):
        raise _format("invalid value")
    return as_latin1(said), expire

"""Variables by pairs that are set while it runs: `keyval` and `keyval_zone` (nginx: ngx_http_keyval_module).

The pairs are set by the API (`modules/control/keyvals.py`), for all workers at once.
"""

from __future__ import annotations

from time import time

from penstock.config import values
from penstock.config.errors import ConfigError
from penstock.config.inputs import read_file
from penstock.config.key import Key
from penstock.config.os_errors import os_failure
from penstock.config.registry import HTTP, STREAM, command
from penstock.config.scope import Call, Compilation, Scope
from penstock.config.tree import Directive, Word
from penstock.http.request import Request
from penstock.modules.rewrite.computed import declare, variable_name
from penstock.shared.keyvals import KINDS, KeyvalStore
from penstock.shared.versioned_text import TooMuch, VersionedText

PAGE = "ngx_http_keyval_module.html"
SMALLEST = 8 * 4096

KEYVALS: Key[dict[str, KeyvalStore]] = Key("keyvals")
"""The key of a part's `shared` under which its zones are, by name."""


def stores(compilation: Compilation) -> dict[str, KeyvalStore]:
    """Return the zones of the configuration that is being read."""
    return compilation.shared.setdefault(KEYVALS, {})


@command(
    "keyval_zone",
    where=HTTP | STREAM,
    most=5,
    syntax="zone=name:size [state=file] [timeout=time] [type=string | ip | prefix] [sync]",
    nginx=PAGE,
)
def keyval_zone(scope: Scope, directive: Directive) -> None:
    """A zone for pairs of keys and values, which the API sets (`/9/http/keyvals`). `state` keeps them in a file, in a
    folder that the workers' user may write to; `timeout` ends a pair; `type=ip` finds the smallest network that a key
    names, `type=prefix` the longest key that a text begins with. It is one machine's: `sync` changes nothing.
    """
    given: dict[str, Word] = {}
    for word in directive.args:
        name = word.text.partition("=")[0]
        if name not in ("zone", "state", "timeout", "type", "sync") or ("=" in word.text) is (name == "sync"):
            raise ConfigError(f'invalid parameter "{word.text}"', word.span)
        if name in given:
            raise ConfigError(f'duplicate "{name}" parameter', word.span)
        given[name] = word
    if "zone" not in given:
        raise ConfigError('"keyval_zone" must have "zone" parameter', directive.span, hint="write: zone=name:32k")
    name, size = _name_and_size(given["zone"])
    kind = given["type"].text.partition("=")[2] if "type" in given else "string"
    if kind not in KINDS:
        raise ConfigError(f'invalid type "{kind}"', given["type"].span, hint="it may be: " + ", ".join(KINDS))
    timeout = _seconds(given["timeout"]) if "timeout" in given else 0.0
    if "sync" in given:
        _alone(scope.compilation, name, given["sync"], timeout)
    known = stores(scope.compilation)
    if name in known:
        raise ConfigError(f'duplicate zone "{name}"', given["zone"].span)
    before = (scope.compilation.previous.get(KEYVALS) or {}).get(name)
    if before is not None and before.memory.room == size:
        memory = before.memory
    else:
        part = "stream" if scope.context is STREAM else "http"
        memory = VersionedText(f"keyval {part} {name}", f'what is in the zone "{name}"', size)
    path = given["state"].text.partition("=")[2] if "state" in given else ""
    known[name] = store = KeyvalStore(memory, kind, timeout, scope.compilation.logs_path(path) if path else "")
    if store.state:
        _fill(store, given["state"])


def _name_and_size(word: Word) -> tuple[str, int]:
    name, _, text = word.text.removeprefix("zone=").partition(":")
    try:
        size = values.size(text)
    except ValueError:
        size = -1
    if size < 0 or not name:
        raise ConfigError(f'invalid zone size "{word.text}"', word.span, hint="write: zone=name:32k") from None
    if size < SMALLEST:
        raise ConfigError(f'zone "{name}" is too small', word.span, hint="it takes at least 32k")
    return name, size


def _seconds(word: Word) -> float:
    text = word.text.partition("=")[2]
    try:
        seconds = values.seconds(text)
    except ValueError as error:
        raise ConfigError(f'invalid timeout "{text}"', word.span, hint=str(error)) from None
    if not seconds:
        raise ConfigError(f'invalid timeout "{text}"', word.span, hint="leave it out, if pairs are to stay")
    return seconds


def _alone(compilation: Compilation, name: str, word: Word, timeout: float) -> None:
    if not timeout:
        raise ConfigError('"sync" requires "timeout" parameter', word.span)
    compilation.problems.warn(
        f'"sync" has no effect: the keyval zone "{name}" is this machine\'s alone',
        word.span,
        hint="set the pairs on each machine",
    )


def _fill(store: KeyvalStore, word: Word) -> None:
    try:
        store.fill(read_file(store.state))
    except FileNotFoundError:
        return
    except OSError as error:
        raise ConfigError(os_failure("open()", error, store.state), word.span) from None
    except (ValueError, TooMuch) as error:
        raise ConfigError(f'the state file "{store.state}" can not be read: {error}', word.span) from None


@command("keyval", where=HTTP | STREAM, least=3, most=3, syntax="key $variable zone=name", nginx=PAGE)
def keyval(scope: Scope, directive: Directive) -> None:
    """A variable whose value is that of a key in a zone, at the moment it is read; without the key there is none."""
    key = Call(scope, directive).template(directive.args[0])
    _, target, zone = directive.args
    variable_name(target)
    name = zone.text.removeprefix("zone=")
    if not zone.text.startswith("zone=") or not name:
        raise ConfigError(f'invalid parameter "{zone.text}"', zone.span, hint="write: zone=name")
    compilation = scope.compilation
    found: list[KeyvalStore] = []

    def join() -> None:
        store = stores(compilation).get(name)
        if store is None:
            raise ConfigError(f'unknown zone "{name}"', zone.span, hint=f"define it: keyval_zone zone={name}:32k;")
        found.append(store)

    compilation.defer(join)

    def compute(request: Request) -> str | None:
        return found[0].find(key.evaluate(request), time())

    declare(compilation, target, compute, key.names, remember=False)

"""Certificates and keys of a TLS server: read from files or given as `data:`, at the start or, where their names hold
variables, at the handshake (nginx: ngx_http_ssl_module, ssl_certificate)."""

from __future__ import annotations

import os
from collections import OrderedDict
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from penstock.config.inputs import read_file
from penstock.config.os_errors import os_failure
from penstock.config.scope import Call
from penstock.net.tls.files import DATA

if TYPE_CHECKING:
    import ssl

NO_PASSWORD = (b"",)
"""Without a password file an empty one is tried, so that OpenSSL never asks the terminal."""
_LONGEST_PASSWORD = 4096


def passwords(call: Call) -> tuple[bytes, ...]:
    """Read the lines of a password file while the configuration is read: it may be a pipe."""
    path = call.compilation.conf_path(call.args[0].text)
    try:
        lines = [line.removesuffix(b"\r") for line in read_file(path).split(b"\n")]
    except OSError as error:
        raise call.fail(os_failure("open()", error, path), call.args[0]) from None
    if any(len(line) >= _LONGEST_PASSWORD for line in lines):
        raise call.fail(f'too long line in "{path}"', call.args[0])
    return tuple(line for line in lines if line) or NO_PASSWORD


class NamedAtHandshake:
    """Contexts of a server whose certificates' names hold variables, one for each set of names met.

    At most `most` files are kept, each for `inactive` seconds after its last use. One that has changed is read again,
    `valid` seconds later at the latest.
    """

    __slots__ = ("_build", "_inactive", "_kept", "_most", "_valid")

    def __init__(
        self, build: Callable[[Sequence[str]], ssl.SSLContext], most: int, inactive: float, valid: float
    ) -> None:
        self._build = build
        self._most = most
        self._inactive = inactive
        self._valid = valid
        self._kept: OrderedDict[tuple[str, ...], _Kept] = OrderedDict()

    def find(self, names: tuple[str, ...], now: float) -> ssl.SSLContext:
        """Find the context for certificates and keys of these names. Raises `CannotLoad`."""
        known = self._kept.get(names)
        if known is not None and self._good(known, names, now):
            known.used = now
            self._kept.move_to_end(names)
            return known.context
        self._kept.pop(names, None)
        made = _Kept(_stamps(names), self._build(names), now)
        self._make_room(len(names), now)
        self._kept[names] = made
        return made.context

    def _good(self, known: _Kept, names: tuple[str, ...], now: float) -> bool:
        if now - known.checked <= self._valid:
            return True
        known.checked = now
        return known.stamps == _stamps(names)

    def _make_room(self, files: int, now: float) -> None:
        kept = self._kept
        while kept:
            oldest = next(iter(kept.values()))
            if (len(kept) + 1) * files <= self._most and now - oldest.used <= self._inactive:
                break
            kept.popitem(last=False)


class _Kept:
    __slots__ = ("checked", "context", "stamps", "used")

    def __init__(self, stamps: tuple[Any, ...], context: ssl.SSLContext, now: float) -> None:
        self.stamps = stamps
        self.context = context
        self.checked = self.used = now


def _stamps(names: tuple[str, ...]) -> tuple[Any, ...]:
    """What changes when one of the files does."""
    found: list[Any] = []
    for name in names:
        if name.startswith(DATA):
            continue
        try:
            about = os.stat(os.fsdecode(name.encode("latin-1")))
        except OSError:
            found.append(None)
        else:
            found.append((about.st_ino, about.st_mtime_ns, about.st_size))
    return tuple(found)

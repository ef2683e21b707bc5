"""Certificates and keys of a TLS server: read from files or given as `data:`, at the start or, where their names hold
variables, at the handshake (nginx: ngx_http_ssl_module, ssl_certificate)."""

from __future__ import annotations

import os
import ssl
from collections import OrderedDict
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from penstock.config.scope import Call

NO_PASSWORD = (b"",)
"""Without a password file an empty one is tried, so that OpenSSL never asks the terminal."""
_LONGEST_PASSWORD = 4096
_DATA = "data:"


class CannotLoad(ValueError):
    """A certificate or key that can not be used, in nginx's words. `key` says which of the two, `number` of which pair,
    `hint` what to do."""

    def __init__(self, message: str, *, key: bool = False, hint: str | None = None) -> None:
        super().__init__(message)
        self.key = key
        self.hint = hint
        self.number = 0


def on_disk(path: str) -> Path:
    """The file of a name in the configuration, whose characters are bytes."""
    return Path(os.fsdecode(path.encode("latin-1")))


def passwords(call: Call) -> tuple[bytes, ...]:
    """The lines of a password file, read when the configuration is: it may be a pipe."""
    path = call.compilation.conf_path(call.args[0].text)
    try:
        with on_disk(path).open("rb") as file:
            lines = [line.rstrip(b"\n").removesuffix(b"\r") for line in file]
    except OSError as error:
        raise call.fail(f'open() "{path}" failed ({error.errno}: {error.strerror})', call.args[0]) from None
    if any(len(line) >= _LONGEST_PASSWORD for line in lines):
        raise call.fail(f'too long line in "{path}"', call.args[0])
    return tuple(line for line in lines if line) or NO_PASSWORD


def load_pair(context: ssl.SSLContext, certificate: str, key: str, words: Sequence[bytes]) -> None:
    """Load a certificate with its chain, and its key, trying each password. Raises `CannotLoad`."""
    with _file_of(certificate, "certificate") as certificate_path, _file_of(key, "certificate key") as key_path:
        for last, word in enumerate(words, 1):
            try:
                context.load_cert_chain(certificate_path, key_path, password=lambda word=word: word)
                return
            except ssl.SSLError as error:
                if last == len(words):
                    raise _blame(error, certificate, key, certificate_path, key_path) from None
            except (OSError, ValueError) as error:
                raise CannotLoad(f'cannot load certificate "{_shown(certificate)}": {error}') from None


@contextmanager
def _file_of(name: str, what: str) -> Iterator[Path]:
    """A path where OpenSSL finds what is named; `data:` becomes a file in memory."""
    if name.startswith(_DATA):
        fd = os.memfd_create("certificate", os.MFD_CLOEXEC)
        try:
            os.write(fd, name.removeprefix(_DATA).encode("latin-1"))
            yield Path(f"/proc/self/fd/{fd}")
        finally:
            os.close(fd)
        return
    is_key = what != "certificate"
    if is_key and name.startswith(("engine:", "store:")):
        kind = name.partition(":")[0]
        raise CannotLoad(
            f'cannot load {what} "{name}": loading "{kind}:..." certificate keys is not supported',
            key=True,
            hint="Python's ssl reads keys from files only",
        )
    path = on_disk(name)
    try:
        with path.open("rb"):
            pass
    except OSError as error:
        raise CannotLoad(
            f'cannot load {what} "{name}": BIO_new_file() failed ({error.errno}: {error.strerror})', key=is_key
        ) from None
    yield path


def _blame(error: ssl.SSLError, certificate: str, key: str, certificate_path: Path, key_path: Path) -> CannotLoad:
    """Which of the two files is at fault."""
    reason = error.reason or ""
    certificate, key = _shown(certificate), _shown(key)
    if reason in ("KEY_VALUES_MISMATCH", "KEY_TYPE_MISMATCH", "NO_CERTIFICATE_ASSIGNED"):
        return CannotLoad(
            f'SSL_CTX_use_PrivateKey("{key}") failed ({told(error)})',
            key=True,
            hint="this key belongs to another certificate",
        )
    if reason in ("EE_KEY_TOO_SMALL", "CA_KEY_TOO_SMALL", "CA_MD_TOO_WEAK"):
        return CannotLoad(f'SSL_CTX_use_certificate("{certificate}") failed ({told(error)})')
    if not _holds(certificate_path, b"CERTIFICATE-----"):
        return CannotLoad(
            f'cannot load certificate "{certificate}": PEM_read_bio_X509_AUX() failed ({told(error)})',
            hint="there is no PEM certificate in this file",
        )
    try:
        ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_verify_locations(cafile=certificate_path)
    except ssl.SSLError as bad:
        return CannotLoad(f'cannot load certificate "{certificate}": PEM_read_bio_X509() failed ({told(bad)})')
    hint = None
    if _holds(key_path, b"ENCRYPTED"):
        hint = "the key is encrypted; the file that ssl_password_file names must hold its password"
    elif not _holds(key_path, b"PRIVATE KEY-----"):
        hint = "there is no PEM key in this file"
    return CannotLoad(
        f'cannot load certificate key "{key}": PEM_read_bio_PrivateKey() failed ({told(error)})', key=True, hint=hint
    )


def _holds(path: Path, words: bytes) -> bool:
    return words in path.read_bytes()


def _shown(name: str) -> str:
    """Keys given as data are not for logs."""
    return _DATA + "..." if name.startswith(_DATA) else name


def told(error: ssl.SSLError) -> str:
    """OpenSSL's words without Python's."""
    if not error.reason:
        return f"SSL: {error.args[-1]}".partition(" (_ssl.c")[0]
    return f"SSL: {error.library or 'SSL'} routines::{error.reason.lower().replace('_', ' ')}"


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
        """The context for certificates and keys of these names. Raises `CannotLoad`."""
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
        if name.startswith(_DATA):
            continue
        try:
            about = on_disk(name).stat()
        except OSError:
            found.append(None)
        else:
            found.append((about.st_ino, about.st_mtime_ns, about.st_size))
    return tuple(found)

"""Passwords as they stand in user files: is this the one that was meant? (nginx: `auth_basic_user_file`)"""

from __future__ import annotations

import ctypes
from base64 import b64decode
from binascii import Error as BadBase64
from functools import cache
from hashlib import md5, sha1
from hmac import compare_digest
from typing import Any

QUICK = ("{PLAIN}", "{SHA}", "{SSHA}")
"""What takes no time to check. Everything else is meant to take some."""

_APR1 = "$apr1$"
_ROUNDS = 1000
_SHA1 = 20
_CRYPT_DATA = 1 << 18
"""More than any libcrypt wants for its `struct crypt_data` (128 KiB in old glibc, 32 KiB in libxcrypt)."""

_ITOA64 = "./0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"


class CannotCheck(Exception):
    """This system can not tell; the text says why."""


def verify(password: str, stored: str) -> bool:
    """Return whether a password is the one that was stored, after as long a time for a wrong one. Raises `CannotCheck`.
    """
    given = password.encode("latin-1")
    if not stored:
        return False  # no hash is nobody's
    if stored.startswith("{PLAIN}"):
        return compare_digest(given, stored[7:].encode("latin-1"))
    if stored.startswith("{SSHA}"):
        known = _decoded(stored[6:])
        if len(known) < _SHA1:
            return False
        return compare_digest(sha1(given + known[_SHA1:], usedforsecurity=False).digest(), known[:_SHA1])
    if stored.startswith("{SHA}"):
        return compare_digest(sha1(given, usedforsecurity=False).digest(), _decoded(stored[5:]))
    if stored.startswith(_APR1):
        salt = stored[len(_APR1) :].partition("$")[0]
        return compare_digest(apr1(given, salt[:8]).encode("latin-1"), stored.encode("latin-1"))
    if b"\0" in given:
        return False  # crypt() would read it up to there
    setting = stored.encode("latin-1")
    return compare_digest(crypt(given, setting), setting)


def _decoded(text: str) -> bytes:
    try:
        return b64decode(text, validate=True)
    except (BadBase64, ValueError):
        return b""


def apr1(password: bytes, salt_text: str) -> str:
    """Hash a password with Apache's variant of the MD5 scheme of FreeBSD's crypt(3), a thousand rounds."""
    salt = salt_text.encode("latin-1")
    inner = md5(password + salt + password, usedforsecurity=False).digest()
    outer = md5(password + _APR1.encode() + salt, usedforsecurity=False)
    outer.update((inner * (len(password) // 16 + 1))[: len(password)])
    bits = len(password)
    while bits:
        outer.update(b"\0" if bits & 1 else password[:1])
        bits >>= 1
    digest = outer.digest()
    for turn in range(_ROUNDS):
        odd = turn & 1
        data = (password if odd else digest) + (salt if turn % 3 else b"") + (password if turn % 7 else b"")
        digest = md5(data + (digest if odd else password), usedforsecurity=False).digest()
    text = ""
    for first, second, third in ((0, 6, 12), (1, 7, 13), (2, 8, 14), (3, 9, 15), (4, 10, 5)):
        text += _sixes(digest[first] << 16 | digest[second] << 8 | digest[third], 4)
    return f"{_APR1}{salt_text}${text}{_sixes(digest[11], 2)}"


def _sixes(number: int, count: int) -> str:
    return "".join(_ITOA64[number >> 6 * place & 63] for place in range(count))


def crypt(password: bytes, setting: bytes) -> bytes:
    """Hash a password with the system's crypt(3): DES, `$1$`, `$2b$`, `$5$`, `$6$`, `$y$`, as it knows them.

    The password has no NUL in it. Raises `CannotCheck`. May be called from several threads.
    """
    call = _crypt_r()
    if call is None:
        raise CannotCheck("the C library's crypt() is not there; use apr1, {SSHA} or {SHA} in the user file")
    made: bytes | None = call(password, setting, ctypes.create_string_buffer(_CRYPT_DATA))
    if made is None:
        raise CannotCheck("crypt_r() failed")
    return made


@cache
def _crypt_r() -> Any:
    for name in ("libcrypt.so.1", "libcrypt.so.2", None):
        try:
            call = ctypes.CDLL(name).crypt_r
        except (OSError, AttributeError):
            continue
        call.argtypes = (ctypes.c_char_p, ctypes.c_char_p, ctypes.c_void_p)
        call.restype = ctypes.c_char_p
        return call
    return None

"""Keys of session tickets (RFC 5077 4, RFC 8446 4.6.1): given ones, or made here and replaced as time goes by.

All workers must have the same keys, and know them without talking to each other: keys that are replaced come from one
secret of the time before the fork, hashed once for each period that has passed. A worker forgets what it hashed.

Servers may be told to use the same secrets, and a session must be good for one of them only (who asks for certificates
of clients would else take another's word). OpenSSL has a session id context for that, which CPython 3.13 overwrites:
here the keys themselves are different for each server.
"""

from __future__ import annotations

import hashlib
import os
import ssl
import time
from collections.abc import Callable, Sequence
from ctypes import CFUNCTYPE, c_int, c_void_p, create_string_buffer, memmove, string_at
from typing import Any, NamedTuple, Protocol
from weakref import WeakKeyDictionary

from penstock.net.tls.openssl import library, of_context

_SET_TICKET_KEYS, _SET_TICKET_CALLBACK = 59, 72
_FAILED, _UNKNOWN, _GOOD, _GOOD_BUT_RENEW = -1, 0, 1, 2


class TicketSecrets(Protocol):
    """The secrets of the moment: the first is for new tickets, all are for those that come back."""

    def now(self) -> Sequence[bytes]:
        """Return the secrets that are good at this moment, that for new tickets first."""
        ...


class GivenSecrets:
    """Secrets that stay."""

    __slots__ = ("secrets",)

    def __init__(self, secrets: Sequence[bytes]) -> None:
        self.secrets = tuple(secrets)

    def now(self) -> Sequence[bytes]:
        return self.secrets


class TurningSecrets:
    """A new secret each `period` seconds, the first `since` a monotonic moment. A ticket is good for a period after the
    one that it was made in."""

    __slots__ = ("_period", "_secrets", "_since")

    def __init__(self, period: float, secret: bytes = b"", since: float | None = None) -> None:
        self._period = max(period, 1.0)
        self._secrets: tuple[bytes, ...] = (secret or os.urandom(32),)
        self._since = time.monotonic() if since is None else since

    def now(self) -> Sequence[bytes]:
        """Return the secret of this period and the one before, after as many turns as time has passed for."""
        passed = int((time.monotonic() - self._since) / self._period)
        if passed > 0:
            self._turn(passed)
        return self._secrets

    def _turn(self, periods: int) -> None:
        self._since += periods * self._period
        previous = current = self._secrets[0]
        for _ in range(periods):
            previous, current = current, hashlib.sha256(current).digest()
        self._secrets = (current, previous)


class _Key(NamedTuple):
    """`name` goes with each ticket in the clear."""

    name: bytes
    mac: bytes
    cipher: bytes


def _key(secret: bytes, identity: bytes) -> _Key:
    text = hashlib.shake_256(b"session ticket key" + hashlib.sha256(identity).digest() + secret).digest(80)
    return _Key(text[:16], text[16:48], text[48:])


def set_ticket_keys(context: ssl.SSLContext, secrets: TicketSecrets, identity: bytes) -> None:
    """Let a context make and take tickets with keys made of these secrets for `identity`."""
    lib, pointer = library(), of_context(context)
    if isinstance(secrets, GivenSecrets) and len(secrets.secrets) == 1:
        text = b"".join(_key(secrets.secrets[0], identity))
        lib.SSL_CTX_ctrl(pointer, _SET_TICKET_KEYS, len(text), create_string_buffer(text, len(text)))
        return
    callback = _TicketCallback(_ticket_callback(secrets, identity))
    # Not `cast`, by which a callback would hold itself for ever.
    lib.SSL_CTX_callback_ctrl(pointer, _SET_TICKET_CALLBACK, c_void_p.from_buffer_copy(callback))
    _callbacks[context] = callback


_callbacks: WeakKeyDictionary[ssl.SSLContext, Any] = WeakKeyDictionary()
"""OpenSSL knows only the address of a callback: it lives as long as its context."""
_TicketCallback = CFUNCTYPE(c_int, c_void_p, c_void_p, c_void_p, c_void_p, c_void_p, c_int)


def _ticket_callback(secrets: TicketSecrets, identity: bytes) -> Callable[[int, int, int, int, int, int], int]:
    """What OpenSSL calls for each ticket that it makes or is shown (SSL_CTX_set_tlsext_ticket_key_cb(3))."""
    lib = library()
    aes, sha256 = lib.EVP_aes_256_cbc(), lib.EVP_sha256()
    seen: Sequence[bytes] = ()
    keys: list[_Key] = []

    def prepare(connection: int, name: int, iv: int, cipher: int, mac: int, encrypting: int) -> int:
        nonlocal seen, keys
        known = secrets.now()
        if known is not seen:
            seen, keys = known, [_key(secret, identity) for secret in known]
        if encrypting:
            key = keys[0]
            memmove(name, key.name, 16)
            memmove(iv, os.urandom(16), 16)
            start = lib.EVP_EncryptInit_ex
        else:
            wanted = string_at(name, 16)
            found = next((each for each in keys if each.name == wanted), None)
            if found is None:
                return _UNKNOWN
            key = found
            start = lib.EVP_DecryptInit_ex
        if not start(cipher, aes, None, key.cipher, iv):
            return _FAILED
        if not lib.HMAC_Init_ex(mac, key.mac, len(key.mac), sha256, None):
            return _FAILED
        return _GOOD if key is keys[0] else _GOOD_BUT_RENEW

    return prepare

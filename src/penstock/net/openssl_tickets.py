"""Keys of session tickets (RFC 5077 4, RFC 8446 4.6.1): given ones, or made here and replaced as time goes by.

All workers must have the same keys, and know them without talking to each other: keys that are replaced come from one
secret of the time before the fork, hashed once for each period that has passed. A worker forgets what it hashed.
"""

from __future__ import annotations

import hashlib
import os
import ssl
import time
from collections.abc import Callable, Sequence
from ctypes import CFUNCTYPE, c_int, c_void_p, cast, create_string_buffer, memmove, string_at
from dataclasses import dataclass
from typing import Any, Protocol
from weakref import WeakKeyDictionary

from penstock.net.openssl import library, of_context

_SET_TICKET_KEYS, _SET_TICKET_CALLBACK = 59, 72
_FAILED, _UNKNOWN, _GOOD, _GOOD_BUT_RENEW = -1, 0, 1, 2


@dataclass(frozen=True, slots=True)
class TicketKey:
    """`name` is 16 bytes, `cipher` 16 for AES-128 or 32 for AES-256."""

    name: bytes
    cipher: bytes
    mac: bytes


class TicketKeys(Protocol):
    """The keys of the moment: the first encrypts new tickets, all decrypt."""

    def now(self) -> Sequence[TicketKey]: ...


class GivenKeys:
    """Keys that stay."""

    __slots__ = ("keys",)

    def __init__(self, keys: Sequence[TicketKey]) -> None:
        self.keys = tuple(keys)

    def now(self) -> Sequence[TicketKey]:
        return self.keys


class TurningKeys:
    """A new key each `period` seconds. A ticket is good for a period after the one that it was made in."""

    __slots__ = ("_keys", "_period", "_secret", "_since")

    def __init__(self, period: float) -> None:
        self._period = max(period, 1.0)
        self._secret = os.urandom(32)
        self._since = time.monotonic()
        self._keys: tuple[TicketKey, ...] = (_derived(self._secret),)

    def now(self) -> Sequence[TicketKey]:
        passed = int((time.monotonic() - self._since) / self._period)
        if passed > 0:
            self._turn(passed)
        return self._keys

    def _turn(self, periods: int) -> None:
        self._since += periods * self._period
        for _ in range(periods - 1):
            self._secret = hashlib.sha256(self._secret).digest()
        previous = _derived(self._secret)
        self._secret = hashlib.sha256(self._secret).digest()
        self._keys = (_derived(self._secret), previous)


def random_key() -> TicketKey:
    """A key for one run of the program."""
    return _derived(os.urandom(32))


def _derived(secret: bytes) -> TicketKey:
    text = hashlib.shake_256(b"session ticket key" + secret).digest(80)
    return TicketKey(name=text[:16], mac=text[16:48], cipher=text[48:])


def set_ticket_keys(context: ssl.SSLContext, keys: TicketKeys) -> None:
    """Let a context make and take tickets with these keys."""
    lib, pointer = library(), of_context(context)
    if isinstance(keys, GivenKeys) and len(keys.keys) == 1 and len(keys.keys[0].cipher) == 32:
        (only,) = keys.keys
        text = only.name + only.mac + only.cipher
        lib.SSL_CTX_ctrl(pointer, _SET_TICKET_KEYS, len(text), create_string_buffer(text, len(text)))
        return
    callback = _TicketCallback(_ticket_callback(keys))
    lib.SSL_CTX_callback_ctrl(pointer, _SET_TICKET_CALLBACK, cast(callback, c_void_p))
    _callbacks[context] = callback


_callbacks: WeakKeyDictionary[ssl.SSLContext, Any] = WeakKeyDictionary()
"""OpenSSL knows only the address of a callback: it lives as long as its context."""
_TicketCallback = CFUNCTYPE(c_int, c_void_p, c_void_p, c_void_p, c_void_p, c_void_p, c_int)


def _ticket_callback(keys: TicketKeys) -> Callable[[int, int, int, int, int, int], int]:
    """What OpenSSL calls for each ticket that it makes or is shown (SSL_CTX_set_tlsext_ticket_key_cb(3))."""
    lib = library()
    ciphers = {16: lib.EVP_aes_128_cbc(), 32: lib.EVP_aes_256_cbc()}
    sha256 = lib.EVP_sha256()

    def prepare(connection: int, name: int, iv: int, cipher: int, mac: int, encrypting: int) -> int:
        known = keys.now()
        if encrypting:
            key = known[0]
            memmove(name, key.name, 16)
            memmove(iv, os.urandom(16), 16)
            start = lib.EVP_EncryptInit_ex
        else:
            wanted = string_at(name, 16)
            found = next((each for each in known if each.name == wanted), None)
            if found is None:
                return _UNKNOWN
            key = found
            start = lib.EVP_DecryptInit_ex
        if not start(cipher, ciphers[len(key.cipher)], None, key.cipher, iv):
            return _FAILED
        if not lib.HMAC_Init_ex(mac, key.mac, len(key.mac), sha256, None):
            return _FAILED
        return _GOOD if key is known[0] else _GOOD_BUT_RENEW

    return prepare

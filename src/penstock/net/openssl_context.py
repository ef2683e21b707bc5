"""Settings of a TLS context for which Python's `ssl` has no words. All of it needs `openssl.library()`; failures are
`ValueError` with OpenSSL's reasons."""

from __future__ import annotations

import os
import ssl
from collections.abc import Callable, Sequence
from ctypes import CFUNCTYPE, c_int, c_void_p, cast, create_string_buffer, memmove, string_at
from dataclasses import dataclass
from enum import IntFlag
from typing import Any
from weakref import WeakKeyDictionary

from penstock.net.openssl import explained, library, of_context

_SET_MODE, _SET_CACHE_SIZE, _SET_CACHE_MODE, _SET_TICKET_KEYS, _SET_TICKET_CALLBACK, _SET_GROUPS = (
    33,
    42,
    44,
    59,
    72,
    92,
)
_NO_AUTO_CHAIN = 8
_VERIFY_PEER = 1
_CONF_FLAGS = 0x2 | 0x4 | 0x8 | 0x10 | 0x20  # FILE, CLIENT, SERVER, SHOW_ERRORS, CERTIFICATE
_CONF_PATHS = (2, 3)  # FILE, DIR


class Sessions(IntFlag):
    """Modes of OpenSSL's session cache."""

    OFF = 0
    SERVER = 0x2
    NO_AUTO_CLEAR = 0x80
    NO_STORE = 0x200


@dataclass(frozen=True, slots=True)
class TicketKey:
    """What encrypts session tickets (RFC 5077 4). `cipher` is 16 bytes for AES-128 or 32 for AES-256."""

    name: bytes
    cipher: bytes
    mac: bytes


def _go_on(verified: int, store: int) -> int:
    """The handshake goes on whatever the verification found: the answer to the request tells the client."""
    return 1


_verify_callback = CFUNCTYPE(c_int, c_int, c_void_p)(_go_on)


def ask_for_certificate(context: ssl.SSLContext, depth: int) -> None:
    """Ask clients for a certificate, verify it up to `depth` intermediates, and complete the handshake whatever comes
    of it: `openssl_peer.verify_result` tells."""
    lib, pointer = library(), of_context(context)
    lib.SSL_CTX_set_verify(pointer, _VERIFY_PEER, cast(_verify_callback, c_void_p))
    lib.SSL_CTX_set_verify_depth(pointer, depth)


def announce_authorities(context: ssl.SSLContext, path: str) -> None:
    """Tell clients the names of the authorities in a PEM file, each once."""
    lib = library()
    lib.ERR_clear_error()
    names = lib.SSL_load_client_CA_file(path.encode("latin-1"))
    if not names:
        raise ValueError(explained(f'SSL_load_client_CA_file("{path}") failed'))
    lib.SSL_CTX_set_client_CA_list(of_context(context), names)


def send_only_given_chain(context: ssl.SSLContext) -> None:
    """Never complete a certificate's chain from what is trusted."""
    library().SSL_CTX_ctrl(of_context(context), _SET_MODE, _NO_AUTO_CHAIN, None)


def set_groups(context: ssl.SSLContext, names: str) -> None:
    """The groups for key exchange, in order of preference, colons between."""
    lib = library()
    lib.ERR_clear_error()
    if not lib.SSL_CTX_ctrl(of_context(context), _SET_GROUPS, 0, create_string_buffer(names.encode("latin-1"))):
        raise ValueError(explained(f'SSL_CTX_set1_curves_list("{names}") failed'))


def keep_sessions(context: ssl.SSLContext, mode: Sessions, size: int | None, timeout: float, identity: bytes) -> None:
    """How sessions are kept in this process: at most `size` of them (None: OpenSSL's choice), for `timeout` seconds.
    `identity` (32 bytes at most) stands for the certificates: a session of another identity is not resumed."""
    lib, pointer = library(), of_context(context)
    lib.SSL_CTX_set_timeout(pointer, int(timeout))
    lib.SSL_CTX_ctrl(pointer, _SET_CACHE_MODE, int(mode), None)
    if size is not None:
        lib.SSL_CTX_ctrl(pointer, _SET_CACHE_SIZE, size, None)
    lib.SSL_CTX_set_session_id_context(pointer, identity, len(identity))


def set_ticket_keys(context: ssl.SSLContext, keys: Sequence[TicketKey]) -> None:
    """The first key encrypts new tickets, every key decrypts."""
    lib, pointer = library(), of_context(context)
    first = keys[0]
    if len(keys) == 1 and len(first.cipher) == 32:
        whole = first.name + first.mac + first.cipher
        lib.SSL_CTX_ctrl(pointer, _SET_TICKET_KEYS, len(whole), create_string_buffer(whole, len(whole)))
        return
    callback = _TicketCallback(_ticket_callback(keys))
    lib.SSL_CTX_callback_ctrl(pointer, _SET_TICKET_CALLBACK, cast(callback, c_void_p))
    _callbacks[context] = callback


_callbacks: WeakKeyDictionary[ssl.SSLContext, Any] = WeakKeyDictionary()
"""OpenSSL knows only the address of a callback: it lives as long as its context."""
_TicketCallback = CFUNCTYPE(c_int, c_void_p, c_void_p, c_void_p, c_void_p, c_void_p, c_int)
_FAILED, _UNKNOWN, _GOOD, _GOOD_BUT_RENEW = -1, 0, 1, 2


def _ticket_callback(keys: Sequence[TicketKey]) -> Callable[[int, int, int, int, int, int], int]:
    """What OpenSSL calls for each ticket (SSL_CTX_set_tlsext_ticket_key_cb)."""
    lib = library()
    by_name = {key.name: key for key in keys}
    ciphers = {16: lib.EVP_aes_128_cbc(), 32: lib.EVP_aes_256_cbc()}
    sha256 = lib.EVP_sha256()
    newest = keys[0]

    def prepare(connection: int, name: int, iv: int, cipher: int, mac: int, encrypting: int) -> int:
        if encrypting:
            key = newest
            memmove(name, key.name, 16)
            memmove(iv, os.urandom(16), 16)
            start = lib.EVP_EncryptInit_ex
        else:
            known = by_name.get(string_at(name, 16))
            if known is None:
                return _UNKNOWN
            key = known
            start = lib.EVP_DecryptInit_ex
        if not start(cipher, ciphers[len(key.cipher)], None, key.cipher, iv):
            return _FAILED
        if not lib.HMAC_Init_ex(mac, key.mac, len(key.mac), sha256, None):
            return _FAILED
        return _GOOD if key is newest else _GOOD_BUT_RENEW

    return prepare


def run_commands(context: ssl.SSLContext, commands: Sequence[tuple[str, str]], full_name: Callable[[str], str]) -> None:
    """OpenSSL's own configuration commands (SSL_CONF_cmd(3)). `full_name` completes paths."""
    lib = library()
    lib.ERR_clear_error()
    with_context = lib.SSL_CONF_CTX_new()
    try:
        lib.SSL_CONF_CTX_set_flags(with_context, _CONF_FLAGS)
        lib.SSL_CONF_CTX_set_ssl_ctx(with_context, of_context(context))
        for name, value in commands:
            key = name.encode("latin-1")
            if lib.SSL_CONF_cmd_value_type(with_context, key) in _CONF_PATHS:
                value = full_name(value)
            if lib.SSL_CONF_cmd(with_context, key, value.encode("latin-1")) <= 0:
                raise ValueError(explained(f'SSL_CONF_cmd("{name}", "{value}") failed'))
        if lib.SSL_CONF_CTX_finish(with_context) != 1:
            raise ValueError(explained("SSL_CONF_finish() failed"))
    finally:
        lib.SSL_CONF_CTX_free(with_context)

"""Settings of a TLS context for which Python's `ssl` has no words. All of it needs `openssl.library()`; failures are
`ValueError` with OpenSSL's reasons."""

from __future__ import annotations

import os
import ssl
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from ctypes import CFUNCTYPE, c_int, c_void_p, cast, create_string_buffer, string_at
from enum import IntFlag

from penstock.config.inputs import as_path
from penstock.config.os_errors import os_failure
from penstock.net.tls.openssl import explained, library, of_context

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
_CONF_FILE, _CONF_FOLDER = 2, 3


class SessionCacheMode(IntFlag):
    """Modes of OpenSSL's session cache."""

    OFF = 0
    SERVER = 0x2
    NO_AUTO_CLEAR = 0x80
    NO_STORE = 0x200


def _go_on(verified: int, store: int) -> int:
    """The handshake goes on whatever the verification found: the answer to the request tells the client."""
    return 1


_verify_callback = CFUNCTYPE(c_int, c_int, c_void_p)(_go_on)


def ask_for_certificate(context: ssl.SSLContext, depth: int) -> None:
    """Ask clients for a certificate, and verify it up to `depth` intermediates. The handshake is completed whatever
    comes of it: `openssl_peer.verify_result` tells."""
    lib, pointer = library(), of_context(context)
    lib.SSL_CTX_set_verify(pointer, _VERIFY_PEER, cast(_verify_callback, c_void_p))
    lib.SSL_CTX_set_verify_depth(pointer, depth)


def limit_depth(context: ssl.SSLContext, depth: int) -> None:
    """Verify chains of up to `depth` intermediates only."""
    library().SSL_CTX_set_verify_depth(of_context(context), depth)


def announce_authorities(context: ssl.SSLContext, certificates: bytes) -> None:
    """Tell clients the names of the authorities in PEM text, each once."""
    lib, pointer = library(), of_context(context)
    named: set[bytes] = set()
    lib.ERR_clear_error()
    bio = lib.BIO_new_mem_buf(certificates, len(certificates))
    try:
        while certificate := lib.PEM_read_bio_X509_AUX(bio, None, None, None):
            line = lib.X509_NAME_oneline(lib.X509_get_subject_name(certificate), None, 0)
            name = string_at(line)
            lib.CRYPTO_free(line, b"", 0)
            if name not in named:
                named.add(name)
                lib.SSL_CTX_add_client_CA(pointer, certificate)
            lib.X509_free(certificate)
    finally:
        lib.BIO_free(bio)
        lib.ERR_clear_error()


def send_only_given_chain(context: ssl.SSLContext) -> None:
    """Send only the chain that was given: never complete it from what is trusted."""
    library().SSL_CTX_ctrl(of_context(context), _SET_MODE, _NO_AUTO_CHAIN, None)


def set_groups(context: ssl.SSLContext, names: str) -> None:
    """Set the groups for key exchange, in order of preference, colons between."""
    lib = library()
    lib.ERR_clear_error()
    if not lib.SSL_CTX_ctrl(of_context(context), _SET_GROUPS, 0, create_string_buffer(names.encode("latin-1"))):
        raise ValueError(explained(f'SSL_CTX_set1_curves_list("{names}") failed'))


def keep_sessions(
    context: ssl.SSLContext, mode: SessionCacheMode, size: int | None, timeout: float, identity: bytes
) -> None:
    """Set how sessions are kept in this process: at most `size` of them (None: OpenSSL's choice), for `timeout`
    seconds. `identity` (32 bytes at most) stands for the certificates: a session of another identity is not resumed."""
    lib, pointer = library(), of_context(context)
    lib.SSL_CTX_set_timeout(pointer, int(timeout))
    lib.SSL_CTX_ctrl(pointer, _SET_CACHE_MODE, int(mode), None)
    if size is not None:
        lib.SSL_CTX_ctrl(pointer, _SET_CACHE_SIZE, size, None)
    lib.SSL_CTX_set_session_id_context(pointer, identity, len(identity))


def run_commands(context: ssl.SSLContext, commands: Sequence[tuple[str, str]], full_name: Callable[[str], str]) -> None:
    """Run OpenSSL's own configuration commands (SSL_CONF_cmd(3)). `full_name` completes paths."""
    lib = library()
    lib.ERR_clear_error()
    with_context = lib.SSL_CONF_CTX_new()
    files = ExitStack()
    try:
        lib.SSL_CONF_CTX_set_flags(with_context, _CONF_FLAGS)
        lib.SSL_CONF_CTX_set_ssl_ctx(with_context, of_context(context))
        for name, value in commands:
            key = name.encode("latin-1")
            given = value.encode("latin-1")
            kind = lib.SSL_CONF_cmd_value_type(with_context, key)
            if kind == _CONF_FOLDER:
                given = full_name(value).encode("latin-1")
            elif kind == _CONF_FILE:
                try:
                    given = os.fsencode(files.enter_context(as_path(full_name(value))))
                except OSError as error:
                    raise ValueError(os_failure(f'SSL_CONF_cmd("{name}", "{full_name(value)}")', error)) from None
            if lib.SSL_CONF_cmd(with_context, key, given) <= 0:
                raise ValueError(explained(f'SSL_CONF_cmd("{name}", "{value}") failed'))
        if lib.SSL_CONF_CTX_finish(with_context) != 1:
            raise ValueError(explained("SSL_CONF_finish() failed"))
    finally:
        files.close()
        lib.SSL_CONF_CTX_free(with_context)

"""What OpenSSL can do and Python's `ssl` does not hand out, reached with ctypes.

The library is the very one that `_ssl` is linked with: symbols are looked up through `_ssl`'s own handle. The pointers
are the first member of `_ssl._SSLContext` and the second of `_ssl._SSLSocket`, as they have been since CPython 3.7.
Both claims are checked before anything is believed: `missing()` says what is wrong where they do not hold (another
interpreter, OpenSSL linked in without its symbols, LibreSSL), and who then needs more than `ssl` can do must say so to
a person instead of doing less.
"""

from __future__ import annotations

import ctypes
import ssl
import sys
from ctypes import POINTER, c_char_p, c_int, c_long, c_size_t, c_uint, c_uint64, c_ulong, c_void_p
from functools import cache
from typing import Any

# Any: types of ctypes, which have no common name.
_PROTOTYPES: dict[str, tuple[Any, ...]] = {
    # name: result, arguments
    "ASN1_TIME_print": (c_int, c_void_p, c_void_p),
    "BIO_ctrl": (c_long, c_void_p, c_int, c_long, c_void_p),
    "BIO_free": (c_int, c_void_p),
    "BIO_new": (c_void_p, c_void_p),
    "BIO_new_mem_buf": (c_void_p, c_char_p, c_int),
    "BIO_read": (c_int, c_void_p, c_void_p, c_int),
    "BIO_s_mem": (c_void_p,),
    "CRYPTO_free": (None, c_void_p, c_char_p, c_int),
    "ERR_clear_error": (None,),
    "ERR_error_string_n": (None, c_ulong, c_char_p, c_size_t),
    "ERR_get_error": (c_ulong,),
    "EVP_DecryptInit_ex": (c_int, c_void_p, c_void_p, c_void_p, c_char_p, c_void_p),
    "EVP_EncryptInit_ex": (c_int, c_void_p, c_void_p, c_void_p, c_char_p, c_void_p),
    "EVP_aes_256_cbc": (c_void_p,),
    "EVP_sha256": (c_void_p,),
    "HMAC_Init_ex": (c_int, c_void_p, c_char_p, c_int, c_void_p, c_void_p),
    "OBJ_nid2sn": (c_char_p, c_int),
    "OPENSSL_sk_reserve": (c_int, c_void_p, c_int),
    "OPENSSL_sk_zero": (None, c_void_p),
    "PEM_read_bio_X509_AUX": (c_void_p, c_void_p, c_void_p, c_void_p, c_void_p),
    "SSL_CIPHER_find": (c_void_p, c_void_p, c_char_p),
    "SSL_CIPHER_get_name": (c_char_p, c_void_p),
    "SSL_CONF_CTX_finish": (c_int, c_void_p),
    "SSL_CONF_CTX_free": (None, c_void_p),
    "SSL_CONF_CTX_new": (c_void_p,),
    "SSL_CONF_CTX_set_flags": (c_uint, c_void_p, c_uint),
    "SSL_CONF_CTX_set_ssl_ctx": (None, c_void_p, c_void_p),
    "SSL_CONF_cmd": (c_int, c_void_p, c_char_p, c_char_p),
    "SSL_CONF_cmd_value_type": (c_int, c_void_p, c_char_p),
    "SSL_CTX_add_client_CA": (c_int, c_void_p, c_void_p),
    "SSL_CTX_callback_ctrl": (c_long, c_void_p, c_int, c_void_p),
    "SSL_CTX_ctrl": (c_long, c_void_p, c_int, c_long, c_void_p),
    "SSL_CTX_get_options": (c_uint64, c_void_p),
    "SSL_CTX_remove_session": (c_int, c_void_p, c_void_p),
    "SSL_CTX_set_session_id_context": (c_int, c_void_p, c_char_p, c_uint),
    "SSL_CTX_set_timeout": (c_long, c_void_p, c_long),
    "SSL_CTX_set_verify": (None, c_void_p, c_int, c_void_p),
    "SSL_CTX_set_verify_depth": (None, c_void_p, c_int),
    "SSL_SESSION_get_id": (c_void_p, c_void_p, POINTER(c_uint)),
    "SSL_ctrl": (c_long, c_void_p, c_int, c_long, c_void_p),
    "SSL_get_SSL_CTX": (c_void_p, c_void_p),
    "SSL_get_client_ciphers": (c_void_p, c_void_p),
    "SSL_get_session": (c_void_p, c_void_p),
    "SSL_get_sigalgs": (c_int, c_void_p, c_int, c_void_p, c_void_p, c_void_p, c_void_p, c_void_p),
    "SSL_get_verify_result": (c_long, c_void_p),
    "X509_NAME_oneline": (c_void_p, c_void_p, c_char_p, c_int),
    "X509_NAME_print_ex": (c_int, c_void_p, c_void_p, c_int, c_ulong),
    "X509_free": (None, c_void_p),
    "X509_get0_notAfter": (c_void_p, c_void_p),
    "X509_get0_notBefore": (c_void_p, c_void_p),
    "X509_get_issuer_name": (c_void_p, c_void_p),
    "X509_get_serialNumber": (c_void_p, c_void_p),
    "X509_get_subject_name": (c_void_p, c_void_p),
    "X509_verify_cert_error_string": (c_char_p, c_long),
    "d2i_X509": (c_void_p, c_void_p, POINTER(c_char_p), c_long),
    "i2a_ASN1_INTEGER": (c_int, c_void_p, c_void_p),
}
_WORD = ctypes.sizeof(c_void_p)
_MARK = ssl.OP_NO_TICKET


class Unavailable(RuntimeError):
    """This Python does not let its OpenSSL be reached; the text says why."""


def missing() -> str | None:
    """Return why OpenSSL can not be reached, in words for a person; None where it can."""
    try:
        library()
    except Unavailable as error:
        return str(error)
    return None


@cache
def library() -> ctypes.PyDLL:
    """Load OpenSSL, with its prototypes, proven to be the one behind `ssl`. Raises `Unavailable`."""
    found = _found()
    if isinstance(found, str):
        raise Unavailable(found)
    return found


@cache
def _found() -> ctypes.PyDLL | str:
    if sys.implementation.name != "cpython":
        return f"this is {sys.implementation.name}, not CPython"
    if not ssl.OPENSSL_VERSION.startswith("OpenSSL"):
        return f"Python's ssl is made with {ssl.OPENSSL_VERSION}, not with OpenSSL"
    import _ssl

    try:
        # PyDLL: the interpreter's lock is kept, so that nothing comes between a failure and its error queue.
        lib = ctypes.PyDLL(getattr(_ssl, "__file__", None))
        for name, (result, *arguments) in _PROTOTYPES.items():
            function = getattr(lib, name)
            function.restype = result
            function.argtypes = arguments
    except (OSError, AttributeError) as error:
        return f"Python's ssl does not show OpenSSL's functions ({error})"
    if not _proven(lib):
        return "the objects of Python's ssl are not laid out as expected"
    try:
        ctypes.CFUNCTYPE(c_int)(int)
    except MemoryError:
        return "this process may not make memory executable, which OpenSSL's callbacks into Python need"
    return lib


def _proven(lib: ctypes.PyDLL) -> bool:
    """Return whether the pointers are what they are taken for: they tell, and follow, what `ssl` itself says."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    pointer = of_context(context)
    if not _writable(pointer) or lib.SSL_CTX_get_options(pointer) != context.options:
        return False
    context.options ^= _MARK
    if lib.SSL_CTX_get_options(pointer) != context.options:
        return False
    made = context.wrap_bio(ssl.MemoryBIO(), ssl.MemoryBIO(), server_side=True)
    inner = of_connection(made._sslobj)  # type: ignore[attr-defined]
    return _writable(inner) and bool(lib.SSL_get_SSL_CTX(inner) == pointer)


def _writable(pointer: int) -> bool:
    """Return whether an address is one of our own data, so that looking there can do no harm."""
    try:
        with open("/proc/self/maps") as file:  # noqa: PTH123  workers do without pathlib
            maps = file.read()
    except OSError:
        return pointer > 0  # no such file on macOS
    for line in maps.splitlines():
        bounds, rights, *_ = line.split(maxsplit=2)
        low, _, high = bounds.partition("-")
        if int(low, 16) <= pointer < int(high, 16):
            return rights.startswith("rw")
    return False


def of_context(context: ssl.SSLContext) -> int:
    """Return the `SSL_CTX *` of a context."""
    return c_void_p.from_address(id(context) + object.__basicsize__).value or 0


def of_connection(inner: object) -> int:
    """Return the `SSL *` of the object that speaks TLS on a connection (`TlsStream.ssl`)."""
    return c_void_p.from_address(id(inner) + object.__basicsize__ + _WORD).value or 0


def forget_offer(inner: object) -> None:
    """Let go of the list of ciphers that a client has offered, if OpenSSL can be reached.

    OpenSSL has made its choice among them, and what was offered as the client wrote it stays (`offered_ciphers`): the
    list would be kept for as long as the connection, which is 300 bytes for many a client. Before OpenSSL 3 it belongs
    to the session, which others may have."""
    lib = _found()
    if isinstance(lib, str) or ssl.OPENSSL_VERSION_INFO < (3,):
        return
    offered = lib.SSL_get_client_ciphers(of_connection(inner))
    if offered:
        lib.OPENSSL_sk_zero(offered)
        lib.OPENSSL_sk_reserve(offered, 0)


def optional(name: str, result: Any, *arguments: Any) -> Any:
    """Return a function that only newer versions of OpenSSL have, or None."""
    function = getattr(library(), name, None)
    if function is not None:
        function.restype = result
        function.argtypes = arguments
    return function


def explained(words: str) -> str:
    """Return `words` with what is in OpenSSL's error queue, which is emptied, as nginx writes it."""
    lib = library()
    told = []
    while code := lib.ERR_get_error():
        text = ctypes.create_string_buffer(256)
        lib.ERR_error_string_n(code, text, len(text))
        told.append(text.value.decode("latin-1"))
    return f"{words} (SSL: {' '.join(told)})" if told else words

"""What OpenSSL knows of the other side of a TLS connection: how its certificate fared, and what is in it.

`inner` is the object inside an `SSLSocket` (`TlsStream.ssl`). All of it needs `openssl.library()`.
"""

from __future__ import annotations

import hashlib
import ssl
import time
from ctypes import byref, c_char_p, c_int, c_ubyte, c_uint, c_void_p, create_string_buffer, string_at

from penstock.net.tls.openssl import library, of_connection, optional

VERIFIED = 0
UNTRUSTED = frozenset({18, 19, 20, 21, 27})
"""Results that say only that no trusted authority has signed: X509_V_ERR_DEPTH_ZERO_SELF_SIGNED_CERT,
SELF_SIGNED_CERT_IN_CHAIN, UNABLE_TO_GET_ISSUER_CERT_LOCALLY, UNABLE_TO_VERIFY_LEAF_SIGNATURE, CERT_UNTRUSTED."""

_GET_GROUPS, _GET_RAW_CIPHERS, _GET_NEGOTIATED_GROUP = 90, 110, 134
_UNKNOWN_GROUP = 0x1000000
_BIO_PENDING = 10
_RFC2253 = 0x1110317
_DAY = 86400


def verify_result(inner: object) -> int:
    """Return `VERIFIED`, or the number of what is wrong (X509_V_ERR_...); `VERIFIED` too where no certificate was
    shown."""
    return int(library().SSL_get_verify_result(of_connection(inner)))


def verify_words(result: int) -> str:
    """Return what a verify result means."""
    words: bytes = library().X509_verify_cert_error_string(result)
    return words.decode("latin-1")


def forget_session(inner: object) -> None:
    """Take the connection's session out of the cache: it shall not be resumed."""
    lib, pointer = library(), of_connection(inner)
    session = lib.SSL_get_session(pointer)
    if session:
        lib.SSL_CTX_remove_session(lib.SSL_get_SSL_CTX(pointer), session)


def session_id(inner: object) -> str:
    """Return the session's id in hexadecimal; "" where there is none."""
    lib = library()
    session = lib.SSL_get_session(of_connection(inner))
    if not session:
        return ""
    length = c_uint()
    start = lib.SSL_SESSION_get_id(session, byref(length))
    return string_at(start, length.value).hex()


def group(inner: object) -> str:
    """Return the group of the key exchange, by OpenSSL's name."""
    pointer = of_connection(inner)
    number: int = library().SSL_ctrl(pointer, _GET_NEGOTIATED_GROUP, 0, None)
    return _group_name(pointer, number) if number else ""


def signature(inner: object) -> str:
    """Return the algorithm of our signature; "" where OpenSSL (before 3.5) does not tell."""
    return _signature_name("SSL_get0_signature_name", inner)


def peer_signature(inner: object) -> str:
    """Return the algorithm of the client's signature; "" where OpenSSL (before 3.5) does not tell."""
    return _signature_name("SSL_get0_peer_signature_name", inner)


def offered_ciphers(inner: object) -> str:
    """Return the cipher suites the client offers, colons between; those OpenSSL does not know as numbers."""
    lib, pointer = library(), of_connection(inner)
    width: int = lib.SSL_ctrl(pointer, _GET_RAW_CIPHERS, 0, None)
    start = c_void_p()
    length: int = lib.SSL_ctrl(pointer, _GET_RAW_CIPHERS, 0, byref(start))
    if length <= 0 or not start.value:
        return ""
    raw = string_at(start.value, length)
    names = []
    for at in range(0, length, width):
        found = lib.SSL_CIPHER_find(pointer, raw[at : at + width])
        names.append(lib.SSL_CIPHER_get_name(found).decode() if found else "0x" + raw[at : at + width].hex())
    return ":".join(names)


def offered_groups(inner: object) -> str:
    """Return the groups the client offers, colons between; those OpenSSL does not know as numbers."""
    lib, pointer = library(), of_connection(inner)
    count: int = lib.SSL_ctrl(pointer, _GET_GROUPS, 0, None)
    if count <= 0:
        return ""
    numbers = (c_int * count)()
    lib.SSL_ctrl(pointer, _GET_GROUPS, 0, numbers)
    return ":".join(_group_name(pointer, number) for number in numbers)


def offered_signatures(inner: object) -> str:
    """Return the signature algorithms the client takes, as numbers (RFC 8446 4.2.3), colons between."""
    lib, pointer = library(), of_connection(inner)
    count: int = lib.SSL_get_sigalgs(pointer, -1, None, None, None, None, None)
    low, high = c_ubyte(), c_ubyte()
    names = []
    for number in range(count):
        lib.SSL_get_sigalgs(pointer, number, None, None, None, byref(low), byref(high))
        names.append(f"0x{high.value:02x}{low.value:02x}")
    return ":".join(names)


def _group_name(pointer: int, number: int) -> str:
    if number & _UNKNOWN_GROUP:
        to_name = optional("SSL_group_to_name", c_char_p, c_void_p, c_int)
        name: bytes | None = to_name(pointer, number) if to_name is not None else None
        return name.decode("latin-1") if name else f"0x{number & 0xFFFF:04x}"
    name = library().OBJ_nid2sn(number)
    return name.decode("latin-1") if name else ""


def _signature_name(function: str, inner: object) -> str:
    get = optional(function, c_int, c_void_p, c_void_p)
    name = c_char_p()
    if get is None or not get(of_connection(inner), byref(name)) or name.value is None:
        return ""
    return name.value.decode("latin-1")


class Certificate:
    """An X.509 certificate read by OpenSSL, for its texts in OpenSSL's own forms."""

    __slots__ = ("_pointer", "der")

    def __init__(self, der: bytes) -> None:
        self._pointer: int | None = None
        self.der = der
        self._pointer = library().d2i_X509(None, byref(c_char_p(der)), len(der))
        if not self._pointer:
            library().ERR_clear_error()
            raise ValueError("not a certificate")

    def __del__(self) -> None:
        if self._pointer:
            library().X509_free(self._pointer)

    @property
    def subject(self) -> str:
        """Return the subject in the form of RFC 2253."""
        return self._name(library().X509_get_subject_name(self._pointer))

    @property
    def issuer(self) -> str:
        """Return the issuer in the form of RFC 2253."""
        return self._name(library().X509_get_issuer_name(self._pointer))

    @property
    def subject_oneline(self) -> str:
        """Return the subject in OpenSSL's old form, `/C=../CN=..`."""
        return _oneline(library().X509_get_subject_name(self._pointer))

    @property
    def issuer_oneline(self) -> str:
        """Return the issuer in OpenSSL's old form, `/C=../CN=..`."""
        return _oneline(library().X509_get_issuer_name(self._pointer))

    @property
    def serial(self) -> str:
        """Return the serial number in hexadecimal."""
        return _printed("i2a_ASN1_INTEGER", library().X509_get_serialNumber(self._pointer))

    @property
    def fingerprint(self) -> str:
        """Return the SHA-1 of the certificate in hexadecimal."""
        return hashlib.sha1(self.der, usedforsecurity=False).hexdigest()

    @property
    def start(self) -> str:
        """Return when it begins to hold, as `Nov 21 07:58:43 2026 GMT`."""
        return _printed("ASN1_TIME_print", library().X509_get0_notBefore(self._pointer))

    @property
    def end(self) -> str:
        """Return when it ceases to hold, as `Nov 21 07:58:43 2026 GMT`."""
        return _printed("ASN1_TIME_print", library().X509_get0_notAfter(self._pointer))

    @property
    def days_left(self) -> int:
        """Count the whole days until it expires."""
        return max(int(ssl.cert_time_to_seconds(self.end) - time.time()) // _DAY, 0)

    def _name(self, name: int) -> str:
        return _printed("X509_NAME_print_ex", name, 0, _RFC2253)


def _oneline(name: int) -> str:
    lib = library()
    text = lib.X509_NAME_oneline(name, None, 0)
    try:
        return string_at(text).decode("latin-1")
    finally:
        lib.CRYPTO_free(text, b"", 0)


def _printed(function: str, *arguments: int) -> str:
    """What one of OpenSSL's printing functions writes."""
    lib = library()
    bio = lib.BIO_new(lib.BIO_s_mem())
    try:
        getattr(lib, function)(bio, *arguments)
        length = lib.BIO_ctrl(bio, _BIO_PENDING, 0, None)
        text = create_string_buffer(length)
        lib.BIO_read(bio, text, length)
        return text.raw.decode("latin-1")
    finally:
        lib.BIO_free(bio)

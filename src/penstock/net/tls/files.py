"""PEM files, and PEM text in their place, loaded into a TLS context; with nginx's words for what can not be used."""

from __future__ import annotations

import os
import ssl
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from penstock.config.inputs import as_path, read_file
from penstock.config.os_errors import os_failure

DATA = "data:"
"""Begins the name of a certificate or key that is the text itself."""


class CannotLoad(ValueError):
    """A certificate or key that can not be used, in nginx's words. `key` says which of the two, `number` of which pair,
    `hint` what to do."""

    def __init__(self, message: str, *, key: bool = False, hint: str | None = None) -> None:
        super().__init__(message)
        self.key = key
        self.hint = hint
        self.number = 0


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


def challenge_context(certificate: str, key: str, protocol: str) -> ssl.SSLContext:
    """Return a context that shows this certificate, both as PEM, and speaks one protocol alone (RFC 8737)."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.set_alpn_protocols([protocol])
    load_pair(context, DATA + certificate, DATA + key, (b"",))
    return context


@contextmanager
def _file_of(name: str, what: str) -> Iterator[str]:
    """A path where OpenSSL finds what is named; `data:` becomes a file in memory."""
    if name.startswith(DATA):
        fd = os.memfd_create("certificate", os.MFD_CLOEXEC)
        try:
            os.write(fd, name.removeprefix(DATA).encode("latin-1"))
            yield f"/proc/self/fd/{fd}"
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
    try:
        read_file(name)
    except OSError as error:
        raise CannotLoad(
            os_failure(f'cannot load {what} "{name}": BIO_new_file()', error), key=is_key
        ) from None
    with as_path(name) as path:
        yield path


def _blame(error: ssl.SSLError, certificate: str, key: str, certificate_path: str, key_path: str) -> CannotLoad:
    """Which of the two files is at fault."""
    reason = error.reason or ""
    certificate, key = _shown(certificate), _shown(key)
    if reason in ("KEY_VALUES_MISMATCH", "KEY_TYPE_MISMATCH", "NO_CERTIFICATE_ASSIGNED"):
        return CannotLoad(
            f'SSL_CTX_use_PrivateKey("{key}") failed ({openssl_words(error)})',
            key=True,
            hint="this key belongs to another certificate",
        )
    if reason in ("EE_KEY_TOO_SMALL", "CA_KEY_TOO_SMALL", "CA_MD_TOO_WEAK"):
        return CannotLoad(f'SSL_CTX_use_certificate("{certificate}") failed ({openssl_words(error)})')
    if not _holds(certificate_path, b"CERTIFICATE-----"):
        return CannotLoad(
            f'cannot load certificate "{certificate}": PEM_read_bio_X509_AUX() failed ({openssl_words(error)})',
            hint="there is no PEM certificate in this file",
        )
    try:
        ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_verify_locations(cafile=certificate_path)
    except ssl.SSLError as bad:
        return CannotLoad(f'cannot load certificate "{certificate}": PEM_read_bio_X509() failed ({openssl_words(bad)})')
    hint = None
    if _holds(key_path, b"ENCRYPTED"):
        hint = "the key is encrypted; the file that ssl_password_file names must hold its password"
    elif not _holds(key_path, b"PRIVATE KEY-----"):
        hint = "there is no PEM key in this file"
    return CannotLoad(
        f'cannot load certificate key "{key}": PEM_read_bio_PrivateKey() failed ({openssl_words(error)})',
        key=True,
        hint=hint,
    )


def _holds(path: str, words: bytes) -> bool:
    with open(path, "rb") as file:  # noqa: PTH123  workers do without pathlib
        return words in file.read()


def _shown(name: str) -> str:
    """Keys given as data are not for logs."""
    return DATA + "..." if name.startswith(DATA) else name


def openssl_words(error: ssl.SSLError) -> str:
    """Return OpenSSL's words without Python's."""
    if not error.reason:
        return f"SSL: {error.args[-1]}".partition(" (_ssl.c")[0]
    return f"SSL: {error.library or 'SSL'} routines::{error.reason.lower().replace('_', ' ')}"


def load_authorities(context: ssl.SSLContext, path: str) -> None:
    """Trust the certificates of a file. Raises `CannotLoad`."""
    _load_trusted(context, path, "certificate", "X509_AUX")


def load_revocations(context: ssl.SSLContext, path: str) -> None:
    """Trust no certificate that is in the lists of a file, nor one whose issuer has no list. Raises `CannotLoad`."""
    _load_trusted(context, path, "CRL", "X509_CRL")
    context.verify_flags |= ssl.VERIFY_CRL_CHECK_CHAIN


def _load_trusted(context: ssl.SSLContext, path: str, what: str, reader: str) -> None:
    try:
        with as_path(path) as name:
            context.load_verify_locations(cafile=name)
    except ssl.SSLError as error:
        words = openssl_words(error)
        raise CannotLoad(f'cannot load {what} "{path}": PEM_read_bio_{reader}() failed ({words})') from None
    except OSError as error:
        raise CannotLoad(
            os_failure(f'cannot load {what} "{path}": BIO_new_file()', error)
        ) from None


def verify_in_handshake(context: ssl.SSLContext) -> None:
    """Ask clients for a certificate, and end the handshake with who shows one that does not verify."""
    context.verify_mode = ssl.CERT_OPTIONAL


def as_pem(der: bytes) -> str:
    """Write a certificate as text."""
    return ssl.DER_cert_to_PEM_cert(der)

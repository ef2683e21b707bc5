"""An `ssl.SSLContext` from the settings of a server, with nginx's words for what can not be loaded."""

from __future__ import annotations

import ssl
from collections.abc import Callable
from typing import TYPE_CHECKING

from penstock.config.errors import ConfigError
from penstock.config.scope import Compilation
from penstock.config.source import Span

if TYPE_CHECKING:
    from penstock.modules.ssl import Tls

VERSIONS = {
    "TLSv1": (ssl.TLSVersion.TLSv1, ssl.OP_NO_TLSv1),
    "TLSv1.1": (ssl.TLSVersion.TLSv1_1, ssl.OP_NO_TLSv1_1),
    "TLSv1.2": (ssl.TLSVersion.TLSv1_2, ssl.OP_NO_TLSv1_2),
    "TLSv1.3": (ssl.TLSVersion.TLSv1_3, ssl.OP_NO_TLSv1_3),
}


def build(tls: Tls, compilation: Compilation) -> ssl.SSLContext:
    """Raises `ConfigError` at the directive that names what can not be used."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    set_protocols(context, tls.protocols)
    if not tls.session_tickets:
        context.options |= ssl.OP_NO_TICKET
    if tls.prefer_server_ciphers:
        context.options |= ssl.OP_CIPHER_SERVER_PREFERENCE
    set_ciphers(context, tls.ciphers, tls.origin("ciphers"), "ssl_ciphers")
    context.set_alpn_protocols(["http/1.1", "http/1.0"])
    _load_certificates(context, tls)
    if tls.dhparam is not None:
        _load(tls.origin("dhparam"), tls.dhparam, "DH parameters", context.load_dh_params)
    if tls.curves is not None:
        _set_curve(context, tls, compilation)
    _verify(context, tls)
    return context


def set_protocols(context: ssl.SSLContext, names: frozenset[str]) -> None:
    """Allow these protocol versions and no others."""
    wanted = [name for name in VERSIONS if name in names]
    if not wanted:
        return
    context.minimum_version = VERSIONS[wanted[0]][0]
    context.maximum_version = VERSIONS[wanted[-1]][0]
    first, last = list(VERSIONS).index(wanted[0]), list(VERSIONS).index(wanted[-1])
    for name in list(VERSIONS)[first:last]:
        if name not in names:
            context.options |= VERSIONS[name][1]


def set_ciphers(context: ssl.SSLContext, names: str, span: Span | None, directive: str) -> None:
    try:
        context.set_ciphers(names)
    except ssl.SSLError as error:
        raise ConfigError(f'{directive} "{names}" failed ({reason(error)})', span) from None


def passwords(path: str | None, span: Span | None) -> list[str]:
    """The lines of a password file; a single empty one without it, so that OpenSSL never asks the terminal."""
    if path is None:
        return [""]
    try:
        with open(path.encode("latin-1"), "rb") as file:
            return [line.decode("latin-1").rstrip("\r\n") for line in file] or [""]
    except OSError as error:
        raise ConfigError(f'open() "{path}" failed ({error.errno}: {error.strerror})', span) from None


def _load_certificates(context: ssl.SSLContext, tls: Tls) -> None:
    spans = tls.origins.get("certificates", [])
    key_spans = tls.origins.get("keys", [])
    if len(tls.keys) < len(tls.certificates):
        missing = tls.certificates[len(tls.keys)]
        raise ConfigError(
            f'no "ssl_certificate_key" is defined for certificate "{missing}"', spans[len(tls.keys)] if spans else None
        )
    words = passwords(tls.password_file, tls.origin("password_file"))
    for number, certificate in enumerate(tls.certificates):
        span = spans[number] if number < len(spans) else None
        key_span = key_spans[number] if number < len(key_spans) else span
        load_pair(context, certificate, tls.keys[number], words, span, key_span)


def load_pair(
    context: ssl.SSLContext, certificate: str, key: str, words: list[str], span: Span | None, key_span: Span | None
) -> None:
    """Load a certificate chain and its key, trying each password."""
    for path, where, what in ((certificate, span, "certificate"), (key, key_span, "certificate key")):
        try:
            with open(path.encode("latin-1"), "rb"):
                pass
        except OSError as error:
            raise ConfigError(
                f'cannot load {what} "{path}": open() failed ({error.errno}: {error.strerror})', where
            ) from None
    failure: ssl.SSLError | None = None
    for word in words:
        try:
            context.load_cert_chain(certificate, key, password=lambda word=word: word.encode("latin-1"))
            return
        except ssl.SSLError as error:
            failure = error
    assert failure is not None
    if "MISMATCH" in (failure.reason or ""):
        raise ConfigError(
            f'SSL_CTX_use_PrivateKey("{key}") failed ({reason(failure)})',
            key_span,
            hint="this key belongs to another certificate",
        )
    raise ConfigError(
        f'cannot load certificate "{certificate}" with key "{key}": {reason(failure)}',
        key_span,
        hint="is the key encrypted? see ssl_password_file" if failure.reason and "DECRYPT" in failure.reason else None,
    )


def _set_curve(context: ssl.SSLContext, tls: Tls, compilation: Compilation) -> None:
    """Python's ssl takes one curve; of a list the first that it knows."""
    assert tls.curves is not None
    for name in tls.curves.split(":"):
        known = {"P-256": "prime256v1", "P-384": "secp384r1", "P-521": "secp521r1", "X25519": "X25519"}.get(name, name)
        try:
            context.set_ecdh_curve(known)
            return
        except (ValueError, ssl.SSLError):
            continue
    raise ConfigError(f'SSL_CTX_set1_curves_list("{tls.curves}") failed', tls.origin("curves"))


def _verify(context: ssl.SSLContext, tls: Tls) -> None:
    trusted = [path for path in (tls.client_certificate, tls.trusted_certificate) if path is not None]
    if tls.verify_client in ("on", "optional") and not trusted:
        raise ConfigError(
            "no ssl_client_certificate or ssl_trusted_certificate for ssl_verify_client", tls.origin("verify_client")
        )
    for path in trusted:
        origin = tls.origin("client_certificate") if path == tls.client_certificate else tls.origin("trusted_certificate")
        _load(origin, path, "certificates", lambda name: context.load_verify_locations(cafile=name))
    if tls.crl is not None:
        _load(tls.origin("crl"), tls.crl, "CRL", lambda name: context.load_verify_locations(cafile=name))
        context.verify_flags |= ssl.VERIFY_CRL_CHECK_CHAIN
    if tls.verify_client == "on":
        context.verify_mode = ssl.CERT_OPTIONAL  # nginx completes the handshake and answers 400 (495, 496)
    elif tls.verify_client != "off":
        context.verify_mode = ssl.CERT_OPTIONAL


def _load(span: Span | None, path: str, what: str, load: Callable[[str], object]) -> None:
    try:
        load(path)
    except OSError as error:
        words = reason(error) if isinstance(error, ssl.SSLError) else f"{error.errno}: {error.strerror}"
        raise ConfigError(f'cannot load {what} "{path}" ({words})', span) from None


def reason(error: ssl.SSLError) -> str:
    """OpenSSL's words without Python's."""
    return f"SSL: {error.reason}" if error.reason else str(error)

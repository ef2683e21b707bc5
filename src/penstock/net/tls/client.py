"""The client's side of TLS: contexts for connections to backends, and whether a certificate is for a name."""

from __future__ import annotations

import socket
import ssl
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from penstock.config.inputs import as_path
from penstock.net.tls.openssl import missing
from penstock.net.tls.openssl_context import limit_depth

VERSIONS = {
    "TLSv1": ssl.TLSVersion.TLSv1,
    "TLSv1.1": ssl.TLSVersion.TLSv1_1,
    "TLSv1.2": ssl.TLSVersion.TLSv1_2,
    "TLSv1.3": ssl.TLSVersion.TLSv1_3,
}

Context = ssl.SSLContext
CannotMake = (OSError, ValueError)
"""What making a context raises; `ssl.SSLError` is an `OSError`."""


@dataclass(frozen=True, slots=True)
class ClientTls:
    """What is asked of a backend. `trusted` and `crl` are paths of PEM files, `depth` the most intermediates of
    a chain; nothing is verified without `verify`. `negotiates`: whoever connects sets the protocols (ALPN) first."""

    protocols: frozenset[str]
    ciphers: str
    verify: bool = False
    trusted: str | None = None
    crl: str | None = None
    depth: int = 1
    negotiates: bool = False


def client_context(options: ClientTls, certificate: str, key: str, passwords: Sequence[str]) -> ssl.SSLContext:
    """Make a context, with a certificate of our own if its path is given. Names are for `is_for`. Raises `CannotMake`.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_REQUIRED if options.verify else ssl.CERT_NONE
    named = [VERSIONS[name] for name in options.protocols if name in VERSIONS]
    if named:
        context.minimum_version, context.maximum_version = min(named), max(named)
    context.set_ciphers(options.ciphers)
    if options.trusted is not None:
        with as_path(options.trusted) as path:
            context.load_verify_locations(path)
    if options.crl is not None:
        with as_path(options.crl) as path:
            context.load_verify_locations(path)
        context.verify_flags |= ssl.VERIFY_CRL_CHECK_CHAIN
    if options.verify and missing() is None:
        limit_depth(context, options.depth)
    if certificate:
        with as_path(certificate) as certificate_path, as_path(key) as key_path:
            _load(context, certificate_path, key_path, passwords)
    return context


def verifying_context(trusted: str | None) -> ssl.SSLContext:
    """Make a context that verifies by the system's authorities, and by those in the file `trusted`. Names are for
    `is_for`. Raises `CannotMake`."""
    context = ssl.create_default_context()
    context.check_hostname = False
    if trusted is not None:
        with as_path(trusted) as path:
            context.load_verify_locations(path)
    return context


def _load(context: ssl.SSLContext, certificate: str, key: str, passwords: Sequence[str]) -> None:
    *tried, last = passwords or ("",)
    for password in tried:
        try:
            context.load_cert_chain(certificate, key, password)
        except ssl.SSLError:
            continue  # the next one may be the key's
        return
    context.load_cert_chain(certificate, key, last)


def is_address(name: str) -> bool:
    """Return whether a name is an IP address, which is not sent in a ClientHello (RFC 6066, section 3)."""
    return _packed(name) is not None


def _packed(address: str) -> bytes | None:
    """The bytes of an IP address; None for what is none."""
    for family, text in ((socket.AF_INET, address), (socket.AF_INET6, address.partition("%")[0])):
        try:
            return socket.inet_pton(family, text)
        except (OSError, ValueError):  # a NUL, or what is no ASCII, is a `ValueError`
            pass
    return None


def is_for(certificate: dict[str, Any] | None, name: str) -> bool:
    """Return whether a certificate, as `getpeercert()` shows it, is for that name (RFC 6125): one of its alternative
    names, or its common name where it has none."""
    if not certificate:
        return False
    alternatives = certificate.get("subjectAltName", ())
    packed = _packed(name)
    if packed is not None:
        return any(kind == "IP Address" and _packed(value) == packed for kind, value in alternatives)
    names = [value for kind, value in alternatives if kind == "DNS"]
    if not names:
        names = [value for part in certificate.get("subject", ()) for key, value in part if key == "commonName"]
    wanted = name.lower().rstrip(".")
    _, _, parent = wanted.partition(".")
    return any(each.lower() in (wanted, f"*.{parent}" if parent else wanted) for each in names)

"""A certificate for this machine's own names, and the authority that signs it: both made here, kept for the user.

The authority may sign nothing but local names (RFC 5280, section 4.2.1.10): whoever trusts it does not trust its key's
holder with the rest of the web. Files, in the folder of the user's cache:

    authority.pem, authority.key    ten years; the certificate is what browsers are told to trust
    NAME.pem, NAME.key              for a set of names, 90 days, made anew when a week is left
"""

from __future__ import annotations

import hashlib
import ipaddress
import os
import re
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

LOCAL = ("localhost", "test", "local", "internal", "home.arpa", "lan")
"""Domains that the authority may sign for, with everything below them."""

_NETWORKS = (
    "127.0.0.0/8",
    "10.0.0.0/8",
    "172.16.0.0/12",
    "192.168.0.0/16",
    "169.254.0.0/16",
    "::1/128",
    "fc00::/7",
    "fe80::/10",
)
_AUTHORITY_DAYS, _DAYS, _RENEW_DAYS = 3650, 90, 7
_NAME = re.compile(r"[a-z0-9*.:-]{1,250}", re.ASCII)


@dataclass(frozen=True, slots=True)
class Pair:
    """Paths: a certificate with its key, and the authority to trust. `made` tells whether the authority is new."""

    certificate: str
    key: str
    authority: str
    made: bool


def folder() -> Path:
    """Return the folder where certificates are kept."""
    base = os.environ.get("XDG_CACHE_HOME") or ""
    return (Path(base) if base.startswith("/") else Path.home() / ".cache") / "penstock" / "certificates"


def local_pair(names: tuple[str, ...], place: Path | None = None) -> Pair:
    """Make a certificate for these names and addresses, or take an old one where it is good.

    Raises `ValueError` for a name that is not local, `OSError`.
    """
    place = place or folder()
    place.mkdir(mode=0o700, parents=True, exist_ok=True)
    for name in names:
        if not _NAME.fullmatch(name):
            raise ValueError(f'"{name}" is not a host name')
        if not _is_local(name):
            raise ValueError(
                f'the local authority may not sign for "{name}", only for names below {", ".join(LOCAL)} and private '
                "addresses; give a certificate for it with --cert and --key"
            )
    made = _authority(place)
    stem = f"{re.sub(r'[^a-z0-9.-]', '_', names[0])}-{hashlib.sha256(' '.join(names).encode()).hexdigest()[:8]}"
    certificate, key = place / f"{stem}.pem", place / f"{stem}.key"
    if made or not _good(certificate, key):
        _issue(place, names, certificate, key)
    return Pair(str(certificate), str(key), str(place / "authority.pem"), made)


def is_local_name(name: str) -> bool:
    """Return whether a name is one of those that no public authority signs for."""
    return any(name == domain or name.endswith(f".{domain}") for domain in LOCAL)


def _is_local(name: str) -> bool:
    try:
        address = ipaddress.ip_address(name)
    except ValueError:
        return is_local_name(name) or name == _host()
    return any(address in ipaddress.ip_network(each) for each in _NETWORKS)


def _host() -> str:
    return os.uname().nodename.lower()


def _authority(place: Path) -> bool:
    """See to it that there is one; whether it had to be made."""
    certificate, key = place / "authority.pem", place / "authority.key"
    if _good(certificate, key):
        return False
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes
    from cryptography.hazmat.primitives.asymmetric import ec

    own = ec.generate_private_key(ec.SECP256R1())
    name = _named(f"Penstock local authority of {_host()}"[:64])
    permitted: list[x509.GeneralName] = [x509.DNSName(each) for each in dict.fromkeys((*LOCAL, _host()))]
    permitted += [x509.IPAddress(ipaddress.ip_network(each)) for each in _NETWORKS]
    made = (
        _builder(name, name, own.public_key(), _AUTHORITY_DAYS)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(_usage(signs=True), critical=True)
        .add_extension(x509.NameConstraints(permitted_subtrees=permitted, excluded_subtrees=None), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(own.public_key()), critical=False)
        .sign(own, hashes.SHA256())
    )
    _write(key, _pem_key(own), 0o600)
    _write(certificate, _pem(made), 0o644)
    return True


def _issue(place: Path, names: tuple[str, ...], certificate: Path, key: Path) -> None:
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec
    from cryptography.x509.oid import ExtendedKeyUsageOID

    signer = serialization.load_pem_private_key((place / "authority.key").read_bytes(), None)
    assert isinstance(signer, ec.EllipticCurvePrivateKey)
    authority = x509.load_pem_x509_certificate((place / "authority.pem").read_bytes())
    own = ec.generate_private_key(ec.SECP256R1())
    issuer = signer.public_key()
    made = (
        _builder(_named(names[0][:64]), authority.subject, own.public_key(), _DAYS)
        .add_extension(x509.SubjectAlternativeName([_general(name) for name in names]), critical=False)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(_usage(signs=False), critical=True)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(own.public_key()), critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(issuer), critical=False)
        .sign(signer, hashes.SHA256())
    )
    _write(key, _pem_key(own), 0o600)
    _write(certificate, _pem(made) + _pem(authority), 0o644)


def _good(certificate: Path, key: Path) -> bool:
    """Whether both are there, and the certificate holds for a while."""
    from cryptography import x509

    try:
        found = x509.load_pem_x509_certificate(certificate.read_bytes())
    except (OSError, ValueError):
        return False
    return key.exists() and found.not_valid_after_utc - datetime.now(UTC) > timedelta(days=_RENEW_DAYS)


# Any: `cryptography` may be missing, and is imported only where a certificate is made.
def _builder(subject: Any, issuer: Any, key: Any, days: int) -> Any:
    from cryptography import x509

    now = datetime.now(UTC)
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(hours=1))
        .not_valid_after(now + timedelta(days=days))
    )


def _usage(*, signs: bool) -> Any:
    from cryptography import x509

    return x509.KeyUsage(
        digital_signature=not signs,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=signs,
        crl_sign=signs,
        encipher_only=False,
        decipher_only=False,
    )


def _named(name: str) -> Any:
    from cryptography import x509
    from cryptography.x509.oid import NameOID

    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])


def _general(name: str) -> Any:
    from cryptography import x509

    try:
        return x509.IPAddress(ipaddress.ip_address(name))
    except ValueError:
        return x509.DNSName(name)


def _pem(certificate: Any) -> bytes:
    from cryptography.hazmat.primitives.serialization import Encoding

    text: bytes = certificate.public_bytes(Encoding.PEM)
    return text


def _pem_key(key: Any) -> bytes:
    from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

    text: bytes = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    return text


def _write(path: Path, data: bytes, mode: int) -> None:
    """A whole file or none: somebody else may read it at this moment."""
    beside = path.with_name(f".{path.name}.{os.getpid()}")
    beside.touch(mode)
    beside.write_bytes(data)
    beside.replace(path)

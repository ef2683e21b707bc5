"""The words for a certificate are the same, whoever finds them."""

from __future__ import annotations

import datetime
import ssl
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from penstock.net.tls import openssl
from penstock.net.tls.openssl_peer import Certificate
from penstock.net.tls.peer import VerifiedCertificate

NAMES = {
    "plain": [(NameOID.COUNTRY_NAME, "DE"), (NameOID.ORGANIZATION_NAME, "Ours"), (NameOID.COMMON_NAME, "us")],
    "escapes": [(NameOID.COMMON_NAME, 'a,b+c"d\\e<f>g;h'), (NameOID.ORGANIZATION_NAME, " #both/ ")],
    "hash": [(NameOID.COMMON_NAME, "#first")],
    "umlauts": [(NameOID.COMMON_NAME, "Größe €")],
    "mail": [(NameOID.EMAIL_ADDRESS, "a@b.test"), (NameOID.DOMAIN_COMPONENT, "test"), (NameOID.USER_ID, "u1")],
    "unknown": [(x509.ObjectIdentifier("1.3.6.1.4.1.99999.1"), "odd")],
}


def certificate(attributes: list[tuple[x509.ObjectIdentifier, str]]) -> bytes:
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(oid, value) for oid, value in attributes])
    now = datetime.datetime.now(datetime.UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(0x0123456789)
        .not_valid_before(now - datetime.timedelta(days=3))
        .not_valid_after(now + datetime.timedelta(days=3, hours=1))
        .sign(key, hashes.SHA256())
    )
    return made.public_bytes(serialization.Encoding.PEM)


@pytest.mark.parametrize("kind", [kind for kind in NAMES if kind != "unknown"])
def test_openssl_says_the_same(kind: str, tmp_path: Path) -> None:
    if openssl.missing() is not None:
        pytest.skip("there is no OpenSSL to compare with")
    path = tmp_path / "one.crt"
    path.write_bytes(certificate(NAMES[kind]))
    der = ssl.PEM_cert_to_DER_cert(path.read_text())
    details = ssl._ssl._test_decode_cert(str(path))  # type: ignore[attr-defined]
    one, other = VerifiedCertificate(details, der), Certificate(der)
    for attribute in (
        "subject",
        "issuer",
        "subject_oneline",
        "issuer_oneline",
        "serial",
        "fingerprint",
        "start",
        "end",
        "days_left",
    ):
        assert getattr(one, attribute) == getattr(other, attribute), attribute


def test_what_nobody_knows_keeps_its_number(tmp_path: Path) -> None:
    path = tmp_path / "one.crt"
    path.write_bytes(certificate(NAMES["unknown"]))
    details = ssl._ssl._test_decode_cert(str(path))  # type: ignore[attr-defined]
    assert VerifiedCertificate(details, b"").subject == "1.3.6.1.4.1.99999.1=odd"

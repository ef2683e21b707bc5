"""When a certificate ends, as another library reads it."""

from datetime import UTC, datetime, timedelta

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from penstock.net.tls.expiry import ends_at

NAME = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "chat.example")])


def made(end: datetime) -> bytes:
    key = ec.generate_private_key(ec.SECP256R1())
    builder = x509.CertificateBuilder().subject_name(NAME).issuer_name(NAME).public_key(key.public_key())
    builder = builder.serial_number(1).not_valid_before(end - timedelta(days=90)).not_valid_after(end)
    return builder.sign(key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM)


@pytest.mark.parametrize("year", [1999, 2029, 2049, 2050, 2999])
def test_both_forms_of_a_time(year) -> None:
    end = datetime(year, 2, 3, 4, 5, 6, tzinfo=UTC)
    assert ends_at(b"a key may come first\n" + made(end) + made(end + timedelta(days=1))) == end.timestamp()


def test_what_is_no_certificate() -> None:
    good = made(datetime(2030, 1, 1, tzinfo=UTC))
    begin, end = b"-----BEGIN CERTIFICATE-----", b"-----END CERTIFICATE-----"
    for text in (b"", begin + end, begin + b"!" + end, begin + b"MA==" + end, begin + b"MIL/////" + end):
        assert ends_at(text) is None
    lines = good.splitlines()
    for count in range(1, len(lines) - 1):
        ends_at(b"\n".join([*lines[:count], lines[-1]]))  # cut short: nothing is raised

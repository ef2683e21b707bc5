"""Certificates that sign themselves: for names and addresses, and with the answer to a challenge."""

import ssl

from cryptography import x509

from penstock.modules.acme.self_signed import ACME_IDENTIFIER, self_signed
from penstock.net.tls.files import load_pair


def test_it_can_be_served_and_has_the_names() -> None:
    certificate, key = self_signed(("a.example", "192.0.2.1", "2001:db8::1"))
    load_pair(ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER), f"data:{certificate}", f"data:{key}", (b"",))
    found = x509.load_pem_x509_certificate(certificate.encode())
    names = found.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert names.get_values_for_type(x509.DNSName) == ["a.example"]
    assert [str(address) for address in names.get_values_for_type(x509.IPAddress)] == ["192.0.2.1", "2001:db8::1"]


def test_the_answer_to_a_challenge_is_a_critical_octet_string() -> None:
    """RFC 8737, section 3."""
    certificate, _ = self_signed(("a.example",), bytes(range(32)))
    found = x509.load_pem_x509_certificate(certificate.encode()).extensions.get_extension_for_oid(ACME_IDENTIFIER)
    assert found.critical
    assert isinstance(found.value, x509.UnrecognizedExtension)
    assert found.value.value == b"\x04\x20" + bytes(range(32))

"""Variables of the PROXY protocol's header (its text: the PROXY protocol specification, section 2.2)."""

from types import SimpleNamespace

import pytest

from harness.site import Site


def tlv(kind: int, value: bytes) -> bytes:
    return bytes([kind]) + len(value).to_bytes(2, "big") + value


SSL = tlv(0x20, b"\x01" + (7).to_bytes(4, "big") + tlv(0x21, b"TLSv1.3") + tlv(0x22, b"client"))
TLVS = tlv(0x01, b"h2") + tlv(0x02, b"www.example.com") + SSL + tlv(0xEA, b"own\xff")


def value(folder, name: str, tlvs: bytes = TLVS):
    site = Site(f"server {{ listen 80; return 200 ${name}; }}", folder)
    request = site.request("/")
    request.location.error_log = site.log
    request.connection.proxy_protocol = SimpleNamespace(
        source_address="192.0.2.1",
        source_port=1234,
        destination_address="192.0.2.2",
        destination_port=0,
        tlvs=tlvs,
    )
    return site.plan.main.compilation.variables._find(name, None).get(request), site.said()


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("addr", "192.0.2.1"),
        ("port", "1234"),
        ("server_addr", "192.0.2.2"),
        ("server_port", ""),
        ("tlv_alpn", "h2"),
        ("tlv_authority", "www.example.com"),
        ("tlv_unique_id", None),
        ("tlv_0x02", "www.example.com"),
        ("tlv_0xea", "own\xff"),
        ("tlv_ssl_version", "TLSv1.3"),
        ("tlv_ssl_cn", "client"),
        ("tlv_ssl_cipher", None),
        ("tlv_ssl_verify", "7"),
        ("tlv_ssl_0x21", "TLSv1.3"),
    ],
)
def test_value(tmp_path, name: str, expected: str | None) -> None:
    assert value(tmp_path, f"proxy_protocol_{name}") == (expected, [])


@pytest.mark.parametrize(
    ("name", "tlvs", "message"),
    [
        ("tlv_nothing", TLVS, 'unknown PROXY protocol TLV "nothing"'),
        ("tlv_0xyz", TLVS, 'invalid PROXY protocol TLV "0xyz"'),
        ("tlv_alpn", b"\x02\x00\x09short", "broken PROXY protocol TLV"),
        ("tlv_alpn", b"\x02", "broken PROXY protocol TLV"),
        ("tlv_ssl_cn", tlv(0x20, b"\x01"), "broken PROXY protocol TLV"),
    ],
)
def test_what_can_not_be_found_is_said(tmp_path, name: str, tlvs: bytes, message: str) -> None:
    assert value(tmp_path, f"proxy_protocol_{name}", tlvs) == (None, [message])

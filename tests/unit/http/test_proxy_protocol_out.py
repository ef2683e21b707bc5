"""Headers of the PROXY protocol that we write: our own reader, and others', understand them."""

from __future__ import annotations

import pytest

from penstock.http.proxy_protocol import parse_proxy_header
from penstock.http.proxy_protocol_out import crc32c, header_binary, header_text, tlv

FOUR = ("192.0.2.1", 1234), ("198.51.100.2", 443)
SIX = ("2001:db8::1", 1), ("2001:db8::2", 65535)


@pytest.mark.parametrize("addresses", [FOUR, SIX])
@pytest.mark.parametrize("write", [header_text, header_binary])
def test_what_is_written_is_read(addresses, write) -> None:
    data = write(*addresses)
    parsed = parse_proxy_header(data + b"more")
    assert parsed is not None and parsed[0] is not None
    header, length = parsed
    assert length == len(data)
    assert ((header.source_address, header.source_port), (header.destination_address, header.destination_port)) == (
        addresses
    )


@pytest.mark.parametrize("write", [header_text, header_binary])
def test_who_has_no_address_is_nobody(write) -> None:
    data = write(("unix:", 0), ("unix:/socket", 0))
    assert parse_proxy_header(data) == (None, len(data))


def test_two_families_are_the_wider_one() -> None:
    parsed = parse_proxy_header(header_binary(FOUR[0], SIX[1]))
    assert parsed is not None and parsed[0] is not None
    assert parsed[0].source_address == "::ffff:192.0.2.1"


def test_datagrams_are_said_to_be_some() -> None:
    assert header_binary(*FOUR)[13] == 0x11
    assert header_binary(*FOUR, datagrams=True)[13] == 0x12


def test_a_checksum_is_the_last() -> None:
    data = header_binary(*FOUR, [(0x02, b"a.example")])
    assert tlv(0x02, b"a.example") in data
    assert data[-7:-4] == b"\x03\x00\x04"
    assert crc32c(data[:-4] + bytes(4)) == int.from_bytes(data[-4:], "big")


def test_the_checksum_of_the_standard() -> None:
    """RFC 3720, appendix B.4."""
    assert crc32c(bytes(32)) == 0x8A9136AA
    assert crc32c(b"\xff" * 32) == 0x62A8AB43
    assert crc32c(bytes(range(32))) == 0x46DD794E

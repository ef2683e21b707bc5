"""The header of the PROXY protocol as we write it to a backend, versions 1 (text) and 2 (binary).

Follows https://www.haproxy.org/download/1.8/doc/proxy-protocol.txt; in version 2 it says, as nginx, what TLS the client
has spoken, and ends with a checksum.
"""

from __future__ import annotations

from collections.abc import Iterable
from ipaddress import IPv4Address, IPv6Address, ip_address

from penstock.http.proxy_protocol import SIGNATURE

CRC32C = 0x03
_LOCAL, _PROXY = 0x20, 0x21
_STREAM, _DATAGRAM = 1, 2
_POLYNOMIAL = 0x82F63B78  # of CRC-32C (RFC 3720, appendix B.4), its bits in reverse

Tlv = tuple[int, bytes]
"""A type and its value."""


def header_text(source: tuple[str, int], destination: tuple[str, int]) -> bytes:
    """Write a header in version 1: host and port of the client, and of where it came in."""
    address = _address(source[0])
    if address is None:
        return b"PROXY UNKNOWN\r\n"
    words = f"PROXY TCP{address.version} {source[0]} {destination[0]} {source[1]} {destination[1]}\r\n"
    return words.encode("latin-1")


def header_binary(
    source: tuple[str, int], destination: tuple[str, int], tlvs: Iterable[Tlv] = (), *, datagrams: bool = False
) -> bytes:
    """Write a header in version 2. What has no IP address makes it one of the proxy itself (LOCAL)."""
    ours, theirs = _address(source[0]), _address(destination[0])
    if ours is None or theirs is None:
        command, kind, addresses = _LOCAL, 0, b""
    else:
        wide = ours.version == 6 or theirs.version == 6
        command, kind = _PROXY, (0x20 if wide else 0x10) | (_DATAGRAM if datagrams else _STREAM)
        hosts = _packed(ours, wide=wide) + _packed(theirs, wide=wide)
        addresses = hosts + _two(source[1]) + _two(destination[1])
    rest = addresses + b"".join(tlv(kind, value) for kind, value in tlvs)
    head = SIGNATURE + bytes((command, kind)) + _two(len(rest) + 7) + rest + bytes((CRC32C, 0, 4))
    return head + crc32c(head + bytes(4)).to_bytes(4, "big")


def tlv(kind: int, value: bytes) -> bytes:
    """Write one of the fields behind the addresses."""
    return bytes((kind,)) + _two(len(value)) + value


def crc32c(data: bytes) -> int:
    """Compute the checksum of the header, its own four bytes being zero."""
    crc = 0xFFFFFFFF
    for byte in data:
        crc = _TABLE[(crc ^ byte) & 0xFF] ^ (crc >> 8)
    return crc ^ 0xFFFFFFFF


def _row(number: int) -> int:
    for _ in range(8):
        number = (number >> 1) ^ (_POLYNOMIAL if number & 1 else 0)
    return number


_TABLE = tuple(_row(number) for number in range(256))


def _two(number: int) -> bytes:
    return number.to_bytes(2, "big")


def _address(text: str) -> IPv4Address | IPv6Address | None:
    try:
        return ip_address(text.partition("%")[0])
    except ValueError:
        return None


def _packed(address: IPv4Address | IPv6Address, *, wide: bool) -> bytes:
    return bytes(10) + b"\xff\xff" + address.packed if wide and address.version == 4 else address.packed

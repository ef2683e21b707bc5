"""The header of the PROXY protocol, versions 1 (text) and 2 (binary): who came to the balancer before us.

Follows https://www.haproxy.org/download/1.8/doc/proxy-protocol.txt, as strictly and with the words of nginx.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from penstock.config.addresses import packed_text

LONGEST = 4096
"""Bytes a header may have, TLVs included, as in nginx."""

_LONGEST_TEXT = 107
SIGNATURE = b"\r\n\r\n\0\r\nQUIT\n"
_FIXED = 16
_PROXY, _STREAM = 1, 1
# Version 1 of the header (HAProxy's "The PROXY protocol", section 2.1): "PROXY", the family, two addresses, two ports;
# or UNKNOWN and whatever follows on the line.
_TEXT = re.compile(rb"PROXY TCP[46] ([0-9A-Fa-f:.]*) ([0-9A-Fa-f:.]*) ([0-9]+) ([0-9]+)\r\n")
_BEGINNINGS = (b"PROXY TCP4 ", b"PROXY TCP6 ", b"PROXY UNKNOWN")
_UNKNOWN = re.compile(rb"PROXY UNKNOWN[^\n]*?\r\n")


class BadProxyHeader(Exception):
    """Raised for what is no header; the text is nginx's."""


@dataclass(frozen=True, slots=True)
class ProxyHeader:
    """A header of the PROXY protocol. Addresses are textual; `tlvs` are the bytes behind the addresses of version 2."""

    source_address: str
    source_port: int
    destination_address: str
    destination_port: int
    tlvs: bytes = b""


def parse_proxy_header(data: bytes) -> tuple[ProxyHeader | None, int] | None:
    """Read the header at the start of `data`: it and its length; None while more is needed to tell.

    No addresses (None in place of a header) come from a balancer that asks for itself, or that does not know. Raises
    `BadProxyHeader`.
    """
    if data.startswith(SIGNATURE):
        return _binary(data)
    if data and SIGNATURE.startswith(data):
        return None
    return _text(data)


def needed(data: bytes) -> int:
    """Return how many bytes there must be before another look can tell more than that this is a beginning."""
    if data.startswith(SIGNATURE):
        return _FIXED if len(data) < _FIXED else _FIXED + int.from_bytes(data[14:16], "big")
    return len(data) + 1


def _text(data: bytes) -> tuple[ProxyHeader | None, int] | None:
    match = _TEXT.match(data, 0, _LONGEST_TEXT)
    if match is not None:
        source, destination, source_port, destination_port = (group.decode("ascii") for group in match.groups())
        if max(int(source_port), int(destination_port)) > 0xFFFF:
            raise _broken(data)
        return ProxyHeader(source, int(source_port), destination, int(destination_port)), match.end()
    match = _UNKNOWN.match(data, 0, _LONGEST_TEXT)
    if match is not None:
        return None, match.end()
    if len(data) < _LONGEST_TEXT and b"\n" not in data and any(
        data.startswith(begin) or begin.startswith(data) for begin in _BEGINNINGS
    ):
        return None
    raise _broken(data)


def _broken(data: bytes) -> BadProxyHeader:
    line = re.split(rb"[\r\n]", data, maxsplit=1)[0]
    return BadProxyHeader(f'broken header: "{line.decode("latin-1")}"')


def _binary(data: bytes) -> tuple[ProxyHeader | None, int] | None:
    if len(data) < _FIXED:
        return None
    version, command = data[12] >> 4, data[12] & 15
    if version != 2:
        raise BadProxyHeader(f"unknown PROXY protocol version: {version}")
    end = _FIXED + int.from_bytes(data[14:16], "big")
    if end > LONGEST:
        raise BadProxyHeader("header is too large")
    if len(data) < end:
        return None
    family, transport = data[13] >> 4, data[13] & 15
    if command != _PROXY or transport != _STREAM or family not in (1, 2):
        return None, end
    width = 4 if family == 1 else 16
    ports = _FIXED + 2 * width
    rest = ports + 4
    if end < rest:
        raise BadProxyHeader("too short addresses in PROXY protocol header")
    header = ProxyHeader(
        packed_text(data[_FIXED : _FIXED + width]),
        int.from_bytes(data[ports : ports + 2], "big"),
        packed_text(data[_FIXED + width : ports]),
        int.from_bytes(data[ports + 2 : rest], "big"),
        bytes(data[rest:end]),
    )
    return header, end

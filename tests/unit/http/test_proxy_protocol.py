"""The PROXY protocol's header, both versions."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from penstock.http.proxy_protocol import LONGEST, BadProxyHeader, ProxyHeader, parse_proxy_header

SIGNATURE = b"\r\n\r\n\0\r\nQUIT\n"
TCP4 = ProxyHeader("192.0.2.1", 123, "192.0.2.2", 5678)


def binary(version_command: int, family: int, payload: bytes, length: int | None = None) -> bytes:
    size = len(payload) if length is None else length
    return SIGNATURE + bytes((version_command, family)) + size.to_bytes(2, "big") + payload


V4 = bytes((192, 0, 2, 1, 192, 0, 2, 2)) + (123).to_bytes(2, "big") + (5678).to_bytes(2, "big")
V6 = bytes.fromhex("20010db8" + "00" * 11 + "01") + bytes(10) + b"\xff\xff\xc0\x00\x02\x02" + V4[8:]


@pytest.mark.parametrize(
    ("data", "header", "rest"),
    [
        (b"PROXY TCP4 192.0.2.1 192.0.2.2 123 5678\r\nGET /", TCP4, b"GET /"),
        (b"PROXY TCP6 2001:DB8::1 ::2 1 0\r\n", ProxyHeader("2001:DB8::1", 1, "::2", 0), b""),
        (b"PROXY UNKNOWN\r\n\r\n", None, b"\r\n"),
        (b"PROXY UNKNOWN 1 2 3 4\r\nx", None, b"x"),
        (binary(0x21, 0x11, V4) + b"x", TCP4, b"x"),
        (binary(0x21, 0x11, V4 + b"tlv"), ProxyHeader("192.0.2.1", 123, "192.0.2.2", 5678, b"tlv"), b""),
        (binary(0x21, 0x21, V6), ProxyHeader("2001:db8::1", 123, "::ffff:192.0.2.2", 5678), b""),
        (binary(0x20, 0x11, V4) + b"local", None, b"local"),
        (binary(0x21, 0x12, V4) + b"datagram", None, b"datagram"),
        (binary(0x21, 0x31, bytes(216)) + b"unix", None, b"unix"),
        (binary(0x20, 0x00, b""), None, b""),
    ],
)
def test_headers(data: bytes, header: ProxyHeader | None, rest: bytes) -> None:
    parsed = parse_proxy_header(data)
    assert parsed is not None
    assert parsed[0] == header
    assert data[parsed[1] :] == rest
    for end in range(parsed[1]):
        assert parse_proxy_header(data[:end]) is None


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"GET / HTTP/1.0\r\n", 'broken header: "GET / HTTP/1.0"'),
        (b"PROXY TCP4 192.0.2.1 192.0.2.2 123\r\n", 'broken header: "PROXY TCP4 192.0.2.1 192.0.2.2 123"'),
        (b"PROXY TCP5 192.0.2.1 192.0.2.2 1 2\r\n", 'broken header: "PROXY TCP5 192.0.2.1 192.0.2.2 1 2"'),
        (b"PROXY TCP4 1.2.3.4 host 1 2\r\n", 'broken header: "PROXY TCP4 1.2.3.4 host 1 2"'),
        (b"PROXY TCP4 1.2.3.4 1.2.3.4 65536 2\r\n", 'broken header: "PROXY TCP4 1.2.3.4 1.2.3.4 65536 2"'),
        (b"PROXY TCP4 1.2.3.4 1.2.3.4 1 2\n", 'broken header: "PROXY TCP4 1.2.3.4 1.2.3.4 1 2"'),
        (b"PROXY TCP4 " + b"1" * 100, 'broken header: "PROXY TCP4 ' + "1" * 100 + '"'),
        (b"\x16\x03\x01", 'broken header: "\x16\x03\x01"'),
        (binary(0x31, 0x11, V4), "unknown PROXY protocol version: 3"),
        (binary(0x21, 0x11, V4, length=LONGEST), "header is too large"),
        (binary(0x21, 0x11, V4[:11]), "too short addresses in PROXY protocol header"),
        (binary(0x21, 0x21, V4), "too short addresses in PROXY protocol header"),
    ],
)
def test_what_is_none(data: bytes, message: str) -> None:
    with pytest.raises(BadProxyHeader) as error:
        parse_proxy_header(data)
    assert str(error.value) == message


@given(st.one_of(st.binary(max_size=200), st.binary(max_size=60).map(lambda tail: SIGNATURE + tail)))
def test_anything_is_a_header_or_refused(data: bytes) -> None:
    try:
        parsed = parse_proxy_header(data)
    except BadProxyHeader:
        return
    assert parsed is None or 0 < parsed[1] <= len(data)

"""The ClientHello parser, against hellos OpenSSL makes, cut in every way, and against rubbish."""

from __future__ import annotations

import ssl

import pytest
from hypothesis import given
from hypothesis import strategies as st

from penstock.net.tls.hello import MOST, Hello, NotTls, parse_hello


def real_hello(name: str | None = "example.org", alpn: tuple[str, ...] = (), newest: int | None = None) -> bytes:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    if alpn:
        context.set_alpn_protocols(list(alpn))
    if newest is not None:
        context.maximum_version = ssl.TLSVersion(newest)
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    wrapped = context.wrap_bio(incoming, outgoing, server_hostname=name)
    with pytest.raises(ssl.SSLWantReadError):
        wrapped.do_handshake()
    return outgoing.read()


def in_records(message: bytes, sizes: list[int]) -> bytes:
    """The handshake message of one record, cut into several."""
    records = b""
    at = 0
    for size in [*sizes, len(message)]:
        piece = message[at : at + size]
        at += size
        if piece:
            records += b"\x16\x03\x01" + len(piece).to_bytes(2, "big") + piece
    return records


def test_what_openssl_asks_for() -> None:
    hello = parse_hello(real_hello("Example.ORG", ("h2", "http/1.1")))
    assert hello is not None
    assert hello.server_name == "example.org"
    assert hello.alpn == ("h2", "http/1.1")
    assert 0x0304 in hello.versions
    assert 0x0303 in hello.versions


def test_an_old_client_without_a_name() -> None:
    hello = parse_hello(real_hello(None, newest=ssl.TLSVersion.TLSv1_2))
    assert hello == Hello("", (), (0x0303,))


def test_every_prefix_needs_more() -> None:
    whole = real_hello()
    for end in range(len(whole)):
        assert parse_hello(whole[:end]) is None
    assert parse_hello(whole) is not None
    assert parse_hello(whole + b"early data") == parse_hello(whole)


@given(st.lists(st.integers(1, 200), max_size=8))
def test_cut_into_records(sizes: list[int]) -> None:
    whole = real_hello(alpn=("http/1.1",))
    cut = in_records(whole[5:], sizes)
    assert parse_hello(cut) == parse_hello(whole)
    assert parse_hello(cut[:-1]) is None


def outcome(data: bytes) -> Hello | str | None:
    try:
        return parse_hello(data)
    except NotTls as error:
        return str(error)


@given(st.data())
def test_a_hello_in_one_record_is_read_as_one_in_two(data: st.DataObject) -> None:
    """Whatever is wrong with it: what comes whole is read in one step, and then something else follows."""
    message = bytearray(real_hello("example.org", ("h2", "http/1.1"))[5:])
    for _ in range(data.draw(st.integers(1, 4))):
        at = data.draw(st.one_of(st.integers(1, len(message) - 1), st.integers(38, 140)))
        message[at] = data.draw(st.one_of(st.integers(0, 3), st.integers(0, 255)))
    whole = in_records(bytes(message), [])
    assert outcome(whole) == outcome(in_records(bytes(message), [7]))
    if outcome(whole) is not None:
        assert outcome(whole + b"\x00\x00\x00\x04\x17\x03") == outcome(whole)


@pytest.mark.parametrize(
    "data",
    [
        b"GET / HTTP/1.1\r\n",
        b"\x80\x2e\x01\x03\x01",
        b"\x15\x03\x01\x00\x02\x02\x28",
        b"\x16\x02\x00\x00\x05hello",
        b"\x16\x03\x01\x00\x00",
        b"\x16\x03\x01\xff\xff",
        b"\x16\x03\x01\x00\x04\x02\x00\x00\x00",
        b"\x16\x03\x01\x00\x04\x01\xff\xff\xff",
        b"\x16\x03\x01\x00\x06\x01\x00\x00\x02\x03\x03",
    ],
)
def test_not_tls(data: bytes) -> None:
    with pytest.raises(NotTls):
        parse_hello(data)


def test_plain_http_is_known_by_its_first_byte() -> None:
    with pytest.raises(NotTls):
        parse_hello(b"G")


def test_endless_hellos_are_refused() -> None:
    message = b"\x01\x00\xff\x00" + bytes(0xFF00)
    with pytest.raises(NotTls):
        parse_hello(in_records(message, [1] * 20000)[: MOST + 10])


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        (b"example.org.", "example.org"),
        (b"EXAMPLE.org", "example.org"),
        (b"a_b.example", "a_b.example"),
        (b"", ""),
        (b"a..b", ""),
        (b".a", ""),
        (b"a\x00b", ""),
        (b"a/b", ""),
        (b"a b", ""),
        (b"\xff\xfe", ""),
        (b"x" * 254, ""),
    ],
)
def test_names(name: bytes, expected: str) -> None:
    listed = b"\x00" + len(name).to_bytes(2, "big") + name
    content = len(listed).to_bytes(2, "big") + listed
    extension = b"\x00\x00" + len(content).to_bytes(2, "big") + content
    body = b"\x03\x03" + bytes(32) + b"\x00" + b"\x00\x02\x13\x01" + b"\x01\x00"
    body += len(extension).to_bytes(2, "big") + extension
    hello = parse_hello(in_records(b"\x01" + len(body).to_bytes(3, "big") + body, []))
    assert hello is not None
    assert hello.server_name == expected


@given(st.binary(max_size=300))
def test_rubbish_raises_nothing_else(data: bytes) -> None:
    for prefix in (b"", b"\x16\x03\x01", b"\x16\x03\x01\x00\x80\x01\x00\x00\x70"):
        try:
            parse_hello(prefix + data)
        except NotTls:
            pass


@given(st.data())
def test_a_damaged_hello_raises_nothing_else(data: st.DataObject) -> None:
    hello = bytearray(real_hello(alpn=("h2",)))
    for _ in range(data.draw(st.integers(1, 5))):
        hello[data.draw(st.integers(0, len(hello) - 1))] = data.draw(st.integers(0, 255))
    try:
        parse_hello(hello)
    except NotTls:
        pass

"""Addresses and networks, as nginx reads them."""

import ipaddress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from penstock.config.addresses import address_text, bracketed, listen_address, network, peer_address


@pytest.mark.parametrize(
    ("text", "addresses"),
    [
        ("80", ["0.0.0.0:80"]),
        ("*:80", ["0.0.0.0:80"]),
        ("*", ["0.0.0.0:80"]),
        ("127.0.0.1", ["127.0.0.1:80"]),
        ("127.0.0.1:8080", ["127.0.0.1:8080"]),
        ("localhost:8000", ["localhost:8000"]),
        ("localhost", ["localhost:80"]),
        ("[::]:80", ["[::]:80"]),
        ("[::1]", ["[::1]:80"]),
        ("[0:0:0:0:0:0:0:1]:443", ["[::1]:443"]),
        ("[2001:DB8:0:0:1:0:0:1]:443", ["[2001:db8::1:0:0:1]:443"]),
        ("[::ffff:10.0.0.1]:443", ["[::ffff:10.0.0.1]:443"]),
        ("unix:/run/a.sock", ["unix:/run/a.sock"]),
        ("UNIX:/run/a.sock", ["unix:/run/a.sock"]),
        ("8000-8002", ["0.0.0.0:8000", "0.0.0.0:8001", "0.0.0.0:8002"]),
        ("127.0.0.1:1-2", ["127.0.0.1:1", "127.0.0.1:2"]),
        ("[::1]:1-2", ["[::1]:1", "[::1]:2"]),
        ("my-host", ["my-host:80"]),
        ("010.0.0.1:80", ["10.0.0.1:80"]),
    ],
)
def test_listen(text: str, addresses: list[str]) -> None:
    assert [str(address) for address in listen_address(text)] == addresses


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "no host"),
        (":80", "no host"),
        ("[]:80", "no host"),
        ("0", "invalid port"),
        ("65536", "invalid port"),
        ("a:b", "invalid port"),
        ("a:", "invalid port"),
        ("::1", "invalid port"),
        ("a:80-", "invalid port"),
        ("8001-8000", "invalid port range"),
        ("[::1", "invalid host"),
        ("[::1]80", "invalid host"),
        ("a/b", "invalid host"),
        ("[::g]:80", "invalid IPv6 address"),
        ("[1:2:3:4:5:6:7]", "invalid IPv6 address"),
        ("[1::2::3]", "invalid IPv6 address"),
        ("unix:", "no path in the unix domain socket"),
        ("unix:" + "a" * 108, "too long path in the unix domain socket"),
    ],
)
def test_listen_refuses_in_the_words_of_nginx(text: str, reason: str) -> None:
    with pytest.raises(ValueError) as caught:
        listen_address(text)
    assert str(caught.value) == reason


@pytest.mark.parametrize(
    ("text", "family", "address"),
    [
        ("backend", "name", "backend:80"),
        ("backend:3000", "name", "backend:3000"),
        ("10.0.0.1", "inet", "10.0.0.1:80"),
        ("[::1]:3000", "inet6", "[::1]:3000"),
        ("unix:/tmp/a:b", "unix", "unix:/tmp/a:b"),
        ("3000", "name", "3000:80"),
    ],
)
def test_peer(text: str, family: str, address: str) -> None:
    peer = peer_address(text)
    assert (peer.family, str(peer)) == (family, address)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "no host"),
        ("a:0", "invalid port"),
        ("a:80-81", "invalid port"),
        ("http://a", "invalid host"),
        ("[::1]/x", "invalid host"),
    ],
)
def test_peer_refuses(text: str, reason: str) -> None:
    with pytest.raises(ValueError) as caught:
        peer_address(text)
    assert str(caught.value) == reason


def test_wildcards() -> None:
    texts = ("80", "*:1", "0.0.0.0:1", "[::]:1", "127.0.0.1:1", "[::1]:1")
    assert [listen_address(text)[0].wildcard for text in texts] == [True, True, True, True, False, False]


@pytest.mark.parametrize(
    ("text", "inside", "outside"),
    [
        ("10.0.0.0/8", ["10.1.2.3", "::ffff:10.1.2.3"], ["11.0.0.0", "::a01:203", "unix:", "name"]),
        ("10.1.2.3", ["10.1.2.3"], ["10.1.2.4"]),
        ("0.0.0.0/0", ["1.2.3.4"], ["::1", "unix:"]),
        ("2001:db8::/32", ["2001:db8::1", "2001:DB8:ffff::%eth0"], ["2001:db9::1", "10.0.0.1"]),
        ("::ffff:0:0/96", ["::ffff:10.0.0.1"], ["10.0.0.1"]),
        ("::/0", ["::1"], ["1.2.3.4"]),
        ("unix:", ["unix:"], ["10.0.0.1", "::1"]),
        ("all", ["10.0.0.1", "::1", "unix:"], []),
    ],
)
def test_network(text: str, inside: list[str], outside: list[str]) -> None:
    found = network(text)
    assert [address for address in inside + outside if address in found] == inside
    assert not found.trimmed


def test_network_tells_of_meaningless_bits() -> None:
    assert network("10.1.0.0/8").trimmed
    assert "10.9.9.9" in network("10.1.0.0/8")


@pytest.mark.parametrize(
    "text",
    ["", "10.0.0", "10.0.0.0/33", "10.0.0.0/", "10.0.0.0/-1", "::/129", "1.2.3.256", "localhost", "ALL"],
)
def test_network_refuses(text: str) -> None:
    with pytest.raises(ValueError, match="takes"):
        network(text)


@given(st.ip_addresses(v=6))
def test_spelling_of_ipv6_agrees_with_the_library(address: ipaddress.IPv6Address) -> None:
    for spelling in (address.compressed, address.exploded):
        (ours,) = listen_address(f"[{spelling}]:1")
        assert ipaddress.ip_address(ours.host) == address
        if address.ipv4_mapped is None:
            assert ours.host == address.compressed


@given(st.text("0123456789abcf:.%/[]", max_size=24))
def test_what_is_an_address_agrees_with_the_library(text: str) -> None:
    try:
        expected = ipaddress.IPv6Address(text)
    except ValueError:
        expected = None
    try:
        found = network(text) if "/" not in text else None
    except ValueError:
        found = None
    ours = found is not None and found.family == "inet6"
    assert ours == (expected is not None and "%" not in text)


@pytest.mark.parametrize(
    ("name", "text"),
    [
        (("127.0.0.1", 80), "127.0.0.1:80"),
        (("::1", 8080, 0, 0), "[::1]:8080"),
        ("/run/penstock.sock", "unix:/run/penstock.sock"),
        (b"/run/\xe9.sock", "unix:/run/\xe9.sock"),
    ],
)
def test_a_socket_is_named_as_a_configuration_writes_it(name: str | bytes | tuple[str, int], text: str) -> None:
    assert address_text(name) == text


@pytest.mark.parametrize("host", ["example.com", "[::1]", "unix:/run/x.sock", "10.0.0.1"])
def test_only_a_bare_ipv6_address_gets_brackets(host: str) -> None:
    assert bracketed(host) == host
    assert bracketed("fe80::1") == "[fe80::1]"

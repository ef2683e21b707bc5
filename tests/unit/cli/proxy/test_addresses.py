"""Addresses on the command line of `penstock proxy`, and the names its authority may sign for."""

import ssl
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509

from penstock.cli.proxy import addresses as proxy_addresses
from penstock.cli.proxy import certificate as proxy_certificate
from penstock.cli.proxy.addresses import backend, listens, mapping


@pytest.mark.parametrize(
    ("text", "server", "secure", "uri"),
    [
        ("3000", "localhost:3000", False, ""),
        (":3000", "localhost:3000", False, ""),
        ("localhost:3000", "localhost:3000", False, ""),
        ("http://10.0.0.5:3000/base", "10.0.0.5:3000", False, "/base"),
        ("https://example.com", "example.com:443", True, ""),
        ("wss://example.com/ws", "example.com:443", True, "/ws"),
        ("[::1]:9000", "[::1]:9000", False, ""),
        ("unix:/run/app.sock", "unix:/run/app.sock", False, ""),
    ],
)
def test_what_is_behind(text: str, server: str, secure: bool, uri: str) -> None:
    found = backend(text)
    assert (found.server, found.secure, found.uri) == (server, secure, uri)


@pytest.mark.parametrize("text", ["ftp://a", "a:b", "a:99999", "", "a;b:1", "http://h/{}", "h h:1", "unix:"])
def test_what_is_no_address(text: str) -> None:
    with pytest.raises(ValueError):
        backend(text)


def test_where_to_listen(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(proxy_addresses, "has_ipv6", lambda: True)
    assert listens(":8080") == listens("8080") == ["8080", "[::]:8080"]
    assert listens("localhost:8080") == ["127.0.0.1:8080", "[::1]:8080"]
    assert listens("192.0.2.1:81") == ["192.0.2.1:81"]
    assert listens("https://localhost:8443/") == ["127.0.0.1:8443", "[::1]:8443"]
    for bad in (":x", "a b", ":99999", "1;2"):
        with pytest.raises(ValueError):
            listens(bad)


def test_paths() -> None:
    path, found, slash = mapping("/ws=localhost:9000")
    assert (path, found.server, found.uri, slash) == ("/ws", "localhost:9000", "", False)
    assert mapping("/ws/=9000/")[2] is True
    for bad in ("ws=9000", "/ws", "/a;b=9000"):
        with pytest.raises(ValueError):
            mapping(bad)


def test_a_certificate_is_made_once_and_renewed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    names = ("localhost", "app.test", "192.168.1.5", "::1")
    first = proxy_certificate.local_pair(names, tmp_path)
    second = proxy_certificate.local_pair(names, tmp_path)
    assert (first.made, second.made) == (True, False)
    assert Path(first.certificate).read_bytes() == Path(second.certificate).read_bytes()
    assert (tmp_path / "authority.key").stat().st_mode & 0o777 == 0o600
    assert Path(first.key).stat().st_mode & 0o777 == 0o600

    class Later(datetime):
        @classmethod
        def now(cls, tz=None):
            return datetime.now(UTC) + timedelta(days=88)

    monkeypatch.setattr(proxy_certificate, "datetime", Later)
    third = proxy_certificate.local_pair(names, tmp_path)
    assert third.made is False
    assert Path(third.certificate).read_bytes() != first.certificate
    ends = x509.load_pem_x509_certificate(Path(third.certificate).read_bytes()).not_valid_after_utc
    assert ends > datetime.now(UTC) + timedelta(days=150)


@pytest.mark.parametrize("name", ["example.com", "8.8.8.8", "a b", "localhost.example"])
def test_the_authority_signs_for_local_names_only(name: str, tmp_path: Path) -> None:
    with pytest.raises(ValueError):
        proxy_certificate.local_pair((name,), tmp_path)


def test_what_it_signs_beyond_that_is_refused_by_openssl(tmp_path: Path) -> None:
    """The names are in the authority itself: whoever has its key cannot stand for other sites."""
    pair = proxy_certificate.local_pair(("localhost",), tmp_path)
    bad = tmp_path / "bad.pem"
    key = tmp_path / "bad.key"
    proxy_certificate._issue(tmp_path, ("example.com",), bad, key)
    assert handshake(pair.certificate, pair.key, pair.authority, "localhost") == ""
    assert "permitted subtree violation" in handshake(str(bad), str(key), pair.authority, "example.com")


def handshake(certificate: str, key: str, trusted: str, name: str) -> str:
    """What a client says of a certificate, in memory; "" if it takes it."""
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server.load_cert_chain(certificate, key)
    client = ssl.create_default_context(cafile=trusted)
    to_server, to_client = ssl.MemoryBIO(), ssl.MemoryBIO()
    ends = [
        client.wrap_bio(to_client, to_server, server_hostname=name),
        server.wrap_bio(to_server, to_client, server_side=True),
    ]
    for _ in range(4):
        for end in ends:
            try:
                end.do_handshake()
            except ssl.SSLWantReadError:
                pass
            except ssl.SSLCertVerificationError as error:
                return error.verify_message
    return ""

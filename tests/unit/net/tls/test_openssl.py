"""OpenSSL behind Python's `ssl`: that it is the same library and the same objects, and that nothing is believed."""

from __future__ import annotations

import ssl
import sys
from collections.abc import Iterator
from typing import Any

import pytest

from harness.certs import Authority
from penstock.net.tls import openssl, openssl_context, openssl_peer
from penstock.net.tls.openssl_peer import Certificate


@pytest.fixture(autouse=True)
def reachable() -> None:
    if openssl.missing() is not None:
        pytest.skip(str(openssl.missing()))


@pytest.fixture
def fresh() -> Iterator[None]:
    """What was found out before is forgotten, before and after."""
    openssl._found.cache_clear()
    openssl.library.cache_clear()
    yield
    openssl._found.cache_clear()
    openssl.library.cache_clear()


def test_it_follows_what_ssl_does() -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    lib, pointer = openssl.library(), openssl.of_context(context)
    context.options |= ssl.OP_NO_TICKET
    assert lib.SSL_CTX_get_options(pointer) == context.options
    inner = context.wrap_bio(ssl.MemoryBIO(), ssl.MemoryBIO(), server_side=True)._sslobj  # type: ignore[attr-defined]
    assert lib.SSL_get_SSL_CTX(openssl.of_connection(inner)) == pointer


@pytest.mark.usefixtures("fresh")
def test_another_interpreter_is_not_touched(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys.implementation, "name", "pypy")
    assert openssl.missing() == "this is pypy, not CPython"


@pytest.mark.usefixtures("fresh")
def test_another_library_is_not_touched(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ssl, "OPENSSL_VERSION", "LibreSSL 3.9")
    assert openssl.missing() == "Python's ssl is made with LibreSSL 3.9, not with OpenSSL"


@pytest.mark.usefixtures("fresh")
def test_hidden_functions_are_missed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(openssl._PROTOTYPES, "SSL_no_such_function", (None,))
    missing = openssl.missing()
    assert missing is not None
    assert missing.startswith("Python's ssl does not show OpenSSL's functions")


@pytest.mark.usefixtures("fresh")
@pytest.mark.parametrize("address", [0, 64, id(Certificate)], ids=["null", "unmapped", "something else"])
def test_pointers_are_not_followed_blindly(monkeypatch: pytest.MonkeyPatch, address: int) -> None:
    monkeypatch.setattr(openssl, "of_context", lambda context: address)
    assert openssl.missing() == "the objects of Python's ssl are not laid out as expected"


@pytest.mark.usefixtures("fresh")
def test_a_hardened_process_is_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*arguments: object) -> None:
        raise MemoryError

    monkeypatch.setattr(openssl.ctypes, "CFUNCTYPE", refuse)
    missing = openssl.missing()
    assert missing is not None
    assert missing.startswith("this process may not make memory executable")


def test_failures_are_explained() -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    with pytest.raises(ValueError, match=r'SSL_CTX_set1_curves_list\("none"\) failed( \(SSL: error:|$)'):
        openssl_context.set_groups(context, "none")
    with pytest.raises(ValueError, match="unknown cmd name"):
        openssl_context.run_commands(context, [("None", "x")], str)
    openssl_context.set_groups(context, "P-256")  # what was explained is forgotten


def test_a_certificate_in_words(authority: Authority) -> None:
    text = authority.issue("words.test").certificate.read_text()
    certificate = Certificate(ssl.PEM_cert_to_DER_cert(text[: text.index("-----END CERTIFICATE-----") + 26]))
    assert certificate.subject == "CN=words.test"
    assert certificate.subject_oneline == "/CN=words.test"
    assert certificate.issuer == "CN=Penstock test authority"
    assert certificate.end.endswith(" GMT")
    assert certificate.days_left == 9
    with pytest.raises(ValueError, match="not a certificate"):
        Certificate(b"nothing")


def test_an_expired_certificate_has_no_days_left(authority: Authority) -> None:
    text = authority.issue("late.test", days=-1).certificate.read_text()
    certificate = Certificate(ssl.PEM_cert_to_DER_cert(text[: text.index("-----END CERTIFICATE-----") + 26]))
    assert certificate.days_left == 0


def shaken(server: ssl.SSLContext, client: ssl.SSLContext, **more: Any) -> tuple[ssl.SSLObject, ssl.SSLObject]:
    """Both sides of a connection in memory, after the handshake."""
    here, there = ssl.MemoryBIO(), ssl.MemoryBIO()
    one = server.wrap_bio(here, there, server_side=True)
    two = client.wrap_bio(there, here, server_hostname="localhost", **more)
    for side in (two, one, two, one):
        try:
            side.do_handshake()
        except ssl.SSLWantReadError:
            pass
    return one, two


def test_a_connection_in_words(authority: Authority) -> None:
    """What the server can tell of a client that shows no certificate."""
    server = authority.server_context(authority.issue("localhost"))
    openssl_context.ask_for_certificate(server, 1)
    one, _ = shaken(server, authority.client_context())
    inner = one._sslobj  # type: ignore[attr-defined]
    assert openssl_peer.verify_result(inner) == openssl_peer.VERIFIED
    assert openssl_peer.verify_words(10) == "certificate has expired"
    assert openssl_peer.group(inner)
    assert "TLS_AES_256_GCM_SHA384" in openssl_peer.offered_ciphers(inner).split(":")
    assert openssl_peer.group(inner) in openssl_peer.offered_groups(inner).split(":")
    assert "0x0403" in openssl_peer.offered_signatures(inner).split(":")


@pytest.mark.skipif(ssl.OPENSSL_VERSION_INFO < (3,), reason="the list is the session's")
@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
def test_what_a_client_has_offered_is_let_go_of(authority: Authority, version: ssl.TLSVersion) -> None:
    server, client = authority.server_context(authority.issue("localhost")), authority.client_context()
    client.maximum_version = version
    resumed = None
    for _ in range(2):
        one, two = shaken(server, client, session=resumed)
        inner = one._sslobj  # type: ignore[attr-defined]
        told = openssl_peer.offered_ciphers(inner), one.cipher(), one.version()
        assert told[0] and (resumed or one.shared_ciphers())
        openssl.forget_offer(inner)
        openssl.forget_offer(inner)
        assert not one.shared_ciphers() and told == (openssl_peer.offered_ciphers(inner), one.cipher(), one.version())
        two.write(b"ask")
        assert one.read(10) == b"ask"
        one.write(b"answer")
        assert two.read(10) == b"answer"
        assert two.session_reused is (resumed is not None)
        resumed = two.session


@pytest.mark.usefixtures("fresh")
def test_nothing_is_let_go_of_where_openssl_is_out_of_reach(
    monkeypatch: pytest.MonkeyPatch, authority: Authority
) -> None:
    one, _ = shaken(authority.server_context(authority.issue("localhost")), authority.client_context())
    monkeypatch.setattr(sys.implementation, "name", "pypy")
    openssl.forget_offer(one._sslobj)  # type: ignore[attr-defined]
    assert one.shared_ciphers()

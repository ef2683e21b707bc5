"""TLS settings: what is accepted, what is refused in which words, and what a context is made of."""

import ssl
from pathlib import Path

import pytest
from cryptography.hazmat.primitives import serialization

from harness.certs import Authority, Pair
from harness.site import compiled, mistakes
from penstock.modules.tls.verify import ClientCertificates
from penstock.net.tls import openssl


@pytest.fixture
def pair(authority: Authority) -> Pair:
    return authority.issue("localhost")


@pytest.fixture
def server(pair: Pair, tmp_path: Path):
    """What is wrong with a server that has a certificate and these directives."""

    def wrong(*directives: str) -> list[str]:
        return mistakes(in_server(pair, *directives), tmp_path)

    return wrong


def in_server(pair: Pair, *directives: str) -> str:
    own = (f"ssl_certificate {pair.certificate};", f"ssl_certificate_key {pair.key};")
    return f"server {{ listen 127.0.0.1:8443 ssl; {' '.join((*own, *directives))} }}"


def context_of(text: str, folder: Path) -> ssl.SSLContext:
    plan = compiled(f"events {{ }} http {{ {text} }}", folder)
    context = plan.servers[0].tls.context
    assert isinstance(context, ssl.SSLContext)
    return context


@pytest.fixture
def out_of_reach(monkeypatch: pytest.MonkeyPatch) -> None:
    """A Python whose OpenSSL can not be reached."""

    def unavailable() -> None:
        raise openssl.Unavailable("this Python hides it")

    monkeypatch.setattr(openssl, "library", unavailable)


def test_defaults(pair: Pair, tmp_path: Path) -> None:
    context = context_of(in_server(pair), tmp_path)
    assert context.minimum_version is ssl.TLSVersion.TLSv1_2
    assert context.maximum_version is ssl.TLSVersion.TLSv1_3
    assert context.verify_mode is ssl.CERT_NONE
    assert not context.options & ssl.OP_CIPHER_SERVER_PREFERENCE
    assert context.options & ssl.OP_NO_RENEGOTIATION
    assert not context.options & ssl.OP_NO_TICKET


def test_protocols_with_a_gap(pair: Pair, tmp_path: Path) -> None:
    context = context_of(in_server(pair, "ssl_protocols TLSv1.1 TLSv1.3;"), tmp_path)
    assert context.options & ssl.OP_NO_TLSv1_2
    assert not context.options & (ssl.OP_NO_TLSv1_1 | ssl.OP_NO_TLSv1_3)


def test_ciphers_and_switches(pair: Pair, tmp_path: Path) -> None:
    text = in_server(
        pair,
        "ssl_ciphers ECDHE-RSA-AES128-GCM-SHA256;",
        "ssl_prefer_server_ciphers on;",
        "ssl_session_tickets off;",
        "ssl_ecdh_curve X25519:P-256:secp384r1;",
        "ssl_conf_command Ciphersuites TLS_AES_128_GCM_SHA256;",
        "ssl_session_cache shared:SSL:10m;",
        "ssl_session_timeout 1d;",
        "ssl_buffer_size 4k;",
        "ssl_early_data on;",
        "ssl_ocsp off;",
        "ssl_certificate_cache max=100 inactive=20s valid=1m;",
    )
    assert mistakes(text, tmp_path) == []
    context = context_of(text, tmp_path)
    assert {each["name"] for each in context.get_ciphers()} == {"TLS_AES_128_GCM_SHA256", "ECDHE-RSA-AES128-GCM-SHA256"}
    assert context.options & ssl.OP_CIPHER_SERVER_PREFERENCE
    assert context.options & ssl.OP_NO_TICKET


def test_servers_with_the_same_settings_share_a_context(pair: Pair, tmp_path: Path) -> None:
    text = f"""
        ssl_certificate {pair.certificate}; ssl_certificate_key {pair.key};
        server {{ listen 127.0.0.1:8443 ssl; server_name a; }}
        server {{ listen 127.0.0.1:8443 ssl; server_name b; }}
        server {{ listen 127.0.0.1:8443 ssl; server_name c; ssl_verify_depth 3; }}
        """
    servers = compiled(f"events {{ }} http {{ {text} }}", tmp_path).servers
    one, two, three = (server.tls.context for server in servers)
    assert one is two
    assert one is not three


@pytest.mark.parametrize(
    ("directive", "message"),
    [
        ("ssl_ciphers none-such;", 'SSL_CTX_set_cipher_list("none-such") failed'),
        ("ssl_ecdh_curve none;", 'SSL_CTX_set1_curves_list("none") failed'),
        ("ssl_conf_command None x;", 'SSL_CONF_cmd("None", "x") failed'),
        ("ssl_dhparam /none;", 'BIO_new_file("/none") failed (2: No such file or directory)'),
        ("ssl_crl /none;", 'cannot load CRL "/none": BIO_new_file() failed'),
        ("ssl_trusted_certificate /none;", 'cannot load certificate "/none": BIO_new_file() failed'),
        ("ssl_verify_client on;", "no ssl_client_certificate or ssl_trusted_certificate for ssl_verify_client"),
        ("ssl_verify_client maybe;", 'invalid value "maybe"'),
        ("ssl_protocols TLSv9;", 'invalid value "TLSv9"'),
        ("ssl_session_cache shared;", 'invalid session cache "shared"'),
        ("ssl_session_cache shared:SSL;", 'invalid session cache "shared:SSL"'),
        ("ssl_session_cache shared:SSL:x;", 'invalid session cache "shared:SSL:x"'),
        ("ssl_session_cache builtin:x;", 'invalid session cache "builtin:x"'),
        ("ssl_session_cache shared:SSL:1k;", 'session cache "shared:SSL:1k" is too small'),
        ("ssl_session_ticket_key /none;", 'open() "/none" failed (2: No such file or directory)'),
        ("ssl_password_file /none;", 'open() "/none" failed (2: No such file or directory)'),
        ("ssl_certificate_cache valid=1m;", '"ssl_certificate_cache" must have the "max" parameter'),
        ("ssl_certificate_cache max=0;", '"ssl_certificate_cache" must have the "max" parameter'),
        ("ssl_certificate_cache max=x;", 'invalid parameter "max=x"'),
        ("ssl_ocsp on;", '"ssl_ocsp" is not supported'),
    ],
)
def test_mistakes(server, directive: str, message: str) -> None:
    (told,) = server(directive)
    assert told.startswith(message)


def test_an_address_without_a_certificate(tmp_path: Path, pair: Pair) -> None:
    message = 'no "ssl_certificate" is defined for the "listen ... ssl" directive'
    assert mistakes("server { listen 127.0.0.1:8443 ssl; }", tmp_path) == [message]
    rejecting = "server { listen 127.0.0.1:8443 ssl; ssl_reject_handshake on; }"
    assert mistakes(rejecting, tmp_path) == []
    named = "server { listen 127.0.0.1:8443 ssl; server_name a; }"
    assert mistakes(rejecting + named, tmp_path) == [message]
    assert mistakes(in_server(pair) + named, tmp_path) == []


def test_files_that_are_not_what_they_should_be(tmp_path: Path, authority: Authority, pair: Pair) -> None:
    junk = tmp_path / "junk"
    junk.write_text("nothing of use")
    other = authority.issue("other.test").key
    sealed = tmp_path / "sealed.key"
    key = serialization.load_pem_private_key(pair.key.read_bytes(), None)
    sealed.write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.BestAvailableEncryption(b"word"),
        )
    )

    def told(certificate: object, key: object, more: str = "") -> str:
        text = (
            f"server {{ listen 127.0.0.1:8443 ssl; ssl_certificate {certificate}; ssl_certificate_key {key}; {more} }}"
        )
        (message,) = mistakes(text, tmp_path)
        return message

    assert told("/none", pair.key).startswith('cannot load certificate "/none": BIO_new_file() failed (2: No such file')
    assert told(pair.certificate, "/none").startswith('cannot load certificate key "/none": BIO_new_file() failed (2: ')
    assert told(junk, pair.key).startswith(f'cannot load certificate "{junk}": PEM_read_bio_X509_AUX() failed')
    assert told(pair.certificate, junk).startswith(f'cannot load certificate key "{junk}": PEM_read_bio_PrivateKey()')
    assert told(pair.certificate, other).startswith(f'SSL_CTX_use_PrivateKey("{other}") failed')
    assert told(pair.certificate, sealed).startswith(f'cannot load certificate key "{sealed}": PEM_read_bio_PrivateKey')
    assert told(pair.certificate, "engine:x:y").endswith('loading "engine:..." certificate keys is not supported')
    bad = tmp_path / "key"
    bad.write_bytes(b"x" * 47)
    assert told(pair.certificate, pair.key, f"ssl_session_ticket_key {bad};") == f'"{bad}" must be 48 or 80 bytes'


def test_a_key_for_each_certificate(tmp_path: Path, pair: Pair) -> None:
    text = in_server(pair, "ssl_certificate second.crt;")
    assert mistakes(text, tmp_path) == ['no "ssl_certificate_key" is defined for certificate "second.crt"']


def test_each_error_stands_at_its_line(tmp_path: Path, pair: Pair) -> None:
    from penstock.config.errors import ConfigFailed

    text = in_server(pair, "ssl_certificate /none;", f"ssl_certificate_key {pair.key};")
    with pytest.raises(ConfigFailed) as failed:
        compiled("events { }\nhttp {\n" + text + "\n}", tmp_path)
    (problem,) = failed.value.problems
    assert problem.span is not None
    assert problem.span.text == "ssl_certificate /none"


def test_passwords_are_tried_in_turn(tmp_path: Path, pair: Pair) -> None:
    key = serialization.load_pem_private_key(pair.key.read_bytes(), None)
    sealed = tmp_path / "sealed.key"
    sealed.write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.TraditionalOpenSSL,
            serialization.BestAvailableEncryption(b"third word"),
        )
    )
    words = tmp_path / "words"
    words.write_bytes(b"first\r\n\nsecond\nthird word\n")
    text = f"""
        ssl_password_file words;
        server {{ listen 127.0.0.1:8443 ssl; ssl_certificate {pair.certificate}; ssl_certificate_key {sealed}; }}
        """
    assert mistakes(text, tmp_path) == []


def test_the_old_switch_is_for_all_addresses_of_the_server(tmp_path: Path, pair: Pair) -> None:
    text = in_server(pair, "ssl on; listen 127.0.0.1:8444;") + "server { listen 127.0.0.1:8445; }"
    plan = compiled(f"events {{ }} http {{ {text} }}", tmp_path)
    assert {listen.address[1]: listen.options.ssl for listen in plan.listens} == {8443: True, 8444: True, 8445: False}
    assert [problem.message for problem in plan.problems] == [
        'the "ssl" directive is deprecated, use the "listen ... ssl" directive instead'
    ]


def test_clients_are_asked(tmp_path: Path, pair: Pair, authority: Authority) -> None:
    text = in_server(pair, f"ssl_verify_client optional; ssl_client_certificate {authority.certificate};")
    context = context_of(text, tmp_path)
    assert context.verify_mode is ssl.CERT_OPTIONAL
    assert len(context.get_ca_certs()) == 1


def test_a_revocation_list_is_used(tmp_path: Path, pair: Pair, authority: Authority) -> None:
    text = in_server(
        pair,
        f"ssl_verify_client on; ssl_client_certificate {authority.certificate}; ssl_crl {authority.revocations()};",
    )
    assert context_of(text, tmp_path).verify_flags & ssl.VERIFY_CRL_CHECK_CHAIN == ssl.VERIFY_CRL_CHECK_CHAIN


@pytest.mark.usefixtures("out_of_reach")
def test_what_is_left_where_openssl_is_out_of_reach(tmp_path: Path, pair: Pair, authority: Authority, server) -> None:
    trust = f"ssl_client_certificate {authority.certificate};"
    assert server() == []
    assert server("ssl_ecdh_curve none:P-256;") == []
    assert server("ssl_conf_command Options Bugs;") == ["SSL_CONF_cmd() is not available on this platform"]
    (told,) = server("ssl_verify_client on;", trust)
    assert told.startswith("clients whose certificates do not verify are turned away in the handshake")
    assert server("ssl_verify_client optional_no_ca;") == ['"ssl_verify_client optional_no_ca" is not possible here']
    (told,) = server("ssl_session_timeout 1h;")
    assert told == "sessions are kept as Python's ssl keeps them: this Python hides it"
    context = context_of(in_server(pair, "ssl_verify_client on;", trust), tmp_path)
    assert context.verify_mode is ssl.CERT_OPTIONAL


def test_trust_is_what_tells_hosts_apart(tmp_path: Path, pair: Pair, authority: Authority) -> None:
    text = in_server(pair, f"ssl_client_certificate {authority.certificate};") + in_server(pair)
    plan = compiled(f"events {{ }} http {{ {text} }}", tmp_path)
    one, two = (server.root[ClientCertificates] for server in plan.servers)
    assert one.trust() != two.trust()

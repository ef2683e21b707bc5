"""Certificates of clients: who is let in, who is told what, and what a backend learns of it."""

import ssl
import subprocess
from urllib.parse import unquote

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.x509.oid import NameOID

from harness.certs import Authority
from harness.raw import RawClient

HOSTS = """
    http {
        error_log error.log info;
        ssl_certificate {value:crt};
        ssl_certificate_key {value:key};
        ssl_client_certificate {value:ca};
        server {
            listen 127.0.0.1:{port:front} ssl;
            server_name open.test;
            return 200 "open $ssl_client_verify";
        }
        server {
            listen 127.0.0.1:{port:front} ssl;
            server_name on.test;
            ssl_verify_client on;
            return 200 "on $ssl_client_verify";
        }
        server {
            listen 127.0.0.1:{port:front} ssl;
            server_name optional.test;
            ssl_verify_client optional;
            return 200 "optional $ssl_client_verify";
        }
        server {
            listen 127.0.0.1:{port:front} ssl;
            server_name anybody.test;
            ssl_verify_client optional_no_ca;
            return 200 "anybody $ssl_client_verify";
        }
    }
    """
ONE = """
    http {
        server {
            listen 127.0.0.1:{port:front} ssl;
            ssl_certificate {value:crt};
            ssl_certificate_key {value:key};
            ssl_client_certificate {value:ca};
            ssl_verify_client on;
            %s
        }
    }
    """


@pytest.fixture(scope="module")
def strangers(tmp_path_factory) -> Authority:
    """An authority that nobody here trusts."""
    return Authority(tmp_path_factory.mktemp("strangers"), "Strangers")


@pytest.fixture
def start(proxy, authority):
    """Starts the server of a configuration; `ca` is the authority clients must be signed by."""
    pair = authority.issue("localhost")

    def begin(text: str, **values):
        return proxy(text, values={"crt": pair.certificate, "key": pair.key, "ca": authority.certificate, **values})

    return begin


def as_client(pair=None) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    if pair is not None:
        context.load_cert_chain(pair.certificate, pair.key)
    return context


def ask(front, context: ssl.SSLContext, name: str | None, host: str | None = None, session=None):
    """One request; `name` goes by SNI, `host` (or the same) in the head."""
    with RawClient(front.port()) as client:
        client.socket = context.wrap_socket(client.socket, server_hostname=name, session=session)
        client.send(f"GET / HTTP/1.1\r\nHost: {host or name}\r\nConnection: close\r\n\r\n")
        return client.response()


@pytest.mark.parametrize("version", ["TLSv1_2", "TLSv1_3"])
def test_who_is_let_in(start, authority, strangers, version) -> None:
    front = start(HOSTS)
    contexts = {
        "nobody": as_client(),
        "friend": as_client(authority.issue_client("friend")),
        "stranger": as_client(strangers.issue_client("stranger")),
        "late": as_client(authority.issue_client("late", days=-1)),
    }
    for context in contexts.values():
        context.minimum_version = context.maximum_version = ssl.TLSVersion[version]
    answers = {
        (who, host): ask(front, context, f"{host}.test")
        for who, context in contexts.items()
        for host in ("open", "on", "optional", "anybody")
    }
    texts = {key: answer.text for key, answer in answers.items() if answer.status == 200}
    assert texts == {
        ("nobody", "open"): "open NONE",
        ("friend", "open"): "open NONE",
        ("stranger", "open"): "open NONE",
        ("late", "open"): "open NONE",
        ("friend", "on"): "on SUCCESS",
        ("nobody", "optional"): "optional NONE",
        ("friend", "optional"): "optional SUCCESS",
        ("nobody", "anybody"): "anybody NONE",
        ("friend", "anybody"): "anybody SUCCESS",
        ("stranger", "anybody"): texts["stranger", "anybody"],
    }
    assert texts["stranger", "anybody"].startswith("anybody FAILED:")
    assert {answer.status for answer in answers.values()} == {200, 400}
    assert "No required SSL certificate was sent" in answers["nobody", "on"].text
    assert "The SSL certificate error" in answers["stranger", "on"].text
    assert "The SSL certificate error" in answers["late", "anybody"].text
    log = front.error_log()
    assert "client sent no required SSL certificate" in log
    assert "client SSL certificate verify error: (10:certificate has expired)" in log


def test_a_host_is_not_entered_through_another(start, authority) -> None:
    front = start(HOSTS)
    friend = as_client(authority.issue_client("friend"))
    for context in (as_client(), friend):
        for host in ("on", "optional", "anybody"):
            assert ask(front, context, "open.test", f"{host}.test").status == 421
        assert ask(front, context, "optional.test", "on.test").status == 421
        assert ask(front, context, "on.test", "open.test").status == 200
        assert ask(front, context, "unknown.test", "open.test").status == 200
    assert "different from the one that was negotiated" in front.error_log()


def test_without_a_name_nobody_is_known(start, authority) -> None:
    """The default server asks for nothing: a certificate that was never shown opens no door."""
    front = start(HOSTS)
    friend = as_client(authority.issue_client("friend"))
    assert ask(front, friend, None, "on.test").status == 400
    assert ask(front, friend, None, "optional.test").text == "optional NONE"
    assert ask(front, friend, None, "open.test").text == "open NONE"


def test_another_servers_trust_is_not_ours(start, authority, strangers) -> None:
    """Without SNI the default server's authorities have judged. Where they are not those of the server that is asked,
    their word counts for nothing."""
    front = start(
        """
        http {
            ssl_certificate {value:crt}; ssl_certificate_key {value:key};
            ssl_verify_client on;
            server {
                listen 127.0.0.1:{port:front} ssl; server_name first.test;
                ssl_client_certificate {value:strangers};
                return 200 first;
            }
            server {
                listen 127.0.0.1:{port:front} ssl; server_name second.test;
                ssl_client_certificate {value:ca};
                return 200 second;
            }
            server {
                listen 127.0.0.1:{port:front} ssl; server_name third.test;
                ssl_client_certificate {value:strangers};
                return 200 third;
            }
        }
        """,
        strangers=strangers.certificate,
    )
    stranger = as_client(strangers.issue_client("stranger"))
    assert ask(front, stranger, None, "first.test").text == "first"
    assert ask(front, stranger, None, "second.test").status == 421
    assert ask(front, stranger, None, "third.test").text == "third"
    assert ask(front, stranger, "second.test").status == 400


def test_what_was_refused_is_not_resumed(start, strangers) -> None:
    front = start(HOSTS)
    stranger = as_client(strangers.issue_client("stranger"))
    stranger.maximum_version = ssl.TLSVersion.TLSv1_2
    with RawClient(front.port()) as client:
        client.socket = stranger.wrap_socket(client.socket, server_hostname="on.test")
        assert client.send("GET / HTTP/1.1\r\nHost: on.test\r\n\r\n").response().status == 400
        session = client.socket.session
    assert ask(front, stranger, "on.test", session=session).status == 400
    try:
        assert ask(front, stranger, "optional.test", session=session).status == 400
        assert ask(front, stranger, "open.test", "on.test", session=session).status == 421
    except ssl.SSLError:
        pass  # a session of another host may as well be refused


def test_a_good_session_keeps_its_certificate(start, authority) -> None:
    front = start(ONE % 'return 200 "$ssl_session_reused $ssl_client_verify $ssl_client_s_dn";')
    friend = as_client(authority.issue_client("friend"))
    friend.maximum_version = ssl.TLSVersion.TLSv1_2
    with RawClient(front.port()) as client:
        client.socket = friend.wrap_socket(client.socket, server_hostname="localhost")
        assert client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n").response().text == ". SUCCESS CN=friend"
        session = client.socket.session
    assert ask(front, friend, "localhost", session=session).text == "r SUCCESS CN=friend"


def test_error_pages_of_their_own(start) -> None:
    front = start(
        ONE % "error_page 495 496 =403 /who; location = /who { return 403 $ssl_client_verify; } location / { }"
    )
    answer = ask(front, as_client(), "localhost")
    assert (answer.status, answer.text) == (403, "NONE")


def test_revoked(start, authority) -> None:
    good, bad = authority.issue_client("good"), authority.issue_client("bad")
    front = start(ONE % "ssl_crl {value:crl}; return 200 $ssl_client_verify;", crl=authority.revocations(bad))
    assert ask(front, as_client(good), "localhost").text == "SUCCESS"
    assert ask(front, as_client(bad), "localhost").status == 400


KEPT = {
    "zone": "ssl_session_cache shared:kept:1m;",
    "key": "ssl_session_ticket_key ticket.key;",
}


def _session(front, context: ssl.SSLContext):
    """The session of a client that has been let in."""
    with RawClient(front.port()) as client:
        client.socket = context.wrap_socket(client.socket, server_hostname="localhost")
        assert client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n").response().text == ". SUCCESS"
        return client.socket.session


@pytest.mark.parametrize("version", ["TLSv1_2", "TLSv1_3"])
@pytest.mark.parametrize("kept", KEPT)
@pytest.mark.parametrize("replaced", ["ca", "trusted", "crl", "certificate", "nothing"])
def test_a_session_ends_with_what_it_was_based_on(proxy, tmp_path, version, kept, replaced) -> None:
    """The files are replaced under their names, and the configuration is read again."""
    old, new = (Authority(tmp_path / name, name) for name in ("old", "new"))
    pair, friend = old.issue("localhost"), old.issue_client("friend")
    files = {
        "server.crt": pair.certificate.read_bytes(),
        "server.key": pair.key.read_bytes(),
        "ca.pem": old.certificate.read_bytes(),
        "trusted.pem": old.certificate.read_bytes(),
        "list.crl": old.revocations(old.issue_client("another")).read_bytes(),
        "ticket.key": bytes(80),
    }
    names = {"ca": "ssl_client_certificate ca.pem;", "trusted": "ssl_trusted_certificate trusted.pem;"}
    trust = names.get(replaced, names["ca"]) + ("ssl_crl list.crl;" if replaced == "crl" else "")
    front = proxy(
        f"""
        http {{
            server {{
                listen 127.0.0.1:{{port:front}} ssl;
                ssl_certificate server.crt; ssl_certificate_key server.key;
                ssl_verify_client on; {trust} {KEPT[kept]}
                return 200 "$ssl_session_reused $ssl_client_verify";
            }}
        }}
        """,
        files=files,
    )
    context = as_client(friend)
    context.minimum_version = context.maximum_version = ssl.TLSVersion[version]
    session = _session(front, context)
    assert ask(front, context, "localhost", session=session).text == "r SUCCESS"
    renewed = old.issue("localhost", "renewed.test")
    changes = {
        "ca": {"ca.pem": new.certificate},
        "trusted": {"trusted.pem": new.certificate},
        "crl": {"list.crl": old.revocations(friend)},
        "certificate": {"server.crt": renewed.certificate, "server.key": renewed.key},
        "nothing": {},
    }
    for name, path in changes[replaced].items():
        front.write(name, path.read_bytes())
    front.reload()
    again = ask(front, context, "localhost", session=session)
    if replaced == "nothing":
        assert again.text == "r SUCCESS"
    elif replaced == "certificate":
        assert again.text == ". SUCCESS"
    else:
        assert again.status == 400


def test_depth(start, authority) -> None:
    front = start(ONE % "ssl_verify_depth 0; return 200 $ssl_client_verify;")
    assert ask(front, as_client(authority.issue_client("friend")), "localhost").status == 200


def test_authorities_are_named_and_trusted_ones_are_not(start, authority, strangers) -> None:
    front = start(
        ONE % "ssl_trusted_certificate {value:more}; return 200 $ssl_client_verify;", more=strangers.certificate
    )
    assert ask(front, as_client(strangers.issue_client("stranger")), "localhost").text == "SUCCESS"
    told = subprocess.run(
        ["openssl", "s_client", "-connect", f"127.0.0.1:{front.port()}"],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=10,
    ).stdout
    names = told.partition("Acceptable client certificate CA names")[2]
    assert "Penstock test authority" in names
    assert "Strangers" not in names


def test_variables(start, authority) -> None:
    names = ("cert", "raw_cert", "escaped_cert", "s_dn", "i_dn", "s_dn_legacy", "i_dn_legacy", "serial", "fingerprint",
             "verify", "v_start", "v_end", "v_remain")  # fmt: skip
    text = "\x1f".join(f"$ssl_client_{name}" for name in names)
    front = start(ONE % f'return 200 "{text}";')
    pair = authority.issue_client("friend of ours")
    told = dict(zip(names, ask(front, as_client(pair), "localhost").text.split("\x1f"), strict=True))
    certificate = x509.load_pem_x509_certificate(pair.certificate.read_bytes())
    assert told["s_dn"] == certificate.subject.rfc4514_string()
    assert told["i_dn"] == certificate.issuer.rfc4514_string()
    issuer = certificate.issuer.get_attributes_for_oid(NameOID.COMMON_NAME)[0].value
    assert told["s_dn_legacy"] == "/CN=friend of ours"
    assert told["i_dn_legacy"] == f"/CN={issuer}"
    assert int(told["serial"], 16) == certificate.serial_number
    assert told["fingerprint"] == certificate.fingerprint(hashes.SHA1()).hex()
    assert told["verify"] == "SUCCESS"
    assert told["v_start"] == f"{certificate.not_valid_before_utc:%b %e %H:%M:%S %Y} GMT"
    assert told["v_end"] == f"{certificate.not_valid_after_utc:%b %e %H:%M:%S %Y} GMT"
    assert told["v_remain"] == "9"
    pem = pair.certificate.read_text().partition("-----END CERTIFICATE-----\n")
    whole = pem[0] + pem[1]
    assert told["raw_cert"] == whole
    assert told["cert"] == whole.rstrip("\n").replace("\n", "\n\t")
    assert unquote(told["escaped_cert"]) == whole
    assert "\n" not in told["escaped_cert"]


def test_a_backend_is_told(start, proxy, authority, http_backend) -> None:
    front = start(
        ONE
        % """
        location / {
            proxy_set_header X-Client "$ssl_client_s_dn";
            proxy_set_header X-Cert $ssl_client_escaped_cert;
            proxy_pass http://127.0.0.1:{value:api};
        }
        """,
        api=http_backend.port,
    )
    pair = authority.issue_client("friend")
    assert ask(front, as_client(pair), "localhost").status == 200
    assert http_backend.requests[0].header("X-Client") == "CN=friend"
    assert unquote(http_backend.requests[0].header("X-Cert")) in pair.certificate.read_text()


def test_plain_connections_are_not_asked(start) -> None:
    front = start(ONE.replace("ssl;", "ssl; listen 127.0.0.1:{port:plain};") % 'return 200 "[$ssl_client_verify]";')
    assert front.get("/", port="plain").text == "[]"


@pytest.mark.parametrize("version", ["1.1", "2"])
@pytest.mark.parametrize("pool", ["", "keepalive 4;"])
def test_a_kept_connection_to_a_backend_ends_with_what_it_was_judged_by(proxy, tmp_path, version, pool) -> None:
    old, new = (Authority(tmp_path / name, name) for name in ("old", "new"))
    pair = old.issue("localhost")
    text = f"""
        http {{
            upstream app {{ server 127.0.0.1:{{port:app}}; {pool} }}
            server {{
                listen 127.0.0.1:{{port:app}} ssl;
                http2 on;
                ssl_certificate {pair.certificate}; ssl_certificate_key {pair.key};
                return 200 "$connection";
            }}
            server {{
                listen 127.0.0.1:{{port:front}};
                location / {{
                    proxy_http_version {version};
                    proxy_set_header Connection "";
                    proxy_ssl_verify on; proxy_ssl_name localhost; proxy_ssl_trusted_certificate trusted.pem;
                    proxy_pass https://app;
                }}
            }}
        }}
        """
    front = proxy(text, files={"trusted.pem": old.certificate.read_bytes()})
    first = front.get("/", port="front")
    assert (first.status, front.get("/", port="front").text) == (200, first.text)
    front.reload()
    if version == "1.1":  # over HTTP/2 the backend says goodbye at its reload
        assert front.get("/", port="front").text == first.text
    front.write("trusted.pem", new.certificate.read_bytes())
    front.reload()
    assert front.get("/", port="front").status == 502

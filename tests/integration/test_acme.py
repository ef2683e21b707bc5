"""Certificates that are ordered by Penstock itself, from a real authority (Debian's pebble)."""

import base64
import json
import os
import socket
import ssl
import stat
from collections.abc import Callable, Iterator
from contextlib import ExitStack

import pytest
from cryptography import x509
from websockets.sync.client import connect

from harness.pebble import Pebble, missing
from harness.ports import free_port
from harness.renewal_info import RenewalInfo
from harness.waiting import eventually

pytestmark = pytest.mark.skipif(missing() is not None, reason=missing() or "")

SERVERS = """
    events {{ }}
    http {{
        acme_issuer pebble {{
            uri {uri};
            contact admin@example.test;
            ssl_trusted_certificate {trusted};
            state_path {{dir}}/state;
            accept_terms_of_service;
            challenge {challenge};
        }}
        server {{
            listen 127.0.0.1:{{port:tls}} ssl;
            server_name chat.example.test www.example.test;
            acme_certificate pebble;
            ssl_certificate $acme_certificate;
            ssl_certificate_key $acme_certificate_key;
            location / {{ return 200 secure; }}
            location /ws {{ proxy_pass http://127.0.0.1:{backend}; websocket auto; }}
        }}
        server {{ listen 127.0.0.1:{{port:http}}; server_name _; return 301 https://$host$request_uri; }}
    }}
"""


@pytest.fixture
def ports() -> dict[str, int]:
    return {"tls": free_port(), "http": free_port()}


@pytest.fixture
def pebble(ports: dict[str, int]) -> Iterator[Pebble]:
    with Pebble(ports["http"], ports["tls"]) as authority:
        yield authority


def configuration(pebble: Pebble, challenge: str = "http-01", backend: int = 1) -> str:
    trusted = pebble.authority.certificate
    return SERVERS.format(uri=pebble.uri, trusted=trusted, challenge=challenge, backend=backend)


def shown(port: int, name: str) -> x509.Certificate:
    """The certificate that is shown for a name, whoever vouches for it."""
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    with (
        socket.create_connection(("127.0.0.1", port), 20) as plain,
        context.wrap_socket(plain, server_hostname=name) as tls,
    ):
        der = tls.getpeercert(True)
    assert der is not None
    return x509.load_der_x509_certificate(der)


def names(certificate: x509.Certificate) -> set[str]:
    found = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName)
    return set(found.value.get_values_for_type(x509.DNSName))


def issued(port: int) -> Callable[[], x509.Certificate | None]:
    def look() -> x509.Certificate | None:
        found = shown(port, "chat.example.test")
        return found if "Pebble" in found.issuer.rfc4514_string() else None

    return look


@pytest.mark.parametrize("challenge", ["http-01", "tls-alpn-01"])
def test_a_certificate_for_several_names_comes_and_is_trusted(proxy, pebble: Pebble, ports, challenge: str) -> None:
    server = proxy(configuration(pebble, challenge), ports=ports)
    first = eventually(issued(ports["tls"]), 60, why="the certificate has come")
    assert names(first) == {"chat.example.test", "www.example.test"}
    # Everything else at port 80 goes on as ever, and there is nothing to be had of a challenge that nobody poses.
    path = "/.well-known/acme-challenge/none"
    assert server.get(path, port="http").status == 301
    state = server.directory / "state"
    for path in state.iterdir():
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(state.stat().st_mode) == 0o700
    context = ssl.create_default_context(cadata=pebble.root())
    with (
        socket.create_connection(("127.0.0.1", ports["tls"]), 20) as plain,
        context.wrap_socket(plain, server_hostname="www.example.test") as tls,
    ):
        tls.sendall(b"GET / HTTP/1.1\r\nHost: www.example.test\r\nConnection: close\r\n\r\n")
        assert b"secure" in b"".join(iter(lambda: tls.recv(4096), b""))


def test_the_address_answers_from_the_start_with_a_certificate_that_nobody_trusts(proxy, ports) -> None:
    """While the authority is away, the log says so, and when the next try is."""
    with Pebble(ports["http"], ports["tls"]) as pebble:
        text = configuration(pebble)
        pebble.stop()
        server = proxy(text, ports=ports, expect=[r"no certificate from pebble"])
        assert names(shown(ports["tls"], "chat.example.test")) == {"chat.example.test", "www.example.test"}
        said = eventually(lambda: "no certificate from pebble" in server.error_log() and server.error_log(), 30)
        assert "can not be reached" in said and "there is none yet, next try in" in said


def test_nonces_that_are_called_bad_hold_nothing_up(proxy, ports) -> None:
    """The authority does so with every third one, several of them in a row."""
    with Pebble(ports["http"], ports["tls"], refuse_nonces=33) as pebble:
        server = proxy(configuration(pebble), ports=ports)
        eventually(issued(ports["tls"]), 60, why="the certificate has come")
        assert "no certificate from pebble" not in server.error_log()


@pytest.mark.skipif(not os.environ.get("PENSTOCK_SOAK"), reason="takes a minute: make soak")
def test_a_certificate_that_is_kept_is_not_ordered_again(proxy, pebble: Pebble, ports) -> None:
    server = proxy(configuration(pebble), ports=ports)
    first = eventually(issued(ports["tls"]), 60)
    server.stop()
    pebble.stop()
    again = proxy(configuration(pebble), ports=ports, directory=server.directory)
    assert shown(ports["tls"], "chat.example.test").serial_number == first.serial_number
    assert again.error_log().count("ordering a certificate") <= 1


@pytest.mark.skipif(not os.environ.get("PENSTOCK_SOAK"), reason="takes a minute: make soak")
def test_an_account_that_is_refused_gives_way_to_another_one(proxy, pebble: Pebble, ports) -> None:
    server = proxy(configuration(pebble), ports=ports)
    eventually(issued(ports["tls"]), 60)
    server.stop()
    for path in (server.directory / "state").glob("chat*"):
        path.unlink()
    pebble.stop()
    pebble.start()  # it knows nobody any more
    key = (server.directory / "state" / "account.key").read_bytes()
    proxy(configuration(pebble), ports=ports, directory=server.directory)
    eventually(issued(ports["tls"]), 60)
    assert (server.directory / "state" / "account.key").read_bytes() != key
    assert json.loads((server.directory / "state" / "account.json").read_text())["uri"].startswith("https://")


@pytest.mark.skipif(not os.environ.get("PENSTOCK_SOAK"), reason="takes a minute: make soak")
def test_a_renewal_touches_no_tunnel(proxy, ports, ws_backend) -> None:
    """It is renewed at two thirds of its time."""
    with Pebble(ports["http"], ports["tls"], seconds=12) as pebble:
        proxy(configuration(pebble, backend=ws_backend.port), ports=ports)
        first = eventually(issued(ports["tls"]), 60)
        context = ssl.create_default_context()
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        with ExitStack() as stack:
            uri = f"wss://chat.example.test:{ports['tls']}/ws"
            clients = []
            for _ in range(20):
                plain = socket.create_connection(("127.0.0.1", ports["tls"]), 20)
                clients.append(stack.enter_context(connect(uri, sock=plain, ssl=context, open_timeout=30)))

            def renewed() -> bool:
                found = issued(ports["tls"])()
                return found is not None and found.serial_number != first.serial_number

            eventually(renewed, 90, every=0.3, why="another one has come")
            for number, client in enumerate(clients):
                client.send(f"still {number}")
                assert client.recv(30) == f"still {number}"


def test_a_certificate_is_renewed_when_the_authority_suggests_it(proxy, ports) -> None:
    """RFC 9773: the first one long before its time; the next one has a window far ahead."""
    windows = [("2020-01-01T00:00:00Z", "2020-01-02T00:00:00Z"), ("2199-01-01T00:00:00Z", "2199-01-02T00:00:00Z")]
    with Pebble(ports["http"], ports["tls"], seconds=200) as pebble, RenewalInfo(pebble, windows) as info:
        text = configuration(pebble).replace(pebble.uri, info.uri)
        server = proxy(text, ports=ports)
        eventually(lambda: server.error_log().count("a certificate for chat.example.test") == 2, 60, why="another one")
        eventually(lambda: len(set(info.asked)) == 2, 30, why="it was asked for that one as well")
        shows = lambda: certificate_id(shown(ports["tls"], "chat.example.test"))  # noqa: E731
        eventually(lambda: shows() == info.asked[-1], 30, why="it is shown, and was asked for by its own name")
        assert server.error_log().count("ordering a certificate") == 2


def certificate_id(certificate: x509.Certificate) -> str:
    """How it is named in questions (RFC 9773, section 4.1): its issuer's key and its number, DER, without padding."""
    key = certificate.extensions.get_extension_for_class(x509.AuthorityKeyIdentifier).value.key_identifier or b""
    number = certificate.serial_number
    parts = key, number.to_bytes(number.bit_length() // 8 + 1, "big")
    return ".".join(base64.urlsafe_b64encode(part).decode().rstrip("=") for part in parts)


def test_what_can_not_be_ordered_is_refused_with_advice(proxy) -> None:
    head = "events {{ }} http {{ acme_issuer a {{ uri https://a.test/; {line} }}"
    head += " server {{ listen 127.0.0.1:{{port:t}} ssl;"
    tail = " acme_certificate {args}; ssl_certificate $acme_certificate; ssl_certificate_key $acme_certificate_key;"
    tail += " }} }}"
    for line, args, words in (
        ("", "a *.example.test", "dns-01"),
        ("", "a", "add server_name"),
        ("", "b example.test", 'unknown acme_issuer "b"'),
        ("challenge dns-01;", "a example.test", "certbot or lego"),
        ("state_path off;", "a example.test", "name a folder"),
        ("uri http://b.test/;", "a example.test", "duplicate"),
    ):
        assert words in proxy.check((head + tail).format(line=line, args=args)).output

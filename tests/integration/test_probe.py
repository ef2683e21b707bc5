"""`penstock probe` against servers that are well, and against every way of being unwell: each is named."""

import json
import os
import ssl
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from harness.backends import WebSocketEcho, read_head
from harness.backends.scripted import Conversation, hold, pause, read_until_end
from harness.binary import installed
from harness.ports import free_port
from harness.programs import run
from penstock.websocket.handshake import accept_key


class Probed:
    """What a probe said: exit code, text, and (asked with --json) the steps by name."""

    def __init__(self, *arguments: str, timeout: float = 40) -> None:
        command = [*installed().command, "probe", *arguments]
        done = run(command, env={**os.environ, "COLUMNS": "140"}, timeout=timeout)
        self.code, self.text, self.errors = done.returncode, done.stdout, done.stderr
        assert "Traceback" not in self.errors, self.errors
        self.found = json.loads(self.text) if "--json" in arguments else {}
        self.steps = {step["step"]: step for step in self.found.get("steps", ())}

    def words(self, step: str) -> str:
        """All that was said of a step."""
        found = self.steps[step]
        return "\n".join([found["summary"], *found.get("details", ()), *found.get("advice", ())])


def probe(*arguments: str) -> Probed:
    return Probed("--json", *arguments)


def accepting(talk: Conversation) -> None:
    """Answer a handshake as a server should."""
    read_head(talk)
    key = next(
        line.partition(": ")[2]
        for line in talk.received.decode("latin-1").split("\r\n")
        if line.lower().startswith("sec-websocket-key")
    )
    head = "HTTP/1.1 101 x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: "
    talk.socket.sendall(f"{head}{accept_key(key)}\r\n\r\n".encode())


def context_for(pair) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(pair.certificate, pair.key)
    return context


@pytest.fixture
def tls_echo():
    """A WebSocket server with a certificate; a factory."""
    started = []

    def start(pair) -> WebSocketEcho:
        started.append(WebSocketEcho(tls=context_for(pair)))
        return started[-1]

    yield start
    for each in started:
        each.close()


# Well


def test_a_healthy_server(ws_backend) -> None:
    found = probe(f"ws://localhost:{ws_backend.port}/chat", "--idle", "1s")
    assert found.code == 0
    assert list(found.steps) == ["dns", "tcp", "handshake", "ping", "echo", "idle"]
    assert {step["verdict"] for step in found.steps.values()} <= {"ok", "warn"}
    assert found.steps["echo"]["echo"] is True
    assert found.steps["idle"]["alive"] is True
    assert "permessage-deflate" in found.steps["handshake"]["compression"]
    assert ws_backend.handshakes[0][1]["Origin"] == f"http://localhost:{ws_backend.port}"


def test_a_person_reads_what_happened(ws_backend) -> None:
    found = Probed(f"localhost:{ws_backend.port}/chat", "-v", "-H", "Authorization: Bearer secret")
    assert found.code == 0
    assert "ok    handshake" in found.text
    assert "> GET /chat HTTP/1.1" in found.text
    assert "< HTTP/1.1 101" in found.text
    assert "secret" not in found.text
    assert "\x1b" not in found.text
    assert ws_backend.handshakes[0][1]["Authorization"] == "Bearer secret"


def test_what_is_offered_and_chosen() -> None:
    with WebSocketEcho(subprotocols=["chat"], compression=None) as backend:
        url = f"ws://127.0.0.1:{backend.port}/"
        assert probe(url, "--protocol", "other,chat").steps["handshake"]["subprotocol"] == "chat"
    with WebSocketEcho() as backend:
        found = probe(f"ws://127.0.0.1:{backend.port}/", "--no-compression")
        assert found.steps["handshake"]["compression"] is None
        assert "Sec-WebSocket-Extensions" not in backend.handshakes[0][1]


def test_a_server_that_chooses_no_subprotocol(ws_backend) -> None:
    found = probe(f"ws://127.0.0.1:{ws_backend.port}/", "--protocol", "graphql-ws")
    assert found.steps["handshake"]["verdict"] == "warn"
    assert found.code == 0
    assert probe(f"ws://127.0.0.1:{ws_backend.port}/", "--protocol", "graphql-ws", "--strict").code == 1


def test_a_server_that_does_not_echo_is_no_fault() -> None:
    with WebSocketEcho(handler=lambda connection: [connection.send("yes?") for _ in connection]) as backend:
        found = probe(f"ws://127.0.0.1:{backend.port}/", "--timeout", "3s")
    assert found.code == 0
    assert found.steps["echo"]["verdict"] == "note"
    assert "yes?" in found.words("echo")


def test_socket_io_is_left_alone(raw_backend) -> None:
    greeting = b'0{"sid":"abc","upgrades":[],"pingInterval":25000,"pingTimeout":20000}'
    server = raw_backend([accepting, b"\x81" + bytes([len(greeting)]) + greeting, answer_pings])
    found = probe(f"ws://127.0.0.1:{server.port}/socket.io/?EIO=4&transport=websocket")
    assert found.steps["echo"]["speaks"] == "socket.io"


def answer_pings(talk: Conversation) -> None:
    """Answer pings, and nothing else, until the end."""
    while data := talk.socket.recv(1000):
        if data[0] == 0x89:
            mask, payload = data[2:6], data[6 : 6 + (data[1] & 0x7F)]
            plain = bytes(byte ^ mask[at & 3] for at, byte in enumerate(payload))
            talk.socket.sendall(b"\x8a" + bytes([len(plain)]) + plain)


# Not reached


def test_a_name_without_an_address() -> None:
    found = probe(f"ws://{'a' * 64}.example/")  # no label is that long: it fails before it is looked up
    assert (found.code, found.steps["dns"]["verdict"]) == (3, "fail")


def test_nobody_listens() -> None:
    found = probe(f"ws://127.0.0.1:{free_port()}/")
    assert found.code == 4
    assert "refused" in found.words("tcp")
    assert "nothing listens" in found.words("tcp")


def test_a_port_that_accepts_and_says_nothing(raw_backend) -> None:
    server = raw_backend([hold])
    found = probe(f"ws://127.0.0.1:{server.port}/", "--timeout", "1s")
    assert found.code == 6
    assert "accepted, then silence" in found.words("handshake")


def test_the_same_over_tls(raw_backend) -> None:
    server = raw_backend([hold])
    found = probe(f"wss://127.0.0.1:{server.port}/", "--timeout", "1s")
    assert found.code == 5
    assert "not answered" in found.words("tls")


def test_a_port_that_is_not_http(raw_backend) -> None:
    server = raw_backend([b"SSH-2.0-OpenSSH_9.2\r\n", hold])
    found = probe(f"ws://127.0.0.1:{server.port}/")
    assert "not HTTP" in found.words("handshake")
    assert "SSH-2.0" in found.words("handshake")


def test_plain_where_tls_is_asked_for(http_backend) -> None:
    found = probe(f"wss://127.0.0.1:{http_backend.port}/", "--timeout", "3s")
    assert found.code == 5
    assert "speaks plain HTTP" in found.words("tls")


def test_tls_where_plain_is_asked_for(nginx, authority) -> None:
    pair = authority.issue("localhost")
    front = nginx(
        """
        http { server {
            listen 127.0.0.1:{port:front} ssl;
            ssl_certificate {value:crt}; ssl_certificate_key {value:key};
        } }
        """,
        values={"crt": pair.certificate, "key": pair.key},
    )
    found = probe(f"ws://127.0.0.1:{front.port()}/")
    assert found.code == 6
    assert found.steps["handshake"]["causes"][0]["id"] == "scheme"
    assert "wss://" in found.words("handshake")


# Certificates


def test_a_good_certificate(tls_echo, authority) -> None:
    server = tls_echo(authority.issue("localhost", days=40))
    found = probe(f"wss://localhost:{server.port}/", "--cafile", str(authority.certificate))
    assert found.code == 0
    certificate = found.steps["tls"]["certificate"]
    assert certificate["names"] == ["localhost"]
    assert certificate["days_left"] == 39
    assert "test authority" in certificate["issuer"]
    assert found.steps["tls"]["version"] == "TLSv1.3"


def test_one_that_ends_soon(tls_echo, authority) -> None:
    server = tls_echo(authority.issue("localhost", days=5))
    found = probe(f"wss://localhost:{server.port}/", "--cafile", str(authority.certificate))
    assert (found.code, found.steps["tls"]["verdict"]) == (0, "warn")
    assert "ends in 4 days" in found.words("tls")


def test_an_expired_one(tls_echo, authority) -> None:
    server = tls_echo(authority.issue("localhost", days=-3))
    url, trust = f"wss://localhost:{server.port}/", ("--cafile", str(authority.certificate))
    found = probe(url, *trust)
    assert found.code == 5
    assert "has expired, 3 days ago" in found.words("tls")
    assert "handshake" not in found.steps
    going_on = probe(url, *trust, "--insecure")
    assert (going_on.code, going_on.steps["tls"]["verdict"]) == (0, "warn")
    assert going_on.steps["echo"]["echo"] is True


def test_one_for_another_name(tls_echo, authority) -> None:
    server = tls_echo(authority.issue("example.com", "www.example.com"))
    found = probe(f"wss://localhost:{server.port}/", "--cafile", str(authority.certificate))
    assert found.code == 5
    assert "for another name: example.com, www.example.com, not localhost" in found.words("tls")


def test_expired_and_for_another_name_are_both_named(tls_echo, authority) -> None:
    server = tls_echo(authority.issue("example.com", days=-1))
    summary = probe(f"wss://localhost:{server.port}/", "--cafile", str(authority.certificate)).steps["tls"]["summary"]
    assert "expired" in summary
    assert "another name" in summary


def test_one_of_an_authority_nobody_knows(tls_echo, authority) -> None:
    server = tls_echo(authority.issue("localhost"))
    found = probe(f"wss://localhost:{server.port}/")
    assert found.code == 5
    assert "authority that this machine does not trust" in found.words("tls")
    assert "--cafile" in found.words("tls")


def test_a_self_signed_one(tls_echo, tmp_path: Path) -> None:
    server = tls_echo(self_signed(tmp_path))
    found = probe(f"wss://localhost:{server.port}/")
    assert found.code == 5
    assert found.steps["tls"]["summary"] == "the certificate is self-signed"


def self_signed(folder: Path):
    from harness.certs import Pair

    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "localhost")])
    now = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=20))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("localhost")]), critical=False)
        .sign(key, hashes.SHA256())
    )
    pair = Pair(folder / "own.crt", folder / "own.key")
    pair.certificate.write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    pair.key.write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    return pair


def test_a_certificate_of_the_client(nginx, authority, ws_backend) -> None:
    own, client = authority.issue("localhost"), authority.issue_client("somebody")
    front = nginx(
        """
        http { server {
            listen 127.0.0.1:{port:front} ssl;
            ssl_certificate {value:crt}; ssl_certificate_key {value:key};
            ssl_client_certificate {value:ca}; ssl_verify_client on;
            location / {
                proxy_pass http://127.0.0.1:{port:api};
                proxy_http_version 1.1;
                proxy_set_header Upgrade $http_upgrade;
                proxy_set_header Connection upgrade;
            }
        } }
        """,
        ports={"api": ws_backend.port},
        values={"crt": own.certificate, "key": own.key, "ca": authority.certificate},
    )
    url, trust = f"wss://localhost:{front.port('front')}/", ("--cafile", str(authority.certificate))
    found = probe(url, *trust)
    assert found.code == 6
    assert found.steps["handshake"]["causes"][0]["id"] == "client-certificate"
    assert probe(url, *trust, "--cert", str(client.certificate), "--key", str(client.key)).code == 0


def test_one_machine_of_a_name(tls_echo, authority) -> None:
    server = tls_echo(authority.issue("chat.example"))
    url, trust = f"wss://chat.example:{server.port}/", ("--cafile", str(authority.certificate))
    assert probe(url, *trust, "--at", "127.0.0.1").code == 0
    assert server.handshakes[0][1]["Host"] == f"chat.example:{server.port}"


# Refused


def test_nginx_without_upgrade(nginx, ws_backend) -> None:
    front = nginx(
        """
        http { server {
            listen 127.0.0.1:{port:front};
            location /old { proxy_pass http://127.0.0.1:{port:api}; proxy_http_version 1.0; }
            location / { proxy_pass http://127.0.0.1:{port:api}; proxy_http_version 1.1; }
        } }
        """,
        ports={"api": ws_backend.port},
        values={},
    )
    found = probe(f"ws://127.0.0.1:{front.port('front')}/ws")
    assert (found.code, found.steps["handshake"]["status"]) == (6, 426)
    assert found.steps["handshake"]["causes"][0]["id"].startswith("upgrade-lost")
    assert found.steps["handshake"]["answered_by_kind"] == "app"
    assert "proxy_set_header Upgrade" in found.words("handshake")
    old = probe(f"ws://127.0.0.1:{front.port('front')}/old")
    assert old.steps["handshake"]["causes"][0]["id"] == "http-1.0"


def test_what_nginx_itself_answers(nginx) -> None:
    front = nginx(
        """
        http { server {
            listen 127.0.0.1:{port:front};
            location /dead { proxy_pass http://127.0.0.1:{port:nobody}; }
            location = /moved { return 301 /moved/; }
        } }
        """,
        ports={"nobody": free_port()},
    )
    dead = probe(f"ws://127.0.0.1:{front.port('front')}/dead")
    assert dead.steps["handshake"]["causes"][0]["id"] == "proxy-backend"
    assert dead.steps["handshake"]["answered_by"].startswith("nginx/")
    moved = probe(f"ws://127.0.0.1:{front.port('front')}/moved")
    assert moved.steps["handshake"]["status"] == 301
    assert f"penstock probe ws://127.0.0.1:{front.port('front')}/moved/" in moved.words("handshake")
    missing = probe(f"ws://127.0.0.1:{front.port('front')}/missing")
    assert missing.steps["handshake"]["causes"][0]["id"] == "proxy-no-location"


def test_a_404_of_the_application(raw_backend) -> None:
    server = raw_backend(
        [read_head, b"HTTP/1.1 404 Not Found\r\nServer: uvicorn\r\nContent-Length: 9\r\n\r\nNot Found"]
    )
    found = probe(f"ws://127.0.0.1:{server.port}/wrong")
    assert found.steps["handshake"]["answered_by"] == "uvicorn"
    assert found.steps["handshake"]["causes"][0]["id"] == "path"


def test_a_wrong_origin() -> None:
    with WebSocketEcho(origins=[]) as backend:
        url = f"ws://localhost:{backend.port}/"
        found = probe(url)
        assert found.code == 6
        assert "not the reason, or not alone" in found.words("origin")
    with WebSocketEcho(origins=["http://localhost:" + str(free := free_port())], port=free) as backend:
        found = probe(f"ws://localhost:{free}/", "--origin", "https://evil.example")
        assert found.steps["handshake"]["status"] == 403
        assert "https://evil.example is refused, http://localhost" in found.words("origin")
        assert found.steps["origin"]["accepted"] == f"http://localhost:{free}"
        assert probe(f"ws://localhost:{free}/", "--origin", "none").steps["origin"]["accepted"]
    with WebSocketEcho(origins=[None, "https://app.example"]) as backend:
        found = probe(f"ws://localhost:{backend.port}/")
        assert "no Origin at all is accepted" in found.words("origin")
        assert "proxy_set_header Host $http_host" in found.words("origin")


def test_the_rules_of_a_proxy(proxy, ws_backend) -> None:
    front = proxy(
        """
        http { server {
            listen 127.0.0.1:{port:front};
            websocket auto;
            location / { proxy_pass http://127.0.0.1:{port:api}; websocket_origins https://app.example; }
            location /off { websocket off; }
        } }
        """,
        ports={"api": ws_backend.port},
    )
    url = f"ws://127.0.0.1:{front.port('front')}/"
    found = probe(url)
    assert found.steps["handshake"]["causes"][0]["id"] == "origins-rule"
    assert probe(url, "--origin", "https://app.example").code == 0
    assert probe(f"{url}off").steps["handshake"]["causes"][0]["id"] == "off-rule"


def test_a_wrong_accept_key(raw_backend) -> None:
    head = b"HTTP/1.1 101 x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: AAAA\r\n\r\n"
    server = raw_backend([read_head, head, hold])
    found = probe(f"ws://127.0.0.1:{server.port}/")
    assert found.code == 6
    assert "does not answer the key" in found.words("handshake")


def test_an_answer_cannot_write_on_the_terminal(raw_backend) -> None:
    evil = b"HTTP/1.1 400 \x1b[2Jx\r\nServer: \x1b]0;owned\x07\r\nContent-Type: text/plain\r\n\r\n\x1b[31mno\r\n"
    server = raw_backend([read_head, evil])
    found = Probed(f"ws://127.0.0.1:{server.port}/", "-v", "--colour", "never")
    assert found.code == 6
    assert "\x1b" not in found.text
    assert "\x07" not in found.text


def test_an_endless_answer_is_not_read_for_ever(raw_backend) -> None:
    server = raw_backend([read_head, b"HTTP/1.1 200 OK\r\nX: " + b"x" * 100_000, hold])
    found = probe(f"ws://127.0.0.1:{server.port}/", "--timeout", "5s")
    assert "64 KiB" in found.words("handshake")


# Open, and then


def cutter(nginx, backend, seconds: int):
    return nginx(
        f"""
        http {{ server {{
            listen 127.0.0.1:{{port:front}};
            location / {{
                proxy_pass http://127.0.0.1:{{port:api}};
                proxy_http_version 1.1;
                proxy_set_header Upgrade $http_upgrade;
                proxy_set_header Connection upgrade;
                proxy_read_timeout {seconds}s;
            }}
        }} }}
        """,
        ports={"api": backend.port},
    )


def test_a_cutter_and_whose_fault_it_is(nginx, ws_backend) -> None:
    front = cutter(nginx, ws_backend, 1)
    found = probe(f"ws://127.0.0.1:{ws_backend.port}/", "--via", f"127.0.0.1:{front.port('front')}", "--idle", "4s")
    assert found.code == 7
    via = {step["step"]: step for step in found.found["via"]["steps"]}
    assert "without a close frame" in via["idle"]["summary"]
    assert 0.5 < via["idle"]["survived_seconds"] < 4
    assert "proxy_read_timeout" in via["idle"]["advice"][0]
    assert found.found["verdict"]["at_fault"] == "proxy"
    assert found.found["direct"]["healthy"]


def test_a_goodbye_of_the_application() -> None:
    def timed(connection) -> None:
        try:
            while True:
                connection.recv(timeout=1.0)
        except TimeoutError:
            connection.close(4000, "idle too long")

    with WebSocketEcho(handler=timed) as backend:
        found = probe(f"ws://127.0.0.1:{backend.port}/", "--idle", "10s", "--no-echo")
    assert found.code == 7
    assert 'a close frame with code 4000 "idle too long"' in found.words("idle")
    assert "application" in found.words("idle")


def test_a_hop_that_forgets_silently(raw_backend) -> None:
    server = raw_backend([accepting, pong_three_times, hold])
    found = probe(f"ws://127.0.0.1:{server.port}/", "--idle", "1s", "--no-echo", "--timeout", "3s")
    assert found.code == 7
    assert "nobody said so" in found.words("idle")


def pong_three_times(talk: Conversation) -> None:
    for _ in range(3):
        data = talk.socket.recv(1000)
        mask, payload = data[2:6], data[6:]
        plain = bytes(byte ^ mask[at & 3] for at, byte in enumerate(payload))
        talk.socket.sendall(b"\x8a" + bytes([len(plain)]) + plain)


def test_no_pong(raw_backend) -> None:
    server = raw_backend([accepting, read_until_end])
    found = probe(f"ws://127.0.0.1:{server.port}/", "--timeout", "3s")
    assert found.code == 7
    assert "no pong" in found.words("ping")


def test_closed_at_once_with_a_code(raw_backend) -> None:
    server = raw_backend([accepting, b"\x88\x07\x03\xf0login", pause(0.5)])
    found = probe(f"ws://127.0.0.1:{server.port}/")
    assert found.code == 7
    assert 'a close frame with code 1008 "login"' in found.words("ping")


def test_frames_that_break_the_protocol(raw_backend) -> None:
    server = raw_backend([accepting, b"\xf1\x01x", pause(0.5)])
    assert "a reserved bit is set" in probe(f"ws://127.0.0.1:{server.port}/").words("ping")


def test_pings_of_the_server_are_seen() -> None:
    with WebSocketEcho(ping_interval=0.3) as backend:
        found = probe(f"ws://127.0.0.1:{backend.port}/", "--idle", "2s")
    assert found.code == 0
    assert found.steps["idle"]["server_pings"] >= 2


# Which of the two


def verdict(found: Probed) -> tuple[int, str | None]:
    return found.code, found.found["verdict"]["at_fault"]


def test_which_of_the_two(nginx, ws_backend) -> None:
    front = cutter(nginx, ws_backend, 60)
    broken = nginx(
        "http { server { listen 127.0.0.1:{port:front}; location / { proxy_pass http://127.0.0.1:{port:api}; } } }",
        ports={"api": ws_backend.port},
    )
    direct = f"ws://127.0.0.1:{ws_backend.port}/"
    assert verdict(probe(direct, "--via", f"127.0.0.1:{front.port('front')}")) == (0, None)
    assert verdict(probe(direct, "--via", f"127.0.0.1:{broken.port('front')}")) == (6, "proxy")
    assert verdict(probe(f"ws://127.0.0.1:{broken.port('front')}/", "--direct", direct)) == (6, "proxy")


def test_the_backend_is_at_fault(nginx, raw_backend) -> None:
    server = raw_backend([read_head, b"HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n"])
    front = cutter(nginx, server, 60)
    found = probe(f"ws://127.0.0.1:{server.port}/", "--via", f"127.0.0.1:{front.port('front')}")
    assert verdict(found) == (6, "backend")


# The command line


@pytest.mark.parametrize(
    "arguments",
    [
        (),
        ("ftp://a/",),
        ("ws://a/", "--idle", "soon"),
        ("ws://a/", "-H", "no colon"),
        ("ws://a/", "--via", "ws://b/", "--direct", "ws://c/"),
        ("wss://localhost/", "--cafile", "/nonexistent.pem"),
    ],
)
def test_what_makes_no_sense(arguments) -> None:
    found = Probed(*arguments)
    assert found.code == 2
    assert found.errors.startswith("penstock probe:") or "usage" in found.errors

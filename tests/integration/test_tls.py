"""TLS toward clients: handshakes, virtual hosts, and what is carried inside."""

import hashlib
import os
import socket
import ssl
import textwrap
import threading
from pathlib import Path

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from websockets.sync.client import connect

from harness.backends import HttpEcho, read_head
from harness.backends.scripted import Conversation
from harness.raw import RawClient
from harness.waiting import eventually

SERVER = """
    http {
        server {
            listen 127.0.0.1:{port:front} ssl;
            server_name localhost;
            ssl_certificate {value:crt};
            ssl_certificate_key {value:key};
            %s
        }
    }
    """
TUNNEL = """
    proxy_pass http://127.0.0.1:{port:api};
    proxy_http_version 1.1;
    proxy_set_header Upgrade $http_upgrade;
    proxy_set_header Connection "upgrade";
    """


@pytest.fixture
def secure(proxy, authority):
    """Starts a server for localhost with these directives inside."""
    pair = authority.issue("localhost")

    def start(inside: str, **options):
        values = {"crt": pair.certificate, "key": pair.key, **options.pop("values", {})}
        return proxy(SERVER % inside, values=values, **options)

    return start


@pytest.fixture
def trusting(authority) -> ssl.SSLContext:
    return authority.client_context()


def ask(front, context: ssl.SSLContext, target: str = "/", host: str = "localhost", name: str = "localhost"):
    with RawClient(front.port(), tls=context, name=name) as client:
        return client.send(f"GET {target} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n").response()


def everything(client: RawClient) -> bytes:
    """The body of an answer that is many megabytes."""
    chunks = []
    while chunk := client.socket.recv(65536):
        chunks.append(chunk)
    return b"".join(chunks).partition(b"\r\n\r\n")[2]


def receive(talk: Conversation) -> None:
    """Wait for what a client sends into its tunnel."""
    assert talk.fill()


def shown_by(front, context: ssl.SSLContext, name: str) -> str:
    """The common name of the certificate a client is shown that asks for `name`."""
    context.check_hostname = False
    with RawClient(front.port(), tls=context, name=name) as client:
        subject = client.socket.getpeercert()["subject"]
    return dict(entry for (entry,) in subject)["commonName"]


@pytest.mark.parametrize("version", ["TLSv1_2", "TLSv1_3"])
def test_variables_tell_of_the_handshake(secure, trusting, version) -> None:
    front = secure('return 200 "$scheme $ssl_protocol $ssl_cipher $ssl_server_name $ssl_alpn_protocol|$ssl_curve";')
    trusting.minimum_version = trusting.maximum_version = ssl.TLSVersion[version]
    trusting.set_alpn_protocols(["http/1.1"])
    told, _, curve = ask(front, trusting).text.partition("|")
    scheme, protocol, cipher, name, alpn = told.split(" ")
    assert (scheme, protocol, name, alpn) == ("https", version.replace("_", ".", 1), "localhost", "http/1.1")
    assert "AES" in cipher or "CHACHA" in cipher
    assert curve in ("X25519", "prime256v1", "X25519MLKEM768")


def test_a_connection_is_kept(secure, trusting) -> None:
    front = secure("location / { return 200 $connection_requests; }")
    with RawClient(front.port(), tls=trusting) as client:
        for number in ("1", "2", "3"):
            assert client.send("GET / HTTP/1.1\r\nHost: localhost\r\n\r\n").response().text == number
        client.send("GET / HTTP/1.1\r\nHost: localhost\r\n\r\n" * 50)
        assert [client.response().text for _ in range(50)][-1] == "53"


def test_websocket(secure, trusting, ws_backend) -> None:
    front = secure(f"location / {{ {TUNNEL} }}", ports={"api": ws_backend.port})
    with connect(f"wss://localhost:{front.port()}/chat", ssl=trusting) as client:
        for message in ("hello", "x" * 300_000, b"\0" * 70_000):
            client.send(message)
            assert client.recv() == message


def test_the_kernel_may_encrypt_where_it_can(secure, trusting, ws_backend) -> None:
    """OpenSSL asks it, and goes on by itself where the kernel knows no TLS: nobody notices which."""
    content = bytes(range(256)) * 8_000
    front = secure(
        f"ssl_conf_command Options KTLS; location /ws {{ {TUNNEL} }} location / {{ root {{dir}}/www; }}",
        ports={"api": ws_backend.port},
        files={"www/big": content},
    )
    with connect(f"wss://localhost:{front.port()}/ws", ssl=trusting) as client:
        for message in ("hello", b"\0" * 70_000):
            client.send(message)
            assert client.recv() == message
    with RawClient(front.port(), tls=trusting) as raw:
        raw.send("GET /big HTTP/1.0\r\n\r\n")
        assert hashlib.sha1(everything(raw)).digest() == hashlib.sha1(content).digest()


def test_a_tunnel_ends_with_close_notify(secure, trusting, raw_backend) -> None:
    switched = b"HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: echo\r\n\r\nfirst "
    backend = raw_backend([read_head, switched, receive, b"last"])
    front = secure(f"location / {{ {TUNNEL} }}", ports={"api": backend.port})
    with RawClient(front.port()) as client:
        client.socket = trusting.wrap_socket(client.socket, server_hostname="localhost", suppress_ragged_eofs=False)
        client.send("GET / HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade\r\nUpgrade: echo\r\n\r\n")
        assert client.response().status == 101
        client.send("second")
        assert client.recv_all() == b"first last"  # an end without close_notify would raise


def test_an_answer_ends_with_close_notify(secure, trusting) -> None:
    front = secure("return 200 done;")
    with RawClient(front.port()) as client:
        client.socket = trusting.wrap_socket(client.socket, server_hostname="localhost", suppress_ragged_eofs=False)
        client.send("GET / HTTP/1.0\r\n\r\n")
        assert client.recv_all().endswith(b"\r\n\r\ndone")


def test_a_client_that_ends_without_close_notify_is_no_alarm(secure, trusting) -> None:
    front = secure("return 200 done;")
    client = RawClient(front.port(), tls=trusting)
    client.send("GET / HTTP/1.1\r\nHost: localhost\r\n\r\n").response()
    socket.socket(fileno=client.socket.detach()).close()
    assert ask(front, trusting).text == "done"
    assert "[crit]" not in front.error_log()


def test_a_large_file(secure, trusting) -> None:
    content = bytes(range(256)) * 80_000
    front = secure("root {dir}/www;", files={"www/big": content})
    with RawClient(front.port(), tls=trusting) as client:
        client.send("GET /big HTTP/1.0\r\n\r\n")
        assert hashlib.sha1(everything(client)).digest() == hashlib.sha1(content).digest()


def test_a_large_answer_to_a_slow_client(secure, trusting) -> None:
    content = bytes(range(256)) * 40_000
    head = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(content)
    with HttpEcho(respond=lambda request: head + content) as backend:
        front = secure("location / { proxy_pass http://127.0.0.1:{port:api}; }", ports={"api": backend.port})
        with RawClient(front.port(), tls=trusting) as client:
            client.send("GET / HTTP/1.0\r\n\r\n")
            eventually(lambda: backend.requests)
            assert hashlib.sha1(everything(client)).digest() == hashlib.sha1(content).digest()


def test_a_large_upload(secure, trusting) -> None:
    content = bytes(range(256)) * 40_000
    with HttpEcho(respond=lambda request: b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n") as backend:
        front = secure(
            "client_max_body_size 0; location / { proxy_pass http://127.0.0.1:{port:api}; }",
            ports={"api": backend.port},
        )
        with RawClient(front.port(), tls=trusting) as client:
            client.send(f"POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: {len(content)}\r\n\r\n")
            client.send(content)
            assert client.response().status == 200
        assert backend.requests[0].body == content


def test_certificates_of_two_kinds(proxy, authority, trusting) -> None:
    modern = authority.issue("localhost")
    old = authority.issue("localhost", key=rsa.generate_private_key(65537, 2048))
    front = proxy(
        SERVER % "ssl_certificate {value:crt2}; ssl_certificate_key {value:key2}; return 200 $ssl_cipher;",
        values={"crt": modern.certificate, "key": modern.key, "crt2": old.certificate, "key2": old.key},
    )
    trusting.maximum_version = ssl.TLSVersion.TLSv1_2
    for kind in ("ECDSA", "RSA"):
        trusting.set_ciphers(f"ECDHE-{kind}-AES128-GCM-SHA256")
        assert ask(front, trusting).text == f"ECDHE-{kind}-AES128-GCM-SHA256"


def test_virtual_hosts_have_contexts_of_their_own(proxy, authority, trusting) -> None:
    pairs = {name: authority.issue(name) for name in ("one.test", "two.test", "wild.test")}
    values = {
        f"{name[:3]}_{kind}": getattr(pair, kind) for name, pair in pairs.items() for kind in ("certificate", "key")
    }
    front = proxy(
        """
        http {
            server {
                listen 127.0.0.1:{port:front} ssl;
                server_name one.test;
                ssl_certificate {value:one_certificate}; ssl_certificate_key {value:one_key};
                return 200 "$server_name $ssl_protocol";
            }
            server {
                listen 127.0.0.1:{port:front} ssl;
                server_name two.test;
                ssl_certificate {value:two_certificate}; ssl_certificate_key {value:two_key};
                ssl_protocols TLSv1.2;
                return 200 "$server_name $ssl_protocol";
            }
            server {
                listen 127.0.0.1:{port:front} ssl;
                server_name *.wild.test;
                ssl_certificate {value:wil_certificate}; ssl_certificate_key {value:wil_key};
                return 200 "$server_name $ssl_protocol";
            }
            server {
                listen 127.0.0.1:{port:front} ssl;
                server_name none.test;
                return 200 "$server_name $ssl_protocol";
            }
        }
        """,
        values=values,
    )
    assert shown_by(front, trusting, "one.test") == "one.test"
    assert shown_by(front, trusting, "TWO.test") == "two.test"
    assert shown_by(front, trusting, "a.wild.test") == "wild.test"
    assert shown_by(front, trusting, "unknown.test") == "one.test"
    assert shown_by(front, trusting, "none.test") == "one.test"
    assert ask(front, trusting, host="one.test", name="one.test").text == "one.test TLSv1.3"
    assert ask(front, trusting, host="two.test", name="two.test").text == "two.test TLSv1.2"
    assert ask(front, trusting, host="none.test", name="none.test").text == "none.test TLSv1.3"
    assert ask(front, trusting, host="two.test", name="one.test").text == "two.test TLSv1.3"


def test_plain_http_is_answered(secure) -> None:
    front = secure("location / { return 200 no; }")
    answer = front.get("/")
    assert answer.status == 400
    assert "The plain HTTP request was sent to HTTPS port" in answer.text
    assert answer.header("Connection") == "close"


def test_plain_http_may_be_redirected(secure) -> None:
    front = secure("error_page 497 =307 https://$host:$server_port$request_uri; location / { return 200 no; }")
    answer = front.get("/path?query")
    assert (answer.status, answer.header("Location")) == (307, f"https://localhost:{front.port()}/path?query")


def test_the_old_switch(proxy, authority, trusting) -> None:
    pair = authority.issue("localhost")
    front = proxy(
        """
        http { server {
            listen 127.0.0.1:{port:front};
            ssl on;
            ssl_certificate {value:crt}; ssl_certificate_key {value:key};
            return 200 $scheme;
        } }
        """,
        values={"crt": pair.certificate, "key": pair.key},
    )
    assert ask(front, trusting).text == "https"
    assert 'the "ssl" directive is deprecated' in front.check().output


def test_a_name_may_be_rejected(proxy, authority, trusting) -> None:
    pair = authority.issue("localhost")
    front = proxy(
        """
        http {
            server { listen 127.0.0.1:{port:front} ssl default_server; ssl_reject_handshake on; }
            server {
                listen 127.0.0.1:{port:front} ssl;
                server_name localhost;
                ssl_certificate {value:crt}; ssl_certificate_key {value:key};
                return 200 fine;
            }
        }
        """,
        values={"crt": pair.certificate, "key": pair.key},
    )
    with pytest.raises(ssl.SSLError) as refused:
        ask(front, trusting, name="other.test")
    assert refused.value.reason == "TLSV1_UNRECOGNIZED_NAME"
    assert ask(front, trusting).text == "fine"


def test_a_protocol_nobody_speaks_is_refused(secure, trusting) -> None:
    front = secure("return 200 $ssl_alpn_protocol;")
    trusting.set_alpn_protocols(["imap", "ftp"])
    with pytest.raises(ssl.SSLError) as refused:
        ask(front, trusting)
    assert "no application protocol" in str(refused.value)
    trusting.set_alpn_protocols(["imap", "http/1.0"])
    assert ask(front, trusting).text == "http/1.0"


def test_an_encrypted_key(proxy, authority, trusting, tmp_path) -> None:
    pair = authority.issue("localhost")
    key = serialization.load_pem_private_key(pair.key.read_bytes(), None)
    sealed = tmp_path / "sealed.key"
    sealed.write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.BestAvailableEncryption(b"open sesame"),
        )
    )
    front = proxy(
        SERVER % "ssl_password_file words; return 200 open;",
        values={"crt": pair.certificate, "key": sealed},
        files={"words": "wrong\nopen sesame\n"},
    )
    assert ask(front, trusting).text == "open"


def test_certificates_named_by_variables(proxy, authority, trusting) -> None:
    pairs = [authority.issue(name) for name in ("one.test", "two.test")]
    files = {}
    for pair in pairs:
        files[f"certs/{pair.certificate.name}"] = pair.certificate.read_bytes()
        files[f"certs/{pair.key.name}"] = pair.key.read_bytes()
    front = proxy(
        """
        http { server {
            listen 127.0.0.1:{port:front} ssl;
            ssl_certificate certs/$ssl_server_name.crt;
            ssl_certificate_key certs/$ssl_server_name.key;
            return 200 fine;
        } }
        """,
        files=files,
    )
    assert shown_by(front, trusting, "one.test") == "one.test"
    assert shown_by(front, trusting, "two.test") == "two.test"
    with pytest.raises((ssl.SSLError, ConnectionError)):
        shown_by(front, trusting, "three.test")
    assert "cannot load certificate" in front.error_log()
    # A file that is replaced is read again.
    (front.directory / "certs/one.test.crt").write_bytes(pairs[1].certificate.read_bytes())
    (front.directory / "certs/one.test.key").write_bytes(pairs[1].key.read_bytes())
    assert shown_by(front, trusting, "one.test") == "two.test"


def test_a_certificate_given_as_data(proxy, authority, trusting) -> None:
    pair = authority.issue("localhost")
    front = proxy(
        """
        http {
            map $ssl_server_name $crt { default "{value:crt}"; }
            map $ssl_server_name $key { default "{value:key}"; }
            server {
                listen 127.0.0.1:{port:front} ssl;
                ssl_certificate data:$crt;
                ssl_certificate_key data:$key;
                return 200 fine;
            }
        }
        """,
        values={"crt": pair.certificate.read_text(), "key": pair.key.read_text()},
    )
    assert ask(front, trusting).text == "fine"


@pytest.mark.parametrize(
    "bytes_",
    [
        b"",
        b"\x16",
        b"\x16\x03\x01",
        b"\x16\x03\x01\x02\x00\x01\x00",
        b"\x16\x03\x01\x00\x05hello",
        b"\x80\x2e\x01\x00\x02",
    ],
)
def test_what_is_no_hello_does_no_harm(secure, trusting, bytes_) -> None:
    front = secure("return 200 fine;")
    with RawClient(front.port()) as client:
        client.send(bytes_).half_close()
        client.closed()
    assert ask(front, trusting).text == "fine"
    assert "[crit]" not in front.error_log()


def test_a_silent_client_is_not_waited_for(secure) -> None:
    front = secure("client_header_timeout 1s; return 200 fine;")
    with RawClient(front.port()) as silent, RawClient(front.port()) as slow:
        slow.send(b"\x16\x03\x01")
        assert silent.closed()
        assert slow.closed()


def test_a_hello_in_small_pieces(secure, trusting) -> None:
    front = secure("return 200 $ssl_server_name;")
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    tls = trusting.wrap_bio(incoming, outgoing, server_hostname="localhost")
    with RawClient(front.port()) as client:
        while True:
            try:
                tls.do_handshake()
                break
            except ssl.SSLWantReadError:
                flight = outgoing.read()
                for at in range(0, len(flight), 37):
                    client.send(flight[at : at + 37])
                incoming.write(client.socket.recv(65536))
        tls.write(b"GET / HTTP/1.0\r\n\r\n")
        client.send(outgoing.read())
        answer = client.recv_all()
    incoming.write(answer)
    text = b""
    while chunk := tls.read(65536):
        text += chunk
        if text.endswith(b"localhost"):
            break
    assert text.endswith(b"\r\n\r\nlocalhost")


def test_many_handshakes_at_once(secure, trusting) -> None:
    front = secure("return 200 fine;")
    answers = []
    threads = [threading.Thread(target=lambda: answers.append(ask(front, trusting).text)) for _ in range(40)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(20)
    assert answers == ["fine"] * 40


def test_the_chain_is_sent_as_given(secure, authority, trusting) -> None:
    """A client that trusts only the root finds its way; nothing is added from what the server trusts."""
    front = secure(f"ssl_trusted_certificate {authority.certificate}; return 200 fine;")
    assert ask(front, trusting).text == "fine"


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give up privileges")
def test_keys_are_read_before_privileges_are_given_up(proxy, authority, trusting) -> None:
    pair = authority.issue("localhost")
    assert pair.key.stat().st_mode & 0o077 == 0
    front = proxy(
        "user nobody nogroup;\n" + textwrap.dedent(SERVER % "return 200 fine;"),
        values={"crt": pair.certificate, "key": pair.key},
    )
    (worker,) = eventually(front.children)
    eventually(lambda: Path(f"/proc/{worker}").stat().st_uid != 0)
    assert ask(front, trusting).text == "fine"


def test_reload_changes_the_certificate(proxy, authority, trusting) -> None:
    first, second = authority.issue("first.test"), authority.issue("second.test")
    text = SERVER % "return 200 fine;"
    front = proxy(text, values={"crt": first.certificate, "key": first.key})
    assert shown_by(front, trusting, "x.test") == "first.test"
    with RawClient(front.port(), tls=trusting, name="x.test") as kept:
        kept.send("GET / HTTP/1.1\r\nHost: x\r\n\r\n").response()
        front.values.update(crt=second.certificate, key=second.key)
        front.reload(text)
        eventually(lambda: shown_by(front, trusting, "x.test") == "second.test")

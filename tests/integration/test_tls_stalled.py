"""TLS handshakes that do not come to their end: what is said of them, and that nobody waits for the rest."""

import signal
import ssl

import pytest

from harness.raw import RawClient

SERVER = """
    error_log error.log info;
    http {
        server {
            listen 127.0.0.1:{port:front} ssl http2;
            server_name localhost;
            ssl_certificate {value:crt};
            ssl_certificate_key {value:key};
            %s
            return 200 fine;
        }
    }
    """
TIMED_OUT = r"client timed out \(110: Connection timed out\) while SSL handshaking"


@pytest.fixture
def start(proxy, authority):
    """Starts a server with these directives inside."""
    pair = authority.issue("localhost")

    def start(inside: str = "", **options):
        return proxy(SERVER % inside, values={"crt": pair.certificate, "key": pair.key}, **options)

    return start


def hello_of(context: ssl.SSLContext) -> bytes:
    """A client's first flight."""
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    with pytest.raises(ssl.SSLWantReadError):
        context.wrap_bio(incoming, outgoing, server_hostname="localhost").do_handshake()
    return outgoing.read()


def fine(front, context: ssl.SSLContext) -> bool:
    """Whether another client is served."""
    with RawClient(front.port(), tls=context) as client:
        return client.send("GET / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n").response().text == "fine"


@pytest.mark.parametrize("said", [0, 100, None], ids=["nothing", "a part of the hello", "the whole hello"])
def test_the_time_for_a_handshake_is_bounded(start, authority, said: int | None) -> None:
    front = start("client_header_timeout 1s;")
    with RawClient(front.port()) as client:
        client.send(hello_of(authority.client_context())[:said])
        if said is None:
            client.recv_all()  # the server's part
        else:
            assert client.closed()
    front.logged(TIMED_OUT, name="error.log")
    assert fine(front, authority.client_context())


def test_a_client_that_leaves_after_its_hello(start, authority) -> None:
    front = start()
    with RawClient(front.port()) as client:
        client.send(hello_of(authority.client_context()))
        assert client.socket.recv(1)
    front.logged(r"\[info\] .* while SSL handshaking, client: 127\.0\.0\.1", name="error.log")
    assert fine(front, authority.client_context())


def test_a_client_that_trusts_nobody(start, authority) -> None:
    front = start()
    with pytest.raises(ssl.SSLCertVerificationError):
        RawClient(front.port(), tls=ssl.create_default_context()).close()
    front.logged(r"\[info\] .*SSL routines::.*unknown ca\) while SSL handshaking", name="error.log")
    assert fine(front, authority.client_context())


def test_who_leaves_does_not_wait_for_handshakes(start, authority) -> None:
    front = start()
    with RawClient(front.port()) as silent, RawClient(front.port()) as half:
        half.send(hello_of(authority.client_context()))
        assert half.socket.recv(1)
        front.stop(signal.SIGQUIT)
        assert silent.closed()
        half.recv_all()

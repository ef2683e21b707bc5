"""Clients that send a byte at a time before they have asked for anything: few wake-ups, and one deadline."""

import re
import ssl
import time
from pathlib import Path

import pytest

from harness.proxy import in_http
from harness.raw import RawClient

FRONT = "worker_processes 1;\n" + in_http(
    """
    client_header_timeout {value:timeout};
    keepalive_timeout 60s;
    error_log error.log info;
    server { listen 127.0.0.1:{port:plain}; http2 on; return 200 ok; }
    server {
        listen 127.0.0.1:{port:tls} ssl;
        ssl_certificate {value:crt};
        ssl_certificate_key {value:key};
        return 200 $ssl_server_name;
    }
    """
)


@pytest.fixture
def start(proxy, authority):
    pair = authority.issue("localhost")

    def start(timeout: str = "60s"):
        return proxy(FRONT, values={"timeout": timeout, "crt": pair.certificate, "key": pair.key})

    return start


def wake_ups(front) -> int:
    """How often the worker has gone to sleep, and so was woken."""
    (worker,) = front.children() or {front.pid}
    status = Path(f"/proc/{worker}/status").read_text(encoding="utf-8")
    found = re.search(r"(?m)^voluntary_ctxt_switches:\s+(\d+)", status)
    assert found is not None
    return int(found[1])


def shaken(client: RawClient, tls: ssl.SSLObject, incoming: ssl.MemoryBIO, outgoing: ssl.MemoryBIO) -> bytes:
    """Finish a handshake whose hello has been sent; what is answered to a request."""
    while True:
        incoming.write(client.socket.recv(65536))
        try:
            tls.do_handshake()
        except ssl.SSLWantReadError:
            continue
        tls.write(b"GET / HTTP/1.0\r\nHost: localhost\r\n\r\n")
        client.send(outgoing.read())
        incoming.write(client.recv_all())
        return tls.read(65536) + tls.read(65536)


def hello_of(context: ssl.SSLContext) -> tuple[ssl.SSLObject, ssl.MemoryBIO, ssl.MemoryBIO, bytes]:
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    tls = context.wrap_bio(incoming, outgoing, server_hostname="localhost")
    with pytest.raises(ssl.SSLWantReadError):
        tls.do_handshake()
    return tls, incoming, outgoing, outgoing.read()


def test_a_dripped_hello_wakes_nobody(start, authority) -> None:
    front = start()
    tls, incoming, outgoing, hello = hello_of(authority.client_context())
    with RawClient(front.port("tls")) as client:
        before = wake_ups(front)
        for at in range(len(hello)):
            client.send(hello[at : at + 1])
            time.sleep(0.001)
        assert wake_ups(front) - before < 40, f"{len(hello)} bytes came one by one"
        assert shaken(client, tls, incoming, outgoing).endswith(b"\r\n\r\nlocalhost")


def test_a_hello_in_records_of_one_byte(start, authority) -> None:
    front = start()
    tls, incoming, outgoing, hello = hello_of(authority.client_context())
    cut = b"".join(b"\x16\x03\x01\0\x01" + hello[at : at + 1] for at in range(5, len(hello)))
    with RawClient(front.port("tls")) as client:
        before = wake_ups(front)
        for at in range(len(cut)):
            client.send(cut[at : at + 1])
            time.sleep(0.0003)
        assert wake_ups(front) - before < len(cut) / 4
        assert shaken(client, tls, incoming, outgoing).endswith(b"\r\n\r\nlocalhost")


@pytest.mark.parametrize(
    "data",
    [
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + bytes(100),
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\4\0\0\0\0\0\0\0\x40\1\4\0\0\0\1" + bytes(100),
        b"POST / HTTP/1.1\r\nHost: " + b"a" * 100,
        b"PRI * HTTP/1.1\r\nHost: " + b"a" * 100,
    ],
    ids=["preface", "head of HTTP/2", "head of HTTP/1.1", "no preface after all"],
)
@pytest.mark.parametrize("burst", [0, 30])
def test_a_dripped_beginning_has_one_deadline(start, data: bytes, burst: int) -> None:
    front = start("1s")
    began = time.monotonic()
    with RawClient(front.port("plain")) as client:
        client.send(data[:burst])
        ended = False
        for at in range(burst, len(data)):
            try:
                client.send(data[at : at + 1])
                client.socket.settimeout(0.2)
                if not client.socket.recv(1024):
                    ended = True
                    break
            except TimeoutError:
                continue
            except OSError:
                ended = True
                break
            if time.monotonic() - began > 6:
                break
        assert ended
    assert time.monotonic() - began < 5

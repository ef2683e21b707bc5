"""What workers know of servers together, and names that change while they serve."""

import http.client
import os
import select
import signal
import socket
import struct
import threading
import time
from collections.abc import Iterator

import pytest

from conftest import Launcher
from harness.waiting import eventually

LIMITED = """
events {}
worker_processes 2;
http {
    upstream app { zone app 64k; server 127.0.0.1:{port:slow} max_conns=1; server 127.0.0.1:{port:other} down; }
    server { listen {port:front}; location / { proxy_pass http://app; } }
}
"""


class Slow:
    """A backend that answers when it is told to."""

    def __init__(self) -> None:
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self.listener.getsockname()[1]
        self.held: list[socket.socket] = []
        threading.Thread(target=self.run, daemon=True).start()

    def run(self) -> None:
        while True:
            try:
                sock, _ = self.listener.accept()
            except OSError:
                return
            self.held.append(sock)

    def answer(self) -> None:
        for sock in self.held:
            sock.sendall(b"HTTP/1.1 204 Fine\r\nConnection: close\r\n\r\n")
            sock.close()
        self.held.clear()


@pytest.fixture
def slow() -> Iterator[Slow]:
    made = Slow()
    yield made
    made.listener.close()
    for sock in made.held:
        sock.close()


def ask(port: int) -> int:
    client = http.client.HTTPConnection("127.0.0.1", port, timeout=20)
    try:
        client.request("GET", "/")
        return client.getresponse().status
    finally:
        client.close()


def begin(port: int) -> socket.socket:
    sock = socket.create_connection(("127.0.0.1", port), timeout=20)
    sock.sendall(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n")
    return sock


def test_a_limit_holds_for_all_workers_and_survives_the_death_of_one(proxy: Launcher, slow: Slow) -> None:
    running = proxy(LIMITED, ports={"slow": slow.port}, expect=["exited on signal 9"])
    port = running.ports["front"]
    with begin(port) as first:
        eventually(lambda: len(slow.held) == 1)
        assert {ask(port) for _ in range(30)} == {502}
        slow.answer()
        assert first.recv(100).startswith(b"HTTP/1.1 204")
    with begin(port):
        eventually(lambda: len(slow.held) == 1)
        before = running.children()
        for pid in before:
            os.kill(pid, signal.SIGKILL)
        eventually(lambda: len(running.children() - before) == 2)
    slow.held.clear()

    def let_in() -> socket.socket | None:
        asked = begin(port)
        eventually(lambda: slow.held or select.select([asked], [], [], 0)[0])
        if slow.held:
            return asked
        asked.close()
        return None

    # Who was forked while the other was not buried yet leaves the place to it; the next one takes a moment to begin.
    after = eventually(let_in)
    assert after is not None
    with after:
        assert len(slow.held) == 1
        slow.answer()
        assert after.recv(100).startswith(b"HTTP/1.1 204")


class Names:
    """A name server that knows one address at a time, for any name, for a second; without one it keeps silent."""

    def __init__(self, address: str) -> None:
        self.address = address
        self.socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.socket.bind(("127.0.0.1", 0))
        self.port: int = self.socket.getsockname()[1]
        threading.Thread(target=self.run, daemon=True).start()

    def run(self) -> None:
        while True:
            try:
                data, sender = self.socket.recvfrom(512)
            except OSError:
                return
            if not self.address:
                continue
            end = data.index(b"\0", 12) + 5
            wanted = data[end - 4 : end] == b"\0\1\0\1"
            record = struct.pack("!3HIH", 0xC00C, 1, 1, 1, 4) + socket.inet_aton(self.address)
            head = data[:2] + struct.pack("!5H", 0x8180, 1, wanted, 0, 0)
            self.socket.sendto(head + data[12:end] + (record if wanted else b""), sender)


FOLLOWED = """
events {}
http {
    resolver 127.0.0.1:{port:dns};
    upstream app { zone app 64k; server app.test:{port:back} resolve; }
    server { listen 127.0.0.2:{port:back}; location / { return 202; } }
    server { listen 127.0.0.3:{port:back}; location / { return 203; } }
    server {
        listen 127.0.0.1:{port:front};
        set $backend app.test;
        location /group { proxy_pass http://app; }
        location / { proxy_pass http://$backend:{port:back}; }
    }
}
"""


def test_names_are_followed_when_their_time_is_over(proxy: Launcher) -> None:
    names = Names("127.0.0.2")
    running = proxy(FOLLOWED, ports={"dns": names.port})

    def status(path: str) -> int:
        client = http.client.HTTPConnection("127.0.0.1", running.ports["front"], timeout=20)
        try:
            client.request("GET", path)
            return client.getresponse().status
        finally:
            client.close()

    assert status("/") == 202
    eventually(lambda: status("/group") == 202)
    names.address = "127.0.0.3"
    time.sleep(1.1)
    assert status("/") == 203
    eventually(lambda: status("/group") == 203)
    names.address = ""
    time.sleep(1.2)
    assert status("/group") == 203

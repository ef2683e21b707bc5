"""memcached_pass: to memcached itself, and to servers that answer as they please."""

import shutil
import socket
import subprocess
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from harness.backends.scripted import Conversation, hold
from harness.ports import free_port
from harness.waiting import eventually

CONF = """
    http {
        types { text/css css; }
        default_type text/x;
        upstream cache { server 127.0.0.1:{port:cache}; keepalive 1; }
        server {
            listen 127.0.0.1:{port:front};
            set $memcached_key $uri$is_args$args;
            memcached_gzip_flag 2;
            location / { memcached_pass cache; error_page 404 502 = @made; {value:more} }
            location /bare { memcached_pass cache; }
            location /none { set $memcached_key ""; memcached_pass cache; }
            location @made { return 200 made; }
        }
    }
    """


@pytest.fixture(scope="module")
def memcached() -> Iterator[int]:
    """The port of a memcached."""
    program = shutil.which("memcached")
    if program is None:
        pytest.skip("no memcached (Debian: apt install memcached)")
    port = free_port()
    server = subprocess.Popen([program, "-l", "127.0.0.1", "-p", str(port), "-U", "0", "-u", "nobody"])
    try:
        eventually(lambda: server.poll() is not None or reachable(port))
        yield port
    finally:
        server.terminate()
        server.wait(10)


def reachable(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port), 1).close()
    except ConnectionRefusedError:
        return False
    return True


def asked(talk: Conversation, times: int = 1) -> None:
    """Wait for a command."""
    while talk.received.count(b"\r\n") < times and talk.fill():
        pass


def asked_twice(talk: Conversation) -> None:
    asked(talk, 2)


def keep(port: int, key: bytes, value: bytes, flags: int = 0) -> None:
    with socket.create_connection(("127.0.0.1", port), 5) as client:
        client.sendall(b"set %b %d 0 %d\r\n%b\r\n" % (key, flags, len(value), value))
        assert client.recv(100) == b"STORED\r\n"


def test_values_are_answers(proxy: Any, memcached: int) -> None:
    keep(memcached, b"/a.css", b"body{}")
    keep(memcached, b"/large", b"0123456789" * 50_000)
    keep(memcached, b"/empty", b"")
    keep(memcached, b"/with%20space", b"spaced")
    keep(memcached, b"/packed", b"\x1f\x8b...", flags=3)
    front = proxy(CONF, ports={"cache": memcached}, values={"more": ""})
    got = front.get("/a.css")
    assert (got.status, got.text, got.header("Content-Type")) == (200, "body{}", "text/css")
    assert front.get("/large").body == b"0123456789" * 50_000
    assert front.get("/empty").body == b""
    assert front.get("/with%20space").text == "spaced"
    assert front.get("/packed").header("Content-Encoding") == "gzip"
    assert front.get("/a.css").header("Content-Encoding") is None
    head = front.get("/a.css", method="HEAD")
    assert (head.status, head.body, head.header("Content-Length")) == (200, b"", "6")
    assert front.get("/not-there").text == "made"
    assert front.get("/bare").status == 404
    assert front.get("/none").status == 500
    assert front.get("/a.css", method="POST", body=b"x").status == 405


def test_a_key_ends_no_command(proxy: Any, raw_backend: Callable[..., Any]) -> None:
    cache = raw_backend([asked, b"END\r\n", hold])
    front = proxy(CONF, ports={"cache": cache.port}, values={"more": ""})
    assert front.get("/a%0d%0aflush_all%0d%0a").text == "made"
    assert cache.conversations[0].received == b"get /a%0D%0Aflush_all%0D%0A\r\n"


BAD = {
    "memcached sent invalid key in response": b"VALUE /b 0 1\r\nx\r\nEND\r\n",
    'memcached sent invalid response: "VALUE /a x 1"': b"VALUE /a x 1\r\nx\r\nEND\r\n",
    'memcached sent invalid response: "SERVER_ERROR out of memory"': b"SERVER_ERROR out of memory\r\n",
    'memcached sent invalid response: "END"': b"END\n",
    "upstream sent too big header": b"x" * 5000,
    "upstream prematurely closed connection": b"VALUE /a",
}


def test_bad_answers(proxy: Any, raw_backend: Callable[..., Any]) -> None:
    cache = raw_backend(*([asked, answer] for answer in BAD.values()))
    front = proxy(CONF, ports={"cache": cache.port}, values={"more": "max_ranges 1;"})
    for said in BAD:
        assert front.get("/a").text == "made"
        assert front.logged(said, name="error.log")


def test_a_connection_is_kept_after_a_whole_answer_alone(proxy: Any, raw_backend: Callable[..., Any]) -> None:
    value = b"VALUE /a 0 2\r\nok\r\nEND\r\n"
    cache = raw_backend(
        [asked, value, asked_twice, value + b"VALUE", hold], [asked, value, hold]
    )
    front = proxy(CONF, ports={"cache": cache.port}, values={"more": ""})
    assert [front.get("/a").text for _ in range(3)] == ["ok"] * 3
    assert len(cache.conversations) == 2
    assert front.logged("memcached sent invalid trailer", name="error.log")


def test_another_server_is_asked(proxy: Any, raw_backend: Callable[..., Any]) -> None:
    without = raw_backend([asked, b"END\r\n", hold])
    having = raw_backend([asked, b"VALUE /a 0 2\r\nok\r\nEND\r\n", hold])
    text = CONF.replace("keepalive 1;", "server 127.0.0.1:{port:other};")
    front = proxy(
        text,
        ports={"cache": without.port, "other": having.port},
        values={"more": "memcached_next_upstream not_found;"},
    )
    assert front.get("/a").text == "ok"

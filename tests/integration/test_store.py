"""`proxy_store`, asked of nginx and of Penstock: which answers become files, where, with which rights and times."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from pathlib import Path

import pytest

from harness.backends import RawBackend, read_head
from harness.backends.scripted import Conversation
from harness.binary import each_of_both
from harness.proxy import Proxy
from harness.waiting import eventually

CONF = """
    worker_processes 1;
    events { }
    http {
        proxy_temp_path {dir}/temp/mine 1 2;
        server {
            listen 127.0.0.1:{port:front};
            root {dir}/www;
            location /on/ { proxy_pass http://127.0.0.1:{port:back}; proxy_store on; }
            location /alias/ { alias {dir}/www/; proxy_pass http://127.0.0.1:{port:back}; proxy_store on; }
            location /to/ {
                proxy_pass http://127.0.0.1:{port:back};
                proxy_store {dir}/www/at/$arg_name;
                proxy_store_access user:rw group:rw all:r;
            }
            location /off/ { proxy_pass http://127.0.0.1:{port:back}; proxy_store off; }
            location /direct/ { proxy_pass http://127.0.0.1:{port:back}; proxy_store on; proxy_buffering off; }
            location /page/ {
                proxy_pass http://127.0.0.1:{port:back};
                proxy_store on;
                proxy_intercept_errors on;
                error_page 404 = /found;
            }
            location = /found { return 200 "found"; }
            location /images/ { error_page 404 = /fetch$uri; log_not_found off; }
            location /fetch/ {
                internal;
                proxy_pass http://127.0.0.1:{port:back}/;
                proxy_store on;
                alias {dir}/www/;
            }
        }
    }
    """
MODIFIED = b"Last-Modified: Tue, 05 Mar 2024 11:22:33 GMT\r\n"


def answering(talk: Conversation) -> None:
    """Answer as the path says."""
    path = talk.received.split(b" ")[1]
    head = b"HTTP/1.1 200 OK\r\nConnection: close\r\n"
    if talk.received.startswith(b"HEAD"):
        talk.socket.sendall(head + b"Content-Length: 5\r\n\r\n")
    elif b"dated" in path:
        talk.socket.sendall(head + MODIFIED + b"Content-Length: 5\r\n\r\nhello")
    elif b"chunks" in path:
        talk.socket.sendall(head + b"Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n5\r\nagain\r\n0\r\n\r\n")
    elif b"until-the-end" in path:
        talk.socket.sendall(head + b"\r\nhello")
    elif b"cut" in path:
        talk.socket.sendall(head + b"Content-Length: 500000\r\n\r\n" + b"x" * 200_000)
    elif b"short-chunks" in path or b"torn" in path:
        talk.socket.sendall(head + b"Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n")
    elif b"large" in path:
        talk.socket.sendall(head + b"Content-Length: 3000000\r\n\r\n" + b"y" * 3_000_000)
    elif b"missing" in path:
        talk.socket.sendall(b"HTTP/1.1 404 No\r\nConnection: close\r\nContent-Length: 2\r\n\r\nno")
    elif b"empty" in path:
        talk.socket.sendall(head + b"Content-Length: 0\r\n\r\n")
    elif b"unbuffered" in path:
        talk.socket.sendall(head + b"X-Accel-Buffering: no\r\nContent-Length: 5\r\n\r\nhello")
    else:
        talk.socket.sendall(head + b"Content-Length: 5\r\n\r\nhello")


@pytest.fixture(params=["penstock", "nginx"], scope="module")
def front(request: pytest.FixtureRequest) -> Iterator[Proxy]:
    with RawBackend([read_head, answering]) as back:
        proxy = Proxy(CONF, *each_of_both(request.param), ports={"back": back.port}, expect=[".*"])
        (proxy.directory / "www").mkdir()
        with proxy:
            yield proxy


def www(front: Proxy, name: str) -> Path:
    return front.directory / "www" / name


def nothing_is_left(front: Proxy) -> bool:
    return not [path for path in (front.directory / "temp/mine").rglob("*") if path.is_file()]


@pytest.mark.parametrize(
    ("path", "name", "body"),
    [
        ("/on/plain", "on/plain", b"hello"),
        ("/on/deep/er/plain?with=args", "on/deep/er/plain", b"hello"),
        ("/on/chunks", "on/chunks", b"helloagain"),
        ("/on/until-the-end", "on/until-the-end", b"hello"),
        ("/on/large", "on/large", b"y" * 3_000_000),
        ("/on/empty", "on/empty", b""),
        ("/alias/plain", "plain", b"hello"),
        ("/to/x?name=some", "at/some", b"hello"),
        ("/images/a.png", "images/a.png", b"hello"),
    ],
)
def test_what_is_stored(front: Proxy, path: str, name: str, body: bytes) -> None:
    assert front.get(path).body == body
    eventually(lambda: www(front, name).exists())
    assert www(front, name).read_bytes() == body
    eventually(lambda: nothing_is_left(front))


@pytest.mark.parametrize(
    ("path", "name", "status"),
    [
        ("/on/missing", "on/missing", 404),
        ("/on/unbuffered", "on/unbuffered", 200),
        ("/off/plain", "off/plain", 200),
        ("/direct/plain", "direct/plain", 200),
        ("/page/missing", "page/missing", 200),
    ],
)
def test_what_is_not_stored(front: Proxy, path: str, name: str, status: int) -> None:
    assert front.get(path).status == status
    assert not www(front, name).exists()
    eventually(lambda: nothing_is_left(front))


def test_a_head_is_not_stored(front: Proxy) -> None:
    assert front.get("/on/head", method="HEAD").status == 200
    assert not www(front, "on/head").exists()


@pytest.mark.parametrize("name", ["cut", "torn"])
def test_what_breaks_off_is_not_stored(front: Proxy, name: str) -> None:
    with front.client() as client:
        client.send(f"GET /on/{name} HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
        assert b" 200 " in client.recv_all()
    eventually(lambda: nothing_is_left(front))
    assert not www(front, f"on/{name}").exists()


def test_rights_and_times(front: Proxy) -> None:
    assert front.get("/on/dated").text == "hello"
    assert front.get("/to/x?name=new/dated").text == "hello"
    own, shared = www(front, "on/dated"), www(front, "at/new/dated")
    # nginx renames a file once the answer has gone.
    eventually(lambda: own.exists() and shared.exists())
    assert own.stat().st_mtime == 1709637753
    assert stat.S_IMODE(own.stat().st_mode) == 0o600
    assert stat.S_IMODE(own.parent.stat().st_mode) == 0o700
    assert stat.S_IMODE(shared.stat().st_mode) == 0o664
    mask = os.umask(0)
    os.umask(mask)
    assert stat.S_IMODE(shared.parent.stat().st_mode) == 0o775 & ~mask


def test_a_client_that_goes_changes_nothing(front: Proxy) -> None:
    with front.client() as client:
        client.send("GET /on/large-gone HTTP/1.1\r\nHost: a\r\n\r\n")
        client.recv_until(b"\r\n\r\n")
    eventually(lambda: www(front, "on/large-gone").exists())
    assert www(front, "on/large-gone").stat().st_size == 3_000_000
    eventually(lambda: nothing_is_left(front))


def test_a_second_answer_takes_the_place_of_the_first(front: Proxy) -> None:
    path = www(front, "on/again")
    path.parent.mkdir(exist_ok=True)
    path.write_text("old")
    assert front.get("/on/again").text == "hello"
    eventually(lambda: path.read_text() == "hello")
    eventually(lambda: nothing_is_left(front))


def test_what_can_not_be_stored_is_passed_on_all_the_same(front: Proxy) -> None:
    www(front, "on/folder").mkdir(parents=True, exist_ok=True)
    assert front.get("/on/folder").text == "hello"
    front.logged(r'rename\(\) .*on/folder.* failed \(21: Is a directory\)', name="error.log")
    eventually(lambda: nothing_is_left(front))

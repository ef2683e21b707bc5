"""What is kept is given without a coroutine, and everything else is left to the general transaction."""

from __future__ import annotations

import re
import socket
from collections.abc import Callable, Coroutine, Iterator
from pathlib import Path
from typing import Any

import pytest

from harness.backends.fickle import FickleBackend
from harness.in_process import InProcess
from penstock.http.request import Request
from penstock.server.straight.client import StraightConnection

SITE = """
    proxy_cache_path {folder}/kept levels=1:2 keys_zone=one:1m use_temp_path=off;
    server {{
        location / {{
            proxy_pass http://127.0.0.1:{port};
            proxy_cache one;
            proxy_cache_key $uri$args;
            proxy_cache_valid any 1h;
            {more}
        }}
    }}
    """
DATE = re.compile(rb"Date: [^\r]+\r\n")


class Kept:
    """A worker with a cache, and its backend. `over` are the paths of requests that went over to the general
    transaction."""

    def __init__(self, folder: Path, more: str) -> None:
        self.backend = FickleBackend()
        self.worker = InProcess(SITE.format(folder=folder, port=self.backend.port, more=more), folder)
        self.over: list[str] = []

    def get(self, target: str, *lines: str, times: int = 1) -> list[bytes]:
        """Ask so often on one connection. What comes, without Date."""
        head = "\r\n".join((f"GET {target} HTTP/1.1", "Host: a", *lines, "\r\n")).encode()
        return self.worker.talk(lambda sock: [_answer(sock, head) for _ in range(times)], straight=True)

    def files(self, folder: Path) -> list[Path]:
        return [path for path in (folder / "kept").rglob("*") if path.is_file()]


def _answer(sock: socket.socket, head: bytes) -> bytes:
    sock.sendall(head)
    data = b""
    while b"\r\n\r\n" not in data:
        data += sock.recv(65536)
    length = re.search(rb"Content-Length: (\d+)", data)
    size = data.index(b"\r\n\r\n") + 4 + (int(length[1]) if length else 0)
    chunked = b"\r\nTransfer-Encoding: chunked" in data
    while len(data) < size or (chunked and not data.endswith(b"\r\n0\r\n\r\n")):
        data += sock.recv(65536)
    return DATE.sub(b"", data)


@pytest.fixture
def kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[str], Kept]]:
    """Make one whose location says that, too."""
    made: list[Kept] = []
    usual = StraightConnection.go_over

    def go_over(self: StraightConnection, request: Request, begun: Coroutine[Any, Any, Any]) -> None:
        made[-1].over.append(request.uri)
        usual(self, request, begun)

    monkeypatch.setattr(StraightConnection, "go_over", go_over)

    def make(more: str = "") -> Kept:
        made.append(Kept(tmp_path, more))
        return made[-1]

    yield make
    for each in made:
        each.backend.close()


WHOLE = "/a?accept-ranges=bytes&etag=%22x%22&last-modified=Mon,+01+Jan+2024+00:00:00+GMT&content-type=a/b&x-a=b"


@pytest.mark.parametrize(
    "more", ["", "add_header X-Cache $upstream_cache_status always;", "keepalive_timeout 60s 50s;", "max_ranges 0;"]
)
def test_what_is_kept_is_given_as_it_came(kept: Callable[[str], Kept], more: str) -> None:
    one = kept(more)
    came, *given = one.get(WHOLE, times=4)
    assert [answer.replace(b"HIT", b"MISS") for answer in given] == [came] * 3
    assert (one.over, one.backend.count) == (["/a"], 1), "the first one alone took the general way"
    assert {request.status for request in one.worker.ended} == {200}


def test_the_general_way_gives_the_same(kept: Callable[[str], Kept]) -> None:
    """By the first answer on a connection without a straight way."""
    one = kept("")
    one.get(WHOLE)
    (straight,) = one.get(WHOLE)
    head = f"GET {WHOLE} HTTP/1.1\r\nHost: a\r\n\r\n".encode()
    assert one.worker.talk(lambda sock: _answer(sock, head)) == straight


@pytest.mark.parametrize(
    "target", ["/a?size=200000", "/a?size=16000", "/a?vary=x-a", "/a?chunked=1", "/a?status=404", "/a?refresh=1"]
)
def test_others_are_given_straight_as_well(kept: Callable[[str], Kept], target: str) -> None:
    one = kept("")
    came, *given = one.get(target, "X-A: 1", times=3)
    assert all(b"answer 1" in answer for answer in (came, *given)) and one.backend.count == 1
    # Of a file the body has to be waited for, once all else is known.
    assert one.over == ["/a"] * (3 if "size=200000" in target else 1)


@pytest.mark.parametrize(
    ("line", "status"),
    [
        ("Range: bytes=1-3", b"206"),
        ("Range: bytes=99-", b"416"),
        ('If-None-Match: "x"', b"304"),
        ('If-Match: "y"', b"412"),
        ("If-Modified-Since: Mon, 01 Jan 2024 00:00:00 GMT", b"304"),
        ("Upgrade: h2c", b"200"),
    ],
)
def test_who_asks_for_something_else_gets_that(kept: Callable[[str], Kept], line: str, status: bytes) -> None:
    one = kept("")
    one.get(WHOLE)
    (answer,) = one.get(WHOLE, line)
    assert answer.split(b" ", 2)[1] == status
    assert one.backend.count == (2 if line.startswith("Upgrade") else 1)


@pytest.mark.parametrize("line", ['If-None-Match: "x"', "If-Modified-Since: Mon, 01 Jan 2024 00:00:00 GMT"])
def test_that_nothing_has_changed_is_said_straight(kept: Callable[[str], Kept], line: str) -> None:
    one = kept("")
    one.get(WHOLE)
    assert [answer[:12] for answer in one.get(WHOLE, line, times=3)] == [b"HTTP/1.1 304"] * 3
    assert one.over == ["/a"]


def test_what_is_not_good_any_more_is_fetched(kept: Callable[[str], Kept], tmp_path: Path) -> None:
    one = kept("proxy_cache_bypass $http_x_new; proxy_cache_purge $http_x_purge;")
    target = "/a"
    one.get(target, times=2)
    (file,) = one.files(tmp_path)
    file.write_bytes(file.read_bytes()[:-1])
    assert one.get(target)[0].endswith(b"answer 2")
    (file,) = one.files(tmp_path)
    file.unlink()
    assert one.get(target, times=2)[1].endswith(b"answer 3")
    assert one.get(target, "X-New: 1")[0].endswith(b"answer 4")
    assert one.get(target)[0].endswith(b"answer 4")
    assert one.get(target, "X-Purge: 1")[0].startswith(b"HTTP/1.1 204")
    assert one.get(target, times=2)[1].endswith(b"answer 5")


def test_what_varies_is_given_to_those_it_is_for(kept: Callable[[str], Kept]) -> None:
    one = kept("")
    for value in "1212":
        (answer,) = one.get("/a?vary=x-a", f"X-A: {value}")
        assert answer.endswith(b"answer " + value.encode())
    assert one.backend.count == 2

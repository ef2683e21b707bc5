"""What is kept survives what happens to processes, files and disks, and nothing wrong is ever given."""

import os
import re
import resource
import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from harness.backends import hold, read_head
from harness.backends.fickle import FickleBackend
from harness.proxy import Proxy
from harness.waiting import eventually

CONF = """
    worker_processes {value:workers};
    http {
        proxy_cache_path {dir}/kept levels=1:2 keys_zone=one:1m use_temp_path={value:temp} {value:path};
        server {
            listen 127.0.0.1:{port:front};
            proxy_cache one;
            proxy_cache_valid 1h;
            add_header X-Cache $upstream_cache_status always;
            location / { proxy_pass http://127.0.0.1:{port:back}; {value:more} }
        }
    }
    """


@pytest.fixture
def backend() -> Iterator[FickleBackend]:
    with FickleBackend() as made:
        yield made


def start(
    proxy: Any,
    backend: FickleBackend,
    more: str = "",
    *,
    workers: int = 1,
    path: str = "",
    temp: str = "off",
    **options: Any,
) -> Proxy:
    values = {"more": more, "workers": workers, "path": path, "temp": temp}
    front: Proxy = proxy(CONF, ports={"back": backend.port}, values=values, **options)
    return front


def kept(front: Proxy) -> list[Path]:
    return sorted(path for path in (front.directory / "kept").rglob("*") if path.is_file() and len(path.name) == 32)


def on_disk(file: Path) -> int:
    """Return the bytes it takes; the manager may remove it while it is looked at."""
    try:
        return file.stat().st_blocks * 512
    except FileNotFoundError:
        return 0


def status(front: Proxy, target: str = "/", **options: Any) -> str | None:
    got: str | None = front.get(target, **options).header("X-Cache")
    return got


@pytest.mark.parametrize("temp", ["on", "off"])
def test_files_are_nobody_elses(proxy: Any, backend: FickleBackend, temp: str) -> None:
    front = start(proxy, backend, temp=temp)
    front.get("/")
    (file,) = kept(front)
    assert file.stat().st_mode & 0o777 == 0o600
    assert file.parent.stat().st_mode & 0o777 == 0o700
    assert [len(part) for part in file.relative_to(front.directory / "kept").parts] == [1, 2, 32]
    assert not list((front.directory / "temp/proxy").rglob("*"))


def test_all_workers_share_what_is_kept(proxy: Any, backend: FickleBackend) -> None:
    front = start(proxy, backend, workers=4)
    assert [status(front) for _ in range(20)] == ["MISS"] + ["HIT"] * 19
    assert backend.count == 1


def test_many_at_once_ask_once(proxy: Any, backend: FickleBackend) -> None:
    front = start(proxy, backend, "proxy_cache_lock on; proxy_cache_lock_timeout 30s;", workers=4)
    backend.gate.clear()
    found: list[str | None] = []
    threads = [threading.Thread(target=lambda: found.append(status(front, timeout=30))) for _ in range(12)]
    for thread in threads:
        thread.start()
    eventually(lambda: backend.count == 1)
    time.sleep(0.5)
    backend.gate.set()
    for thread in threads:
        thread.join()
    assert sorted(map(str, found)) == ["HIT"] * 11 + ["MISS"]
    assert backend.count == 1


def test_two_reloads_lose_nothing(proxy: Any, backend: FickleBackend) -> None:
    front = start(proxy, backend, workers=2)
    front.get("/")
    for _ in range(2):
        front.reload()
        assert status(front) == "HIT"
    assert backend.count == 1


def test_a_restart_finds_what_was_there(proxy: Any, backend: FickleBackend, tmp_path: Path) -> None:
    front = start(proxy, backend, directory=tmp_path / "one")
    front.get("/", timeout=30)
    front.stop()
    front.start()
    assert status(front) == "HIT"
    front.logged(r'cache "one": \d files were there', name="error.log")


def test_a_killed_worker_blocks_nobody(proxy: Any, backend: FickleBackend) -> None:
    """It was fetching, in the middle of an answer, with the lock."""
    lock = "proxy_cache_lock on; proxy_cache_lock_timeout 60s; proxy_cache_lock_age 60s;"
    front = start(proxy, backend, lock, expect=["signal 9"])
    backend.gate.clear()
    with front.client() as client:
        client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n")
        eventually(lambda: backend.count == 1)
        workers = {int(pid) for pid in re.findall(r"start worker process (\d+)", front.error_log())}
        for pid in workers:
            os.kill(pid, signal.SIGKILL)
        backend.gate.set()
    eventually(lambda: front.children() - workers and "exited on signal 9" in front.error_log())
    assert (status(front, timeout=30), status(front)) == ("MISS", "HIT")


def test_an_answer_that_breaks_off_is_not_kept(proxy: Any, backend: FickleBackend) -> None:
    front = start(proxy, backend)
    backend.say = lambda request: b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\nConnection: close\r\n\r\npart"
    with front.client() as client:
        assert client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n").recv_all().endswith(b"part")
    assert kept(front) == []
    backend.say = lambda request: None
    assert status(front) == "MISS"


def test_a_client_that_goes_leaves_a_whole_answer(proxy: Any, backend: FickleBackend) -> None:
    front = start(proxy, backend)
    with front.client() as client:
        client.send("GET /?size=4000000 HTTP/1.1\r\nHost: a\r\n\r\n").recv_until(b"\r\n\r\n")
    eventually(lambda: kept(front))
    got = front.get("/?size=4000000")
    assert (got.header("X-Cache"), len(got.body)) == ("HIT", 4_000_000)


SPOIL = {
    "cut": lambda data: data[:-1],
    "longer": lambda data: data + b"x",
    "empty": lambda data: b"",
    "another version": lambda data: data[:8] + b"\x09" + data[9:],
    "a bit in the head": lambda data: data[:150] + bytes([data[150] ^ 1]) + data[151:],
    "foreign": lambda data: b"\x05" + bytes(500),
    "a large length": lambda data: data[:60] + b"\xff" * 8 + data[68:],
}


@pytest.mark.parametrize("how", SPOIL)
def test_a_spoiled_file_is_a_miss_and_goes(proxy: Any, backend: FickleBackend, how: str) -> None:
    front = start(proxy, backend)
    front.get("/")
    (file,) = kept(front)
    file.write_bytes(SPOIL[how](file.read_bytes()))
    got = front.get("/")
    assert (got.header("X-Cache"), got.body) == ("MISS", b"answer 2")
    front.logged("can not be used and is removed", name="error.log")
    assert status(front) == "HIT"


def test_a_file_of_another_key_is_not_given(proxy: Any, backend: FickleBackend) -> None:
    front = start(proxy, backend)
    front.get("/a")
    (first,) = kept(front)
    front.get("/b")
    second = next(file for file in kept(front) if file != first)
    second.write_bytes(first.read_bytes())
    assert front.get("/b").body == b"answer 3"


def test_links_are_not_followed(proxy: Any, backend: FickleBackend) -> None:
    front = start(proxy, backend)
    front.get("/")
    (file,) = kept(front)
    elsewhere = front.directory / "elsewhere"
    file.rename(elsewhere)
    file.symlink_to(elsewhere)
    assert status(front) == "MISS"
    assert elsewhere.exists() and not file.is_symlink()


@contextmanager
def full_disk() -> Iterator[None]:
    """Let what is started here have no file of more than 2 MiB, which stands for a disk that gets full."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (2 << 20, before[1]))
    old = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
        signal.signal(signal.SIGXFSZ, old)


def test_a_full_disk_costs_the_cache_and_not_the_answer(proxy: Any, backend: FickleBackend) -> None:
    with full_disk():
        front = start(proxy, backend, expect=["File too large"])
    for _ in range(2):
        got = front.get("/?size=5000000", timeout=30)
        assert (got.status, len(got.body), got.header("X-Cache")) == (200, 5_000_000, "MISS")
    assert not [path for path in (front.directory / "kept").rglob("*") if path.is_file()]
    assert (status(front, "/small"), status(front, "/small")) == ("MISS", "HIT")


def test_what_a_full_disk_cut_off_is_gone_before_the_answer_ends(proxy: Any, raw_backend: Any) -> None:
    size = 3 << 20
    backend = raw_backend([read_head, b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % (size + 1), bytes(size), hold])
    with full_disk():
        front = start(proxy, backend, expect=["File too large"])
    with front.client() as client:
        client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n").recv_until(b"\r\n\r\n")
        client.recv_exactly(size)
        assert not [path for path in (front.directory / "kept").rglob("*") if path.is_file()]


def test_what_nobody_asks_for_goes(proxy: Any, backend: FickleBackend) -> None:
    front = start(proxy, backend, path="inactive=1s")
    front.get("/")
    assert kept(front)
    eventually(lambda: not kept(front), timeout=40)


def test_a_cache_is_no_larger_than_it_may_be(proxy: Any, backend: FickleBackend) -> None:
    front = start(proxy, backend, path="max_size=100k")
    for number in range(19):
        front.get(f"/{number}?size=20000")
    # When an entry was used is known to the second: the last one is to be the newest.
    second = int(time.time())
    eventually(lambda: int(time.time()) > second)
    front.get("/19?size=20000")
    eventually(lambda: sum(map(on_disk, kept(front))) <= 100 << 10, timeout=40)
    assert status(front, "/19?size=20000") == "HIT"


def test_an_index_that_is_full_lets_the_oldest_go(proxy: Any, backend: FickleBackend) -> None:
    values = {"more": "", "workers": 1, "path": "", "temp": "off"}
    front = proxy(CONF.replace("one:1m", "one:8k"), ports={"back": backend.port}, values=values)
    for number in range(400):
        front.get(f"/{number}")
    assert len(kept(front)) <= 8192 // 64
    assert status(front, "/399") == "HIT"


def test_purging_takes_away_what_is_kept(proxy: Any, backend: FickleBackend) -> None:
    front = start(proxy, backend, "proxy_cache_key $uri; proxy_cache_purge $http_x_purge;")
    purge = {"X-Purge": "1"}
    for path in ("/a/1", "/a/2", "/b"):
        front.get(path + "?vary=x-a", {"X-A": "1"})
        front.get(path + "?vary=x-a", {"X-A": "2"})
    assert [front.get("/a/1", purge).status for _ in (1, 2)] == [204, 404]
    assert [status(front, "/a/1?vary=x-a", headers={"X-A": value}) for value in "12"] == ["MISS", "MISS"]
    assert front.get("/a/*", purge).status == 204
    assert [status(front, f"{path}?vary=x-a", headers={"X-A": "1"}) for path in ("/a/1", "/a/2", "/b")] == [
        *("MISS", "MISS"),
        "HIT",
    ]


def test_head_alone_is_nothing_for_get(proxy: Any, backend: FickleBackend) -> None:
    front = start(proxy, backend, "proxy_cache_convert_head off; proxy_cache_key $uri;")
    assert front.get("/", method="HEAD").header("X-Cache") == "MISS"
    assert front.get("/", method="HEAD").header("X-Cache") == "HIT"
    assert (front.get("/").body, front.get("/").header("X-Cache")) == (b"answer 2", "HIT")


def test_handshakes_go_past_the_cache(proxy: Any, ws_backend: Any) -> None:
    front = proxy(
        CONF,
        ports={"back": ws_backend.port},
        values={"more": "websocket auto; proxy_cache_valid any 1h;", "workers": 1, "path": "", "temp": "off"},
    )
    head = (
        "GET / HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
        "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
    )
    for _ in (1, 2):
        with front.client() as client:
            assert client.send(head).recv_until(b"\r\n\r\n").startswith(b"HTTP/1.1 101")
    assert kept(front) == []


def test_stale_answers_while_one_fetches_behind(proxy: Any, backend: FickleBackend) -> None:
    front = start(proxy, backend, "proxy_cache_use_stale updating; proxy_cache_background_update on;")
    target = "/?cache-control=max-age=1"
    front.get(target)
    time.sleep(2.2)
    backend.gate.clear()
    assert status(front, target) == "STALE"
    eventually(lambda: backend.count == 2)
    assert (status(front, target), backend.count) == ("UPDATING", 2)
    backend.gate.set()
    eventually(lambda: front.get(target).body != b"answer 1")

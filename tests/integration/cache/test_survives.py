"""What is kept outlives the program that has kept it: an upgrade, and the sudden death of the cache manager or of the
master."""

import os
import re
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from harness.backends import hold, read_head
from harness.backends.fickle import FickleBackend
from harness.processes import children, gone
from harness.proxy import Proxy
from harness.waiting import eventually

CONF = """
    worker_processes 2;
    error_log error.log notice;
    http {
        proxy_cache_path {dir}/kept levels=1:2 keys_zone=one:1m use_temp_path=off inactive=10m;
        server {
            listen 127.0.0.1:{port:front};
            proxy_cache one;
            proxy_cache_valid 1h;
            add_header X-Cache $upstream_cache_status always;
            add_header X-Pid $pid always;
            location / { proxy_pass http://127.0.0.1:{port:back}; }
        }
    }
    """
WORKER = r"start worker process (\d+)"


@pytest.fixture
def backend() -> Iterator[FickleBackend]:
    with FickleBackend() as made:
        yield made


def seen(front: Proxy, target: str) -> tuple[str | None, bytes]:
    got = front.get(target, timeout=30)
    return got.header("X-Cache"), got.body


def workers_of(front: Proxy) -> set[int]:
    return {int(pid) for pid in re.findall(WORKER, front.error_log())}


def end(front: Proxy, number: signal.Signals) -> set[int]:
    """End the master that the pid file names; its former children."""
    pid = front.pid
    family = children(pid)
    os.kill(pid, number)
    if front._process is not None and front._process.pid == pid:
        front._process.wait(30)
    eventually(lambda: gone(pid))
    return family


@pytest.mark.alone
def test_an_upgrade_keeps_what_is_kept(proxy: Any, backend: FickleBackend) -> None:
    front: Proxy = proxy(CONF, ports={"back": backend.port})
    assert seen(front, "/a") == ("MISS", b"answer 1")
    old = front.pid
    front.send_signal(signal.SIGUSR2)
    front.successor(old, 3)
    # Both programs serve, and each gives what the other one has kept.
    assert seen(front, "/b") == ("MISS", b"answer 2")
    for _ in range(20):
        assert (seen(front, "/a"), seen(front, "/b")) == (("HIT", b"answer 1"), ("HIT", b"answer 2"))
    os.kill(old, signal.SIGQUIT)
    eventually(lambda: gone(old))
    assert (seen(front, "/a"), seen(front, "/b")) == (("HIT", b"answer 1"), ("HIT", b"answer 2"))
    assert backend.count == 2
    end(front, signal.SIGTERM)


def test_the_cache_manager_is_not_needed_to_serve(proxy: Any, backend: FickleBackend) -> None:
    front: Proxy = proxy(CONF, ports={"back": backend.port}, expect=["has ended; another one begins"])
    assert seen(front, "/a") == ("MISS", b"answer 1")
    (manager,) = front.children() - workers_of(front)
    os.kill(manager, signal.SIGKILL)
    front.logged(f"the cache manager process {manager} has ended", name="error.log")
    assert seen(front, "/a") == ("HIT", b"answer 1")
    assert (seen(front, "/b"), seen(front, "/b")) == (("MISS", b"answer 2"), ("HIT", b"answer 2"))
    # Another one, at once where it has something else to do, knows what it did not see itself.
    front.reload(CONF.replace("inactive=10m", "inactive=1s"))
    eventually(lambda: not [path for path in (front.directory / "kept").rglob("*") if path.is_file()], timeout=60)
    assert seen(front, "/a") == ("MISS", b"answer 3")


def test_after_the_death_of_the_master_nothing_half_written_is_given(
    proxy: Any, raw_backend: Any, tmp_path: Path
) -> None:
    whole = bytes(range(256)) * 1000
    head = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(whole)
    small = b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nsmall"
    backend = raw_backend([read_head, small], [read_head, head + whole[:100_000], hold], [read_head, head + whole])
    front: Proxy = proxy(
        CONF, ports={"back": backend.port}, directory=tmp_path / "one", expect=["master process is gone", "signal 9"]
    )
    assert seen(front, "/small") == ("MISS", b"small")
    workers = workers_of(front)
    with front.client() as client:
        client.send("GET /large HTTP/1.1\r\nHost: a\r\n\r\n").recv_until(whole[:1000])
        # The workers first: one that outlives its master would go on writing.
        master = front.pid
        family = children(master)
        os.kill(master, signal.SIGSTOP)
        for pid in workers:
            os.kill(pid, signal.SIGKILL)
        os.kill(master, signal.SIGKILL)
        assert front._process is not None
        front._process.wait(30)
        front._process = None
        # Who is being killed has its address a moment longer.
        eventually(lambda: all(gone(pid) for pid in family))
    begun = [path for path in (front.directory / "kept").rglob("*") if path.is_file()]
    assert len(begun) == 2
    (front.directory / "nginx.pid").unlink()  # or the harness would take the dead one for the new one
    front.start()
    assert seen(front, "/small") == ("HIT", b"small")
    assert seen(front, "/large") == ("MISS", whole)
    eventually(lambda: len([path for path in (front.directory / "kept").rglob("*") if len(path.name) == 32]) == 2)
    assert [seen(front, "/large") for _ in range(3)] == [("HIT", whole)] * 3

"""A gigabyte in a cache, four workers, and all that can happen to them: processes that are killed, a full disk, spoiled
files, reloads. Every body that a client gets is looked at: none is ever wrong (`make soak`).

PENSTOCK_SOAK_CACHE says for how many seconds things happen, two minutes unless it is set. What is spoiled is what can
be told: a head, a length, a file in another's place; no sum is kept of bodies, whose bytes are the disk's business.
"""

from __future__ import annotations

import http.client
import os
import random
import resource
import shutil
import signal
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from harness.backends.echo import Echoed, HttpEcho
from harness.proxy import Proxy
from harness.waiting import eventually

SECONDS = float(os.environ.get("PENSTOCK_SOAK_CACHE", "120"))
KEYS = 3000
KEPT = 1 << 30
CLIENTS = 8
BRIEF = 10
"""Every so manieth key is good for a second, and then fetched anew or confirmed."""
NEXT_VERSION = 2.0
LONGEST_FILE = 256 << 10
"""Bytes, while the disk is full."""

pytestmark = [
    pytest.mark.slow,
    pytest.mark.timeout(SECONDS + 900),
    pytest.mark.skipif(not os.environ.get("PENSTOCK_SOAK"), reason="takes minutes: make soak"),
]

SITE = """
    worker_processes 4;
    error_log error.log notice;
    http {
        access_log off;
        proxy_cache_path {dir}/kept levels=1:2 keys_zone=one:2m inactive=1h max_size=1100m use_temp_path=off;
        server {
            listen 127.0.0.1:{port:front};
            proxy_cache one;
            proxy_cache_lock on;
            proxy_cache_revalidate on;
            proxy_cache_background_update on;
            proxy_cache_use_stale updating error timeout;
            add_header X-Cache $upstream_cache_status always;
            location / { proxy_pass http://127.0.0.1:{port:back}; }
        }
    }
    """
EXPECTED = (
    *("signal 9", "master process is gone", "process \\d+ has ended"),
    *("can not be used and is removed", "File too large"),
)


def body_of(number: int, version: int) -> bytes:
    """What the backend says under a key at a time: nothing else is right, nor a mixture of two."""
    size = 200 + number % 7 if number % 3 == 0 else 1000 * (number % 1400) + version % 7
    unit = b"%08d.%06d|" % (number, version)
    return (unit * (size // len(unit) + 1))[:size]


class Source(HttpEcho):
    """The backend. Its `version` grows."""

    def __init__(self) -> None:
        self.version = 1
        super().__init__("source", self._answer)

    def _answer(self, request: Echoed) -> bytes:
        self.requests.clear()
        number, version = int(request.target[1:]), self.version
        tag = f'"{number}.{version}"'
        age = 1 if number % BRIEF == 0 else 3600
        more = f"ETag: {tag}\r\nX-Version: {version}\r\nCache-Control: max-age={age}\r\nAccept-Ranges: bytes\r\n"
        if request.header("If-None-Match") == tag:
            return f"HTTP/1.1 304 Same\r\n{more}\r\n".encode()
        body = body_of(number, version)
        return f"HTTP/1.1 200 OK\r\n{more}Content-Length: {len(body)}\r\n\r\n".encode() + body


class Load:
    """Clients that ask for anything, and look at what they get. `told` counts what came of it, `wrong` are the answers
    that may not be."""

    def __init__(self, port: int) -> None:
        self.port = port
        self.told: Counter[str] = Counter()
        self.wrong: list[str] = []
        self._over = threading.Event()
        self._threads = [threading.Thread(target=self._run, args=(seed,)) for seed in range(CLIENTS)]

    def __enter__(self) -> Load:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        for thread in self._threads:
            thread.join()

    def _run(self, seed: int) -> None:
        chance = random.Random(seed)
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)
        while not self._over.is_set() and not self.wrong:
            number = int(KEYS * chance.random() ** 2)
            try:
                if not self.ask(connection, number, chance):
                    connection.close()
            except (OSError, http.client.HTTPException):
                self.told["broken off"] += 1
                connection.close()
        connection.close()

    def ask(self, connection: http.client.HTTPConnection, number: int, chance: random.Random) -> bool:
        """Ask once, for all of it or a part; return whether the connection may be used again. Raises where it breaks
        off."""
        method = "HEAD" if chance.random() < 0.05 else "GET"
        headers = {}
        if chance.random() < 0.15:
            start = chance.randrange(0, 400_000)
            headers["Range"] = f"bytes={start}-{start + chance.randrange(300_000)}"
        connection.request(method, f"/{number}", headers=headers)
        answer = connection.getresponse()
        if method == "GET" and chance.random() < 0.03:
            answer.read(1000)
            return False
        data = answer.read()
        self.told[f"{answer.status} {answer.getheader('X-Cache')}"] += 1
        why = self._judge(number, answer, data, headers.get("Range"), head=method == "HEAD")
        if why:
            self.wrong.append(f"{method} /{number} {headers}: {answer.status} {answer.getheaders()}: {why}")
        return not answer.will_close

    def _judge(
        self, number: int, answer: http.client.HTTPResponse, data: bytes, asked: str | None, *, head: bool
    ) -> str:
        """What is wrong with an answer; "" where nothing is."""
        if answer.status == 416 and asked:
            size = int((answer.getheader("Content-Range") or "").rpartition("/")[2])
            sizes = {len(body_of(number, version)) for version in range(7)}
            return "" if size in sizes and int(asked[6:].partition("-")[0]) >= min(sizes) else "it has that part"
        if answer.status not in (200, 206):
            return "no status that it can have"
        version = int(answer.getheader("X-Version") or "0")
        if answer.getheader("ETag") != f'"{number}.{version}"':
            return "the tag is another one's"
        whole = body_of(number, version)
        if answer.status == 206:
            given = (answer.getheader("Content-Range") or "").removeprefix("bytes ").partition("/")[0]
            first, _, last = given.partition("-")
            if f"bytes={first}" != (asked or "").partition("-")[0]:
                return "it is another part"
            whole = whole[int(first) : int(last) + 1]
        if head:
            return "" if int(answer.getheader("Content-Length") or "-1") == len(whole) else "the length is wrong"
        return "" if data == whole else f"the body is not that of version {version}"


def kept(front: Proxy) -> list[Path]:
    """The files of the cache; some may be gone already."""
    return [path for path in (front.directory / "kept").rglob("*") if len(path.name) == 32]


def size_of(front: Proxy) -> int:
    total = 0
    for path in kept(front):
        with suppress(OSError):
            total += path.stat().st_size
    return total


def workers(front: Proxy) -> list[int]:
    return sorted(pid for pid in front.children() if b"worker process" in title(pid))


def title(pid: int) -> bytes:
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return b""


def kill_a_worker(front: Proxy, chance: random.Random) -> None:
    before = workers(front)
    os.kill(chance.choice(before), signal.SIGKILL)
    eventually(lambda: len(workers(front)) == 4 and workers(front) != before, 60)


def kill_the_manager(front: Proxy, chance: random.Random) -> None:
    """It comes again by itself, later."""
    for pid in front.children():
        if b"cache manager" in title(pid):
            os.kill(pid, signal.SIGKILL)


def spoil(front: Proxy, chance: random.Random) -> None:
    files = kept(front)
    for path in chance.sample(files, min(40, len(files))):
        with suppress(OSError):
            match chance.randrange(6):
                case 0:
                    os.truncate(path, chance.randrange(path.stat().st_size))
                case 1:
                    with path.open("r+b") as file:
                        file.seek(chance.randrange(100))
                        file.write(chance.randbytes(3))
                case 2:
                    with path.open("ab") as file:
                        file.write(b"more")
                case 3:  # whole, and another's
                    beside = path.with_suffix(".other")
                    shutil.copyfile(chance.choice(files), beside)
                    beside.rename(path)
                case 4:
                    path.unlink()
                    path.symlink_to(chance.choice(files))
                case _:
                    path.unlink()


def fill_the_disk(front: Proxy, chance: random.Random) -> None:
    """A limit on the size of files stands for the disk, for some seconds."""
    pids = workers(front)
    for longest in (LONGEST_FILE, resource.RLIM_INFINITY):
        for pid in pids:
            with suppress(ProcessLookupError):
                resource.prlimit(pid, resource.RLIMIT_FSIZE, (longest, resource.RLIM_INFINITY))
        time.sleep(3)


def reload(front: Proxy, chance: random.Random) -> None:
    front.reload()
    eventually(lambda: len(workers(front)) >= 4, 60)


FAULTS: tuple[Callable[[Proxy, random.Random], None], ...] = (
    kill_a_worker,
    spoil,
    reload,
    fill_the_disk,
    kill_the_manager,
    spoil,
    reload,
    kill_a_worker,
)


@pytest.fixture
def source() -> Iterator[Source]:
    with Source() as made:
        yield made


def test_no_answer_is_ever_wrong(proxy: Any, source: Source) -> None:
    front = proxy(SITE, ports={"back": source.port}, expect=EXPECTED, fresh=True)
    chance = random.Random(1)
    done: Counter[str] = Counter()
    with Load(front.port()) as load:
        eventually(lambda: load.wrong or size_of(front) >= KEPT, 600, every=1.0)
        full = size_of(front)
        until, number, due = time.monotonic() + SECONDS, 0, 0.0
        while not load.wrong and (time.monotonic() < until or number < len(FAULTS)):
            fault = FAULTS[number % len(FAULTS)]
            fault(front, chance)
            done[fault.__name__] += 1
            number += 1
            if time.monotonic() > due:
                source.version += 1
                due = time.monotonic() + NEXT_VERSION
            time.sleep(0.5)
    assert load.wrong == []
    die_at_once(front)
    front.start()
    connection = http.client.HTTPConnection("127.0.0.1", front.port(), timeout=60)
    for number in range(KEYS):
        if not load.ask(connection, number, chance):
            connection.close()
    connection.close()
    assert load.wrong == []
    print(f"\n{full >> 20} MiB kept, {dict(done)}\n{dict(sorted(load.told.items()))}")
    answers = sum(count for what, count in load.told.items() if what != "broken off")
    assert load.told["broken off"] < answers / 20
    assert load.told["200 HIT"] > answers / 4


def die_at_once(front: Proxy) -> None:
    """Kill the master and all its children."""
    master, family = front.pid, front.children()
    os.kill(master, signal.SIGSTOP)
    for pid in (*family, master):
        os.kill(pid, signal.SIGKILL)
    assert front._process is not None
    front._process.wait(30)
    front._process = None
    (front.directory / "nginx.pid").unlink()  # or the harness would take the dead one for the new one

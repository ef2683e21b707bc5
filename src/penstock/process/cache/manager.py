"""Looks after the files of all caches, in a process of its own (nginx: ngx_http_file_cache_manager and _loader).

It goes through the folders once, so that what was kept before is known, and then sees to it that what nobody asks for
goes, and that no cache is larger than it may be. Workers need it for neither: a file that it does not know is found all
the same. It ends with the master, whatever ended that.
"""

from __future__ import annotations

import os
import select
from heapq import nsmallest
from time import monotonic, time
from typing import TYPE_CHECKING

from penstock.config.os_errors import os_failure
from penstock.modules.cache.purge import files_of
from penstock.observe.errorlog import CRIT, NOTICE, WARN, report
from penstock.upstream.cache.store import NAME

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from penstock.shared.cache_index import Place
    from penstock.upstream.cache.store import CacheStore, Stride

LONGEST_WAIT = 10.0
SHARE = 20
"""Of this many seconds, one at most is spent looking through an index."""
AT_ONCE = 4096
"""Places of an index that are copied in one go."""
OLD = 3600.0
"""Seconds after which a file that was begun is one that nobody goes on with."""


class MasterGone(Exception):
    """Raised when the other end of the pipe is closed."""


class Walk:
    """Does no more in one go than a stride says: `step` after each file. `life` is a pipe from the master."""

    def __init__(self, stride: Stride, life: int) -> None:
        self._stride = stride
        self._life = life
        self._files = 0
        self._began = monotonic()

    def step(self) -> None:
        """Wait, if enough has been done. Raises `MasterGone`."""
        self._files += 1
        stride = self._stride
        if self._files >= stride.files or monotonic() - self._began >= stride.threshold:
            wait(self._life, stride.sleep)
            self._files, self._began = 0, monotonic()


def wait(life: int, seconds: float) -> None:
    """Wait so long. Raises `MasterGone`."""
    if select.select([life], [], [], max(0.0, seconds))[0]:
        raise MasterGone


def manage(stores: Sequence[CacheStore], life: int) -> None:
    """Look after caches until the other end of the pipe `life` is closed."""
    try:
        due = dict.fromkeys(range(len(stores)), monotonic())
        loading = [store for store in stores if not store.index.loaded]
        while True:
            for at, store in enumerate(stores):
                if due[at] <= monotonic():
                    began = monotonic()
                    soon = expire(store, life)
                    due[at] = monotonic() + max(min(soon, LONGEST_WAIT), SHARE * (monotonic() - began))
            if loading:
                load(loading.pop(), life)
                continue
            wait(life, min(due.values()) - monotonic())
    except MasterGone:
        return


def load(store: CacheStore, life: int) -> None:
    """Note all files that a cache has on disk. Raises `MasterGone`."""
    walk = Walk(store.loader, life)
    count = 0
    for path, name in files_of(store.path):
        digest = bytes.fromhex(name)
        try:
            about = os.lstat(path)
            if store.place(digest).encode("latin-1") != path:
                os.unlink(path)  # noqa: PTH108  bytes; other levels were in force when it came
            elif store.index.find(digest) < 0:
                store.note(digest, about.st_blocks * 512, about.st_ino, int(time()))
                count += 1
        except OSError as error:
            report(None, CRIT, os_failure("lstat()", error, path.decode("latin-1")))
        walk.step()
    for path in _begun(store.path):
        try:
            if time() - os.lstat(path).st_mtime > OLD:
                os.unlink(path)  # noqa: PTH108
        except OSError as error:
            report(None, WARN, os_failure("unlink()", error, path.decode("latin-1")))
        walk.step()
    store.index.loaded = True
    report(None, NOTICE, f'cache "{store.name}": {count} files were there')


def _begun(folder: str) -> Iterator[bytes]:
    """Files that were begun and are no entries: their names are ten digits, or end with `.new`."""
    for root, _, names in os.walk(folder.encode("latin-1")):
        for name in names:
            stem = name.removesuffix(b".new")
            if (len(name) == 10 and name.isdigit()) or (stem != name and len(stem) == NAME):
                yield b"%b/%b" % (root, name)


def expire(store: CacheStore, life: int) -> float:
    """Take away what is too old or too much. Return in how many seconds to look again. Raises `MasterGone`."""
    index = store.index
    walk = Walk(store.manager, life)
    now = int(time())
    places: list[Place] = []
    total = 0
    soon = LONGEST_WAIT
    for begin in range(0, index.places, AT_ONCE):
        for place in index.all(begin, AT_ONCE):
            left = place.used + store.inactive - now
            if left < 0:
                _drop(store, place)
                walk.step()
                continue
            soon = min(soon, left + 1.0)
            total += place.size
            places.append(place)
    most = index.places - index.places // 8
    surplus = len(places) - most
    excess = 0 if store.most is None else total - store.most
    lacking = _lacking(store)
    if surplus <= 0 and excess <= 0 and lacking <= 0:
        return soon
    for place in nsmallest(len(places), places, key=_by_use):
        if surplus <= 0 and excess <= 0 and lacking <= 0:
            break
        if _drop(store, place):
            surplus -= 1
            excess -= place.size
            lacking -= place.size
            if lacking <= 0 < store.free:
                lacking = _lacking(store)
        walk.step()
    return soon


def _by_use(place: Place) -> int:
    return place.used


def _lacking(store: CacheStore) -> int:
    """How many bytes fewer are free on the file system than shall be."""
    if not store.free:
        return 0
    try:
        about = os.statvfs(store.path.encode("latin-1"))
    except OSError as error:
        report(None, CRIT, os_failure("statvfs()", error, store.path))
        return 0
    return store.free - about.f_bavail * about.f_frsize


def _drop(store: CacheStore, place: Place) -> bool:
    """Take a file away that has not been asked for meanwhile, and that nobody fetches."""
    if place.owner and store.index.is_claimed(place.digest, monotonic()):
        return False
    if not store.index.forget(place.digest, place):
        return False
    if place.stamp:
        store.unlink(place.digest)
    return True

"""Taking away what is kept (`*_cache_purge`, as nginx Plus documents it)."""

from __future__ import annotations

import asyncio
import os
from typing import TYPE_CHECKING

from penstock.http.cache.entry import BadEntry, length_of, unpack
from penstock.http.request import Answer, special
from penstock.upstream.cache.store import NAME, READ, digest_of

if TYPE_CHECKING:
    from collections.abc import Iterator

    from penstock.http.request import Request
    from penstock.upstream.cache.store import CacheStore

AT_ONCE = 50
"""Files that are looked at before others have their turn."""


async def purge(request: Request, store: CacheStore, key: str) -> Answer:
    """Take away what is kept under a key, or under all keys that begin with what stands before a `*` at its end."""
    request.go_on()
    if key.endswith("*"):
        await _purge_all(store, key[:-1].encode("latin-1"))
        return Answer(204)
    # What varies from it belongs to the family that goes with it (`http.cache.entry.CacheEntry`).
    return Answer(204) if store.remove(digest_of(key.encode("latin-1"))) else special(404)


async def _purge_all(store: CacheStore, begin: bytes) -> None:
    for count, (path, name) in enumerate(files_of(store.path)):
        if count % AT_ONCE == AT_ONCE - 1:
            await asyncio.sleep(0)
        key = _key_of(path)
        if key is not None and key.startswith(begin):
            store.remove(bytes.fromhex(name))


def files_of(folder: str) -> Iterator[tuple[bytes, str]]:
    """List the files of a cache: path, name. Links are not followed."""
    for root, _, names in os.walk(folder.encode("latin-1")):
        for name in names:
            text = name.decode("latin-1")
            if len(text) == NAME and not text.strip("0123456789abcdef"):
                yield b"%b/%b" % (root, name), text


def _key_of(path: bytes) -> bytes | None:
    try:
        fd = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError:
        return None
    try:
        first = os.pread(fd, READ, 0)
        total = length_of(first)
        if total > len(first):
            first += os.pread(fd, total - len(first), len(first))
        return unpack(first, os.fstat(fd).st_size).key
    except (BadEntry, OSError):
        return None
    finally:
        os.close(fd)

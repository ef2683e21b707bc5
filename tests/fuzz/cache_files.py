"""Open files that are nearly entries of a cache: `make fuzz`.

    python tests/fuzz/cache_files.py [seconds] [seed]

A file that is opened is the one that was written, byte for byte where it matters: its key, its head, where its body
is. Anything else is a miss, and is gone afterwards. A round has a seed, which is printed when something is wrong; given
again, the round is repeated.
"""

from __future__ import annotations

import os
import random
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

from penstock.http.cache.entry import FIXED, CacheEntry, pack
from penstock.shared.cache_index import CacheIndex
from penstock.upstream.cache.store import CacheStore, digest_of

KEY = b"http://backend/path?query"


def main() -> int:
    seconds = float(sys.argv[1]) if len(sys.argv) > 1 else 30.0
    seed = int(sys.argv[2]) if len(sys.argv) > 2 else random.SystemRandom().randrange(1 << 32)
    done: Counter[str] = Counter()
    until = time.monotonic() + seconds
    with tempfile.TemporaryDirectory() as folder:
        store = CacheStore("fuzz", folder, (1, 2), shared=CacheIndex("fuzz", 1 << 15))
        while time.monotonic() < until or not done:
            try:
                done[one_round(random.Random(seed), store)] += 1
            except BaseException:
                print(f"seed {seed}: python {sys.argv[0]} 0 {seed}", file=sys.stderr)
                raise
            seed += 1
    print(f"{done['whole']} files that were whole, {done['spoiled']} that were not: nothing wrong was given")
    return 0


def one_round(chance: random.Random, store: CacheStore) -> str:
    """Write a file, whole or spoiled, and open it. Return which it was."""
    entry = an_entry(chance)
    data = pack(entry) + chance.randbytes(entry.body_length)
    spoiled = data if chance.random() < 0.2 else spoil(chance, data, entry.start)
    digest = digest_of(KEY)
    path = Path(store.place(digest))
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(spoiled)
    opened = store.open(digest, KEY)
    whole = spoiled[: entry.start] == data[: entry.start] and len(spoiled) == len(data)
    if opened is None:
        assert not whole, "a good entry was thrown away"
        assert not path.exists(), "a bad file is still there"
        return "spoiled"
    try:
        assert whole, "a bad file was taken for an entry"
        assert opened.entry == entry
        assert os.pread(opened.fd, entry.body_length, entry.start) == spoiled[entry.start :]
    finally:
        opened.close()
    return "whole"


def an_entry(chance: random.Random) -> CacheEntry:
    """Make an entry with everything that may be in one."""

    def some(most: int) -> bytes:
        return chance.randbytes(chance.randrange(most))

    return CacheEntry(
        KEY,
        b"HTTP/1.1 200 OK\r\nX: " + some(6000) + b"\r\n\r\n",
        chance.getrandbits(40),
        chance.getrandbits(40),
        chance.getrandbits(40),
        chance.getrandbits(40),
        chance.getrandbits(40) - 1,
        some(128),
        some(128),
        chance.randbytes(16),
        chance.randbytes(8),
        chance.randrange(200),
        chance.random() < 0.5,
    )


def spoil(chance: random.Random, data: bytes, start: int) -> bytes:
    """Change something, mostly in what stands before the body."""
    at = chance.randrange(FIXED if chance.random() < 0.7 else max(1, min(start, len(data))))
    match chance.randrange(5):
        case 0:
            return data[:at] + bytes([data[at] ^ (1 << chance.randrange(8))]) + data[at + 1 :]
        case 1:
            return data[:at]
        case 2:
            return data[:at] + chance.randbytes(chance.randrange(1, 9)) + data[at:]
        case 3:
            return data[:at] + data[at + chance.randrange(1, 9) :]
        case _:
            return data + chance.randbytes(chance.randrange(1, 9))


if __name__ == "__main__":
    sys.exit(main())

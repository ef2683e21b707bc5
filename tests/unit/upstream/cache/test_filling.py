"""An answer on its way into a file, with its client behind."""

import asyncio
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import cast

import pytest

from penstock.http.cache.entry import CacheEntry
from penstock.net.fiber import spawn
from penstock.shared.cache_index import CacheIndex
from penstock.upstream.cache.filling import Filling
from penstock.upstream.cache.keeping import Keeping
from penstock.upstream.cache.store import CacheStore, digest_of
from penstock.upstream.exchange.incoming import Incoming
from penstock.upstream.exchange.temp_file import TempFolder

KEY = b"key"


class Pieces:
    """A backend that says so much each time it is asked."""

    def __init__(self, pieces: list[bytes]) -> None:
        self._pieces = pieces
        self.exchange = SimpleNamespace(policy=SimpleNamespace(memory=100), stream=SimpleNamespace(loop=None))

    @property
    def done(self) -> bool:
        return not self._pieces

    async def read(self, most: int) -> bytes:
        await asyncio.sleep(0)
        return self._pieces.pop(0) if self._pieces else b""

    def close(self) -> None:
        self._pieces.clear()


@pytest.fixture
def store(tmp_path: Path) -> Iterator[CacheStore]:
    yield CacheStore("one", str(tmp_path), shared=CacheIndex("filling-test", 8192))


def test_who_has_all_of_it_finds_it_kept(store: CacheStore) -> None:
    async def run() -> list[tuple[bytes, bool]]:
        digest = digest_of(KEY)
        keeping = Keeping(store, TempFolder(store.path), digest, CacheEntry(KEY, b"", 10, 5), lambda: None)
        filling = Filling(cast("Incoming", Pieces([b"a", b"b", b"c"])), b"", keeping)

        async def take() -> list[tuple[bytes, bool]]:
            return [(piece, Path(store.place(digest)).exists()) async for piece in filling]

        client = spawn(take())
        while not client.done:
            await asyncio.sleep(0)
        filling.close()
        return client.take()

    assert asyncio.run(asyncio.wait_for(run(), 10)) == [(b"a", False), (b"b", False), (b"c", True)]

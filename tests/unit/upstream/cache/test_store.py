"""Where files lie, and how they come there."""

import tempfile
from collections.abc import Iterator
from itertools import count
from pathlib import Path

import pytest

from penstock.http.cache.entry import CacheEntry
from penstock.shared.cache_index import CacheIndex
from penstock.upstream.cache.keeping import Keeping
from penstock.upstream.cache.store import MOST_KNOWN, READ, CacheStore, digest_of
from penstock.upstream.exchange.temp_file import TempFolder

NAMES = map("store-test-{}".format, count())
KEY = b"key"
DIGEST = digest_of(KEY)


def store(folder: Path) -> CacheStore:
    return CacheStore("one", str(folder), (1, 2), shared=CacheIndex(next(NAMES), 8192))


def keep(kept: CacheStore, folder: Path, body: bytes = b"body") -> None:
    keeping = Keeping(kept, TempFolder(str(folder)), DIGEST, CacheEntry(KEY, b"head", 10, 5), lambda: None)
    try:
        keeping.append(body)
        keeping.complete(5)
    finally:
        keeping.close()


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.rglob("*") if path.is_file())


@pytest.fixture
def another_disk(tmp_path: Path) -> Iterator[Path]:
    """A folder on another file system than `tmp_path`."""
    memory = Path("/dev/shm")
    if not memory.is_dir() or memory.stat().st_dev == tmp_path.stat().st_dev:
        pytest.skip("/dev/shm is no other file system")
    with tempfile.TemporaryDirectory(dir=memory, prefix="penstock-") as name:
        yield Path(name)


def test_a_file_is_below_folders_of_its_last_digits(tmp_path: Path) -> None:
    kept = store(tmp_path / "kept")
    keep(kept, tmp_path)
    name = DIGEST.hex()
    assert names(tmp_path) == [name]
    assert (tmp_path / "kept" / name[-1] / name[-3:-1] / name).stat().st_mode & 0o777 == 0o600
    opened = kept.open(DIGEST, KEY)
    assert opened is not None
    assert opened.first.endswith(b"headbody")
    opened.close()


def test_the_first_file_of_a_folder_comes_from_another_file_system_too(tmp_path: Path, another_disk: Path) -> None:
    kept = store(another_disk)
    keep(kept, tmp_path)
    assert (names(another_disk), names(tmp_path)) == ([DIGEST.hex()], [])


def test_what_is_given_up_has_no_name_and_can_be_read(tmp_path: Path) -> None:
    keeping = Keeping(store(tmp_path), TempFolder(str(tmp_path)), DIGEST, CacheEntry(KEY, b"", 10, 5), lambda: None)
    keeping.append(b"body")
    assert len(names(tmp_path)) == 1
    keeping.give_up()
    assert (names(tmp_path), keeping.read(1, 9)) == ([], b"ody")
    keeping.close()


def test_what_is_another_file_under_the_same_name_is_read_anew(tmp_path: Path) -> None:
    kept = store(tmp_path)
    keep(kept, tmp_path, b"first")
    for body in (b"first", b"other"):
        keep(kept, tmp_path, body)
        opened = kept.open(DIGEST, KEY)
        assert opened is not None
        assert opened.first.endswith(body)
        opened.close()
    Path(kept.place(DIGEST)).unlink()
    assert kept.open(DIGEST, KEY) is None


def test_what_is_remembered_of_files_is_bounded(tmp_path: Path) -> None:
    kept = store(tmp_path)
    for number in range(300):
        key = b"%d" % number
        digest = digest_of(key)
        keeping = Keeping(kept, TempFolder(str(tmp_path)), digest, CacheEntry(key, b"head", 10, 5), lambda: None)
        keeping.append(bytes(READ - 200))
        keeping.complete(5)
        keeping.close()
        for _ in range(2):
            opened = kept.open(digest, key)
            assert opened is not None and opened.entry.key == key
            opened.close()
        assert kept.remembered(digest, key) is not None
        assert kept.weight == sum(each.weight for each in kept.known.values()) <= MOST_KNOWN
    Path(kept.place(digest)).unlink()
    assert kept.open(digest, key) is None
    assert kept.weight == sum(each.weight for each in kept.known.values())
    assert sum(len(each.first) for each in kept.known.values()) > READ

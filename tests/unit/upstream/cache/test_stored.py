"""A file that an answer becomes: beside its place on another file system, and never half."""

from __future__ import annotations

import errno
import os
import stat
from pathlib import Path
from typing import Any

import pytest

from penstock.upstream.cache.stored import StoredFile
from penstock.upstream.exchange.temp_file import CannotKeep, TempFolder


def stored(tmp_path: Path, name: str, access: int = 0o640, modified: int | None = 1_700_000_000) -> StoredFile:
    made = StoredFile(TempFolder(str(tmp_path / "temp")), str(tmp_path / name), access, modified)
    made.append(b"hello ")
    made.append(b"world")
    assert made.length == 11
    assert made.read(6, 100) == b"world"
    return made


def files(folder: Path) -> list[str]:
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())


@pytest.fixture(params=["here", "elsewhere"])
def away(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Whether the place is on another file system than the temporary folder."""
    if request.param == "here":
        return
    rename = os.rename

    def refused(source: bytes, target: bytes) -> None:
        if source.startswith(str(tmp_path / "temp").encode()):
            raise OSError(errno.EXDEV, "Invalid cross-device link")
        rename(source, target)

    monkeypatch.setattr(os, "rename", refused)


@pytest.mark.usefixtures("away")
@pytest.mark.parametrize("name", ["there", "some/folder/there"])
def test_it_is_there_when_it_is_complete(tmp_path: Path, name: str) -> None:
    made = stored(tmp_path, name)
    assert name not in files(tmp_path)
    made.complete(0)
    made.close()
    assert files(tmp_path) == [name]
    place = tmp_path / name
    assert place.read_bytes() == b"hello world"
    assert stat.S_IMODE(place.stat().st_mode) == 0o640
    assert place.stat().st_mtime == 1_700_000_000


def test_without_an_end_nothing_is_there(tmp_path: Path) -> None:
    stored(tmp_path, "there").close()
    given_up = stored(tmp_path, "other")
    given_up.give_up()
    assert given_up.read(0, 5) == b"hello"
    given_up.close()
    assert files(tmp_path) == []


@pytest.mark.usefixtures("away")
@pytest.mark.parametrize("name", ["folder", "a\0b"])
def test_what_can_not_be_leaves_nothing(tmp_path: Path, name: str) -> None:
    (tmp_path / "folder").mkdir()
    made = stored(tmp_path, name)
    with pytest.raises(CannotKeep):
        made.complete(0)
    made.close()
    assert files(tmp_path) == []


def test_no_room_for_a_copy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: Any) -> int:
        raise OSError(errno.ENOSPC, "No space left on device")

    def away(*_: Any) -> None:
        raise OSError(errno.EXDEV, "Invalid cross-device link")

    monkeypatch.setattr(os, "rename", away)
    monkeypatch.setattr(os, "copy_file_range", full)
    made = stored(tmp_path, "there")
    with pytest.raises(CannotKeep, match="28: No space left on device"):
        made.complete(0)
    made.close()
    assert files(tmp_path) == []

"""Temporary files, and what is said where they can not be."""

import os
from pathlib import Path

import pytest

from penstock.upstream.exchange.temp_file import CannotKeep, TempFile, TempFolder


def test_file_starts_over(tmp_path: Path) -> None:
    file = TempFile(TempFolder(str(tmp_path)))
    file.append(b"abc")
    assert file.read(1, 10) == b"bc"
    file.restart()
    file.append(b"x")
    assert file.read(0, 1) == b"x"
    file.remove()
    file.remove()


def test_levels_are_the_last_digits(tmp_path: Path) -> None:
    assert TempFolder("/t", (1, 2)).place(1234567890) == "/t/0/89/1234567890"
    assert TempFolder("/t", (2, 2, 1)).place(45) == "/t/45/00/0/0000000045"
    file = TempFile(TempFolder(str(tmp_path), (1, 2)), named=True)
    inside = Path(file.path).relative_to(tmp_path)
    name = inside.name
    assert (len(name), inside.parts) == (10, (name[9], name[7:9], name))
    assert {path.stat().st_mode & 0o777 for path in (tmp_path / name[9], Path(file.path).parent)} == {0o700}
    assert Path(file.path).stat().st_mode & 0o777 == 0o600
    file.remove()
    assert not Path(file.path).exists()


def test_folders_with_other_letters(tmp_path: Path) -> None:
    folder = tmp_path / "übergröße"
    file = TempFile(TempFolder(os.fsencode(folder).decode("latin-1")), named=True)
    assert len(list(folder.iterdir())) == 1
    file.remove()


def test_what_was_written_before_a_full_disk_stays(tmp_path: Path) -> None:
    file = TempFile(TempFolder(str(tmp_path), directive="proxy_temp_path"))
    file.append(b"abc")
    before = os.dup(file.fd)
    full = os.open("/dev/full", os.O_RDWR)
    os.dup2(full, file.fd)
    with pytest.raises(CannotKeep) as caught:
        file.append(b"def")
    assert str(caught.value) == (
        f'pwrite() "{file.path}" failed (28: No space left on device): make room there, or name another place with '
        "proxy_temp_path"
    )
    os.dup2(before, file.fd)
    assert (file.size, file.read(0, 10)) == (3, b"abc")
    for fd in (before, full):
        os.close(fd)
    file.remove()


def test_where_no_file_can_be(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(CannotKeep, match=r"file/\d{10}\" failed \(20: Not a directory\): name another place"):
        TempFile(TempFolder(str(tmp_path / "file")))
    with pytest.raises(CannotKeep, match=r"failed \(2: No such file or directory\): make the folder"):
        TempFile(TempFolder(str(tmp_path / "no" / "such"), (1,)))

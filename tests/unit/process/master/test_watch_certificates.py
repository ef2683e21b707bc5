"""Certificates that change on disk: read once they have stayed as they are, and not again before they change again."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from penstock.config.inputs import Record, stamp_of
from penstock.process.master import watch_certificates as module
from penstock.process.master.watch_certificates import AT_ONCE, EVERY, FileWatch


class Read(Record):
    """A record in which files are as they were at the beginning."""

    def __init__(self, *files: Path) -> None:
        self._stamps = {str(file): stamp_of(str(file)) for file in files}

    def stamp(self, name: str):  # type: ignore[no-untyped-def]
        return self._stamps.get(name)


@pytest.fixture
def pair(tmp_path: Path) -> tuple[Path, Path]:
    files = tmp_path / "a.crt", tmp_path / "a.key"
    for file in files:
        file.write_text("old")
    return files


def write(file: Path, text: str, at: int) -> None:
    file.write_text(text)
    os.utime(file, (at, at))


def test_a_file_is_read_when_it_has_stayed_as_it_is(pair: tuple[Path, Path]) -> None:
    crt, key = pair
    watch = FileWatch([str(crt), str(key)], Read(crt, key))
    assert watch.changed() == set()
    write(crt, "new", 1)
    assert watch.changed() == set(), "the key may be on its way"
    write(key, "new", 2)
    assert watch.changed() == set()
    assert watch.changed() == {str(crt), str(key)}
    assert watch.changed() == set(), "it was tried"
    write(key, "newer", 3)
    watch.changed()
    assert watch.changed() == {str(crt), str(key)}


def test_a_file_that_is_gone_is_waited_for(pair: tuple[Path, Path]) -> None:
    crt, key = pair
    watch = FileWatch([str(crt), str(key)], Read(crt, key))
    crt.unlink()
    watch.changed()
    assert watch.changed() == set()
    write(crt, "new", 1)
    watch.changed()
    assert watch.changed() == {str(crt)}


def test_many_files_are_looked_at_less_often(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "monotonic", lambda: 100.0)
    assert FileWatch(["/none"], Read()).due == 100 + EVERY
    many = FileWatch([f"/none/{number}" for number in range(10 * AT_ONCE)], Read())
    assert many.due == 110

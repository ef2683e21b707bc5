"""The folders for temporary files, as the master makes them. Real users: tests/integration/test_temp_files.py."""

import os
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from penstock.config.errors import Problems
from penstock.config.scope import Compilation
from penstock.config.source import Source, Span
from penstock.modules.core.temp_paths import FOLDERS, FolderInUse, default_folder
from penstock.process.startup.folders import prepare_folders
from penstock.process.startup.launch import NotStarted
from penstock.process.startup.privileges import User
from penstock.upstream.exchange.temp_file import TempFolder

WRITTEN = Span(Source("nginx.conf", "proxy_temp_path it;"), 0, 15)


def plan(path: Path, span: Span | None = None, directive: str = "proxy_temp_path") -> Any:
    place = FolderInUse(TempFolder(str(path), (), directive), span)
    return SimpleNamespace(shared={FOLDERS: {str(path): place}})


@pytest.mark.parametrize(
    ("prefix", "path"),
    [
        ("/srv/penstock/", "/srv/penstock/proxy_temp"),
        ("/etc/nginx/", "/var/cache/penstock/proxy_temp"),
        ("/etc/penstock/", "/var/cache/penstock/proxy_temp"),
    ],
)
def test_defaults_are_not_below_etc(prefix: str, path: str) -> None:
    compilation = Compilation(Problems(), prefix=prefix, folder=prefix)
    assert default_folder(compilation, "proxy_temp", "proxy_temp_path").path == path
    assert list(compilation.shared[FOLDERS]) == [path]


def test_made_once_and_private(tmp_path: Path) -> None:
    folder = tmp_path / "cache" / "proxy_temp"
    for _ in range(2):
        prepare_folders(plan(folder), None, console=True)
        assert folder.stat().st_mode & 0o777 == 0o700
        assert folder.parent.stat().st_mode & 0o700 == 0o700


def test_the_owner_may_do_everything(tmp_path: Path) -> None:
    folder = tmp_path / "it"
    folder.mkdir(mode=0o500)
    prepare_folders(plan(folder, WRITTEN), User("me", os.geteuid(), os.getegid()), console=True)
    assert folder.stat().st_mode & 0o777 == 0o700


def test_what_can_not_be_given_away_stops_the_start_where_it_was_written_down(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def refuse(*arguments: object) -> None:
        raise PermissionError(1, "Operation not permitted")

    monkeypatch.setattr(os, "chown", refuse)
    other = User("other", os.geteuid() + 1, os.getegid())
    with pytest.raises(NotStarted):
        prepare_folders(plan(tmp_path / "it", WRITTEN), other, console=True)
    assert f'chown("{tmp_path}/it", {other.uid}) failed (1: Operation not permitted) in nginx.conf:1' in _said(capsys)
    prepare_folders(plan(tmp_path / "it"), other, console=True)
    assert "[warn]" in _said(capsys)


def test_without_root_a_folder_of_others_is_only_mentioned(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(os, "access", lambda path, mode: False)
    prepare_folders(plan(tmp_path / "it", WRITTEN), None, console=True)
    said = _said(capsys)
    assert f'[warn] access() "{tmp_path}/it" failed (13: Permission denied) in nginx.conf:1' in said
    assert f"let user {os.geteuid()} write there" in said
    prepare_folders(plan(tmp_path / "it"), None, console=True)
    assert "answers will be read only as fast as clients take them; name another place with proxy_temp_path" in _said(
        capsys
    )


def _said(capsys: pytest.CaptureFixture[str]) -> str:
    return capsys.readouterr().err

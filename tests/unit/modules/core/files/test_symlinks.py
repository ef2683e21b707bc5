"""Paths that are walked part by part: what is refused of links, and that no descriptor stays."""

from __future__ import annotations

import errno
import os
from contextlib import suppress
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from harness.site import mistakes
from penstock.modules.core.files.symlinks import OPEN, SymlinkRule, WalkFailed, call_of, status_of

REQUEST: Any = None


def template(text: str) -> Any:
    return SimpleNamespace(evaluate=lambda _: text)


@pytest.fixture
def www(tmp_path: Path) -> Path:
    (tmp_path / "in").mkdir()
    (tmp_path / "in/file").write_text("inner")
    (tmp_path / "link").symlink_to("in/file")
    (tmp_path / "linked").symlink_to("in")
    return tmp_path


def descriptors() -> set[str]:
    found = set()
    for each in Path("/proc/self/fd").iterdir():
        with suppress(OSError):  # the one that lists the others
            found.add(f"{each.name} {each.readlink()}")
    return found


def opened(rule: SymlinkRule, path: str) -> str:
    before = descriptors()
    try:
        fd = rule.open(REQUEST, path, OPEN)
        try:
            return os.read(fd, 100).decode() if not Path(path).is_dir() else "folder"
        finally:
            os.close(fd)
    except OSError as error:
        return errno.errorcode[error.errno or 0]
    finally:
        # What earlier tests left to the collector may go meanwhile.
        assert not descriptors() - before


@pytest.mark.parametrize(
    ("name", "found"),
    [
        ("in/file", "inner"),
        ("in//file", "inner"),
        ("in/", "folder"),
        ("in", "folder"),
        ("link", "ELOOP"),
        ("linked/file", "ENOTDIR"),
        ("linked/", "ENOTDIR"),
        ("in/none", "ENOENT"),
        ("none/file", "ENOENT"),
        ("in/file/more", "ENOTDIR"),
    ],
)
def test_no_link_at_all(www: Path, name: str, found: str) -> None:
    assert opened(SymlinkRule(False, None), f"{www}/{name}") == found


@pytest.mark.parametrize(
    ("start", "name", "found"),
    [
        ("{www}", "linked/file", "ENOTDIR"),
        ("{www}/linked", "linked/file", "inner"),
        ("{www}/linked/", "linked/file", "inner"),
        ("{www}/link", "link", "inner"),
        ("{www}/li", "linked/file", "ENOTDIR"),
        ("", "link", "ELOOP"),
        ("/elsewhere", "link", "ELOOP"),
    ],
)
def test_a_part_that_is_not_looked_at(www: Path, start: str, name: str, found: str) -> None:
    rule = SymlinkRule(False, template(start.format(www=www)))
    assert opened(rule, f"{www}/{name}") == found


def test_links_of_the_owner(www: Path) -> None:
    rule = SymlinkRule(True, None)
    assert opened(rule, f"{www}/link") == "inner"
    assert opened(rule, f"{www}/linked/file") == "inner"
    if os.geteuid() == 0:
        os.chown(www / "linked", 12345, -1, follow_symlinks=False)
        assert opened(rule, f"{www}/linked/file") == "ELOOP"


def test_what_is_relative(www: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(www)
    assert opened(SymlinkRule(False, None), "in/file") == "inner"
    assert opened(SymlinkRule(False, None), "link") == "ELOOP"


def test_a_status_and_which_call_failed(www: Path) -> None:
    rule = SymlinkRule(False, None)
    assert status_of(REQUEST, f"{www}/in/file", rule).st_size == 5
    assert status_of(REQUEST, f"{www}/link", None).st_size == 5
    with pytest.raises(WalkFailed) as failed:
        status_of(REQUEST, f"{www}/link", rule)
    assert call_of(failed.value, "stat()") == "openat()"
    assert call_of(OSError(), "stat()") == "stat()"
    with pytest.raises(ValueError, match="null byte"):
        status_of(REQUEST, f"{www}/a\0b", rule)


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("on off", 'duplicate parameters "on off"'),
        ("from=x", '"disable_symlinks" must have "off", "on" or "if_not_owner" parameter'),
        ("off from=x", '"from=" cannot be used with "off" parameter'),
        ("bad", 'invalid parameter "bad"'),
        ("on from=$nothing", 'unknown "nothing" variable'),
    ],
)
def test_mistakes(line: str, message: str, tmp_path: Path) -> None:
    found = mistakes(f"server {{ location / {{ disable_symlinks {line}; }} }}", tmp_path)
    assert [each for each in found if each.startswith(message)], found

"""What is kept is for its owner alone, whole or not there, and one program at a time is at work on it."""

import stat
from pathlib import Path

import pytest

from penstock.modules.acme.self_signed import self_signed
from penstock.process.acme.state import Busy, at_work, lifetime, read, remove, write


def test_files_are_for_their_owner_and_whole(tmp_path: Path) -> None:
    one, two = str(tmp_path / "a.key"), str(tmp_path / "a.crt")
    write({one: b"key", two: b"certificate"})
    assert (read(one), read(two)) == (b"key", b"certificate")
    assert {stat.S_IMODE(path.stat().st_mode) for path in tmp_path.iterdir()} == {0o600}
    write({one: b"other"})
    assert read(one) == b"other"
    remove(one)
    remove(one)
    assert read(one) is None


def test_what_can_not_be_written_leaves_what_was_there(tmp_path: Path) -> None:
    path = str(tmp_path / "a")
    write({path: b"before"})
    with pytest.raises(OSError):
        write({path: b"after", str(tmp_path / "nowhere" / "b"): b"x"})
    assert read(path) == b"before"
    assert [each.name for each in tmp_path.iterdir()] == ["a"]


def test_a_folder_is_for_one_at_a_time(tmp_path: Path) -> None:
    folder = str(tmp_path / "state")
    with at_work(folder):
        assert stat.S_IMODE((tmp_path / "state").stat().st_mode) == 0o700
        with pytest.raises(Busy), at_work(folder):
            pass
    with at_work(folder):
        pass


def test_the_time_of_a_certificate_is_read_off_it() -> None:
    certificate, _ = self_signed(("a.test",))
    span = lifetime(certificate.encode())
    assert span is not None and 89 < (span[1] - span[0]) / 86400 < 91
    assert lifetime(b"nothing") is None

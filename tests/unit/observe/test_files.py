"""Log files: appended to line by line, reopened after a rotation, buffered without loss."""

import gzip
import os
import threading
from types import SimpleNamespace

import pytest

from penstock.observe import files as module
from penstock.observe.errorlog import ErrorLog, set_fallback
from penstock.observe.files import Buffer, CannotOpen, LogFile, LogFiles


class Said:
    """A sink that keeps its lines."""

    level = 8

    def __init__(self) -> None:
        self.lines: list[str] = []

    def write(self, line: bytes, level: int) -> None:
        self.lines.append(line.decode("latin-1"))


@pytest.fixture
def said():
    sink = Said()
    set_fallback(ErrorLog([sink]))
    return sink.lines


def opened(path, buffer=None) -> LogFile:
    file = LogFile(str(path))
    file.buffer = buffer
    file.open()
    return file


def test_each_line_is_there_at_once(tmp_path) -> None:
    (tmp_path / "log").write_text("before\n")
    file = opened(tmp_path / "log")
    file.line(b"after\n")
    assert (tmp_path / "log").read_text() == "before\nafter\n"
    file.close()
    assert file.fd == -1


def test_cannot_open_says_what_nginx_says(tmp_path) -> None:
    path = f"{tmp_path}/no/such/log"
    with pytest.raises(CannotOpen) as caught:
        LogFile(path).open()
    assert str(caught.value) == f'open() "{path}" failed (2: No such file or directory)'


def test_reopens_by_name(tmp_path) -> None:
    file = opened(tmp_path / "log")
    file.line(b"1\n")
    (tmp_path / "log").rename(tmp_path / "log.1")
    file.line(b"2\n")
    file.reopen(None)
    file.line(b"3\n")
    assert (tmp_path / "log.1").read_text() == "1\n2\n"
    assert (tmp_path / "log").read_text() == "3\n"


def test_reopening_works_from_another_directory(tmp_path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    file = opened("log")
    monkeypatch.chdir("/")
    (tmp_path / "log").rename(tmp_path / "log.1")
    file.reopen(None)
    assert (tmp_path / "log").exists()


def test_stays_where_it_was_when_reopening_fails(tmp_path) -> None:
    (tmp_path / "logs").mkdir()
    files = LogFiles()
    file = files.add(f"{tmp_path}/logs/a")
    files.open()
    (tmp_path / "logs").rename(tmp_path / "moved")
    (failed,) = files.reopen()
    assert "failed (2: No such file or directory)" in str(failed)
    file.line(b"kept\n")
    assert (tmp_path / "moved" / "a").read_text() == "kept\n"


@pytest.mark.skipif(os.geteuid() != 0, reason="gives files away")
def test_gives_the_file_to_its_owner(tmp_path) -> None:
    file = opened(tmp_path / "log")
    (tmp_path / "log").chmod(0o044)
    file.reopen(65534)
    found = (tmp_path / "log").stat()
    assert (found.st_uid, found.st_mode & 0o777) == (65534, 0o644)


def test_takes_each_file_once(tmp_path) -> None:
    files = LogFiles()
    assert files.add(f"{tmp_path}/a") is files.add(f"{tmp_path}/a")
    files.add(f"{tmp_path}/no/b")
    with pytest.raises(CannotOpen):
        files.open()
    assert [file.fd for file in files] == [-1, -1], "what was opened before the failure is closed again"


def test_buffer_waits_until_it_is_full(tmp_path) -> None:
    path = tmp_path / "log"
    file = opened(path, Buffer(10, 0, 0))
    file.line(b"1234\n")
    file.line(b"5678\n")
    assert path.read_text() == ""
    file.line(b"9\n")
    assert path.read_text() == "1234\n5678\n"
    file.line(b"longer than the buffer\n")
    assert path.read_text() == "1234\n5678\n9\nlonger than the buffer\n"


@pytest.mark.parametrize("way", ["flush", "close", "reopen"])
def test_no_way_out_loses_the_buffer(tmp_path, way) -> None:
    file = opened(tmp_path / "log", Buffer(1000, 0, 0))
    file.line(b"x\n")
    file.reopen(None) if way == "reopen" else getattr(file, way)()
    assert (tmp_path / "log").read_text() == "x\n"


def test_timer_flushes(tmp_path) -> None:
    from penstock.net.timers import Timers

    timers = Timers()
    files = LogFiles()
    file = files.add(f"{tmp_path}/log")
    file.buffer = Buffer(1000, 2.0, 0)
    files.open()
    files.keep_time(timers)
    file.line(b"x\n")
    timers.run(timers.now + 1.0)
    assert (tmp_path / "log").read_text() == ""
    timers.run(timers.now + 2.1)
    assert (tmp_path / "log").read_text() == "x\n"


def test_compressed_pieces_make_one_file(tmp_path) -> None:
    file = opened(tmp_path / "log", Buffer(8, 0, 1))
    for line in (b"first\n", b"second\n", b"a line beyond the buffer\n", b"last\n"):
        file.line(line)
    file.close()
    data = (tmp_path / "log").read_bytes()
    assert gzip.decompress(data) == b"first\nsecond\na line beyond the buffer\nlast\n"


def test_lines_of_several_writers_do_not_mix(tmp_path) -> None:
    def write(letter: bytes) -> None:
        file = opened(tmp_path / "log")
        for _ in range(200):
            file.line(letter * 500 + b"\n")

    threads = [threading.Thread(target=write, args=(letter,)) for letter in (b"a", b"b")]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    lines = (tmp_path / "log").read_text().splitlines()
    assert len(lines) == 400
    assert {len(set(line)) for line in lines} == {1}


def test_full_disk_is_said_once_and_left_alone_for_a_second(said, monkeypatch) -> None:
    now = [1000.0]
    monkeypatch.setattr(module, "monotonic", lambda: now[0])
    file = opened("/dev/full")
    for _ in range(3):
        file.line(b"x\n")
    assert len(said) == 1
    assert "[alert]" in said[0]
    assert 'write() to "/dev/full" failed (28: No space left on device)' in said[0]
    now[0] += 61
    file.line(b"x\n")
    assert len(said) == 2


def test_short_write_is_said(said, tmp_path, monkeypatch) -> None:
    file = opened(tmp_path / "log")
    monkeypatch.setattr(module, "os", SimpleNamespace(write=lambda fd, data: 1, strerror=os.strerror))
    file.line(b"xyz\n")
    assert said[0].rstrip().endswith(f'write() to "{tmp_path}/log" was incomplete: 1 of 4')

"""The pid file."""

import os
from pathlib import Path

from penstock.process.startup.pidfile import is_file, remove_pid_file, write_pid_file


def test_it_comes_and_goes(tmp_path: Path) -> None:
    path = tmp_path / "pid"
    write_pid_file(str(path))
    assert path.read_text() == f"{os.getpid()}\n"
    remove_pid_file(str(path))
    assert not path.exists()


def test_what_is_no_file_stays(tmp_path: Path) -> None:
    """As root, and with `pid /dev/null`, the machine would lose it."""
    path = tmp_path / "pipe"
    os.mkfifo(path)
    assert not is_file(str(path))
    remove_pid_file(str(path))
    assert path.is_fifo()

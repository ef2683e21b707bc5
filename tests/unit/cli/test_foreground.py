"""Which proxies of the foreground run: found among temporary files, where everybody may write."""

import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from penstock.cli.foreground import running


@pytest.fixture
def temporary(tmp_path: Path, monkeypatch) -> Path:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    return tmp_path


@pytest.fixture
def process() -> Iterator[int]:
    """One whose command line is that of a master."""
    title = "penstock: master process /bin/penstock -p /a/ -c /a/my nginx.conf -e stderr -g daemon off;"
    child = subprocess.Popen([title, "-c", "input()"], executable=sys.executable, stdin=subprocess.PIPE)
    yield child.pid
    child.communicate(b"\n", timeout=10)


def test_make_run_of_any_configuration(temporary: Path, process: int) -> None:
    pid, control = temporary / f"penstock-{process}.pid", temporary / f"penstock-{process}.control"
    pid.write_text(f"{process}\n")
    assert running() == []  # it has no control sockets (yet)
    control.mkdir()
    (found,) = running()
    assert found.control == str(control)
    assert found.command.startswith("make run CONF=")
    pid.write_text("nonsense")
    assert running() == []
    pid.unlink()
    pid.symlink_to("/proc/self/stat")
    assert running() == []


def test_the_demo(temporary: Path, process: int) -> None:
    folder = temporary / "penstock-demo-abc"
    (folder / "pid.control").mkdir(parents=True)
    (folder / "pid").write_text(str(process))
    (folder / "nginx.conf").write_text("# make run PORT=8090\nevents { }\n")
    (found,) = running()
    assert (found.control, found.command) == (str(folder / "pid.control"), "make run PORT=8090")


def test_nowhere_to_look(monkeypatch) -> None:
    def none() -> str:
        raise FileNotFoundError(2, "No usable temporary directory found")

    monkeypatch.setattr(tempfile, "gettempdir", none)
    assert running() == []


def test_what_belongs_to_others_is_not_believed(temporary: Path, process: int) -> None:
    pid = temporary / f"penstock-{process}.pid"
    pid.write_text(str(process))
    (temporary / f"penstock-{process}.control").mkdir()
    pid.chmod(0o666)
    assert running() == []
    if not os.geteuid():
        pid.chmod(0o644)
        os.chown(pid, 65534, 65534)
        assert running() == []

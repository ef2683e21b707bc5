"""What `make test` says at its end: one line over all parts, whatever became of each."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.timeout(330)

ROOT = Path(__file__).resolve().parents[2]
MARKED = "import pytest\n\n@pytest.mark.alone\n"
# This test runs pytest within pytest: what the outer one has set is not for the inner one.
OURS = {name: value for name, value in os.environ.items() if not name.startswith("PYTEST_")}


LUCK = """
import pathlib
def luck(name, needs):
    tries = pathlib.Path(__file__).with_name(name)
    before = len(tries.read_text()) if tries.exists() else 0
    tries.write_text("x" * (before + 1))
    assert before + 1 >= needs
"""


def ran(tmp_path: Path, source: str, *arguments: str) -> tuple[int, list[str]]:
    (tmp_path / "test_it.py").write_text(source)
    command = [sys.executable, str(ROOT / "tools" / "tests.py"), *arguments, "-o", f"cache_dir={tmp_path / 'cache'}"]
    command += ["-c", str(ROOT / "pyproject.toml"), "--rootdir", str(tmp_path), "-n", "0", str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, env=OURS, timeout=300)
    return done.returncode, done.stdout.splitlines()


def test_both_parts_are_counted_in_the_last_line(tmp_path: Path) -> None:
    code, lines = ran(tmp_path, f"def test_one(): pass\n{MARKED}def test_two(): pass\n")
    assert (code, lines[-1]) == (0, "2 passed, 0 failed")


def test_a_part_runs_though_one_before_it_failed(tmp_path: Path) -> None:
    code, lines = ran(tmp_path, f"def test_one(): assert 0\n{MARKED}def test_two(): pass\n")
    assert (code, lines[-1]) == (1, "1 passed, 1 failed")
    assert "failed: test_it::test_one" in lines


def test_a_part_without_tests_is_no_failure_and_none_at_all_is(tmp_path: Path) -> None:
    code, lines = ran(tmp_path, "def test_one(): pass\n")
    assert (code, lines[-1]) == (0, "1 passed, 0 failed")
    code, lines = ran(tmp_path, "")
    assert (code, lines[-1]) == (1, "0 passed, 0 failed") and "no test ran" in lines


def test_what_is_skipped_is_said_with_its_reason(tmp_path: Path) -> None:
    code, lines = ran(tmp_path, "import pytest\ndef test_one(): pytest.skip('no moon')\ndef test_two(): pass\n")
    assert (code, lines[-1]) == (0, "1 passed, 0 failed, 1 skipped")
    assert "skipped 1: no moon" in lines


def test_what_is_left_behind_is_a_failure(tmp_path: Path) -> None:
    left = "import tempfile\ndef test_one(): tempfile.mkdtemp(prefix='left-')\n"
    code, lines = ran(tmp_path, left)
    assert (code, lines[-1]) == (1, "1 passed, 1 failed")
    assert any(line.startswith("trouble: together left left-") for line in lines)


def test_a_file_that_cannot_be_read_is_a_failure(tmp_path: Path) -> None:
    code, lines = ran(tmp_path, "import nothing_of_that_name\n")
    assert code == 1 and lines[-1].startswith("0 passed, ") and not lines[-1].endswith(", 0 failed")


def test_what_fails_has_three_tries_where_it_is_asked_for_and_is_named(tmp_path: Path) -> None:
    needs = "".join(f"def test_{needed}(): luck('{needed}', {needed})\n" for needed in (1, 2, 3))
    code, lines = ran(tmp_path, LUCK + needs, "--again", "2")
    assert (code, lines[-1]) == (0, "3 passed, 0 failed")
    assert [line for line in lines if line.startswith("passed at")] == [
        "passed at the second try only, and worth an issue: test_it::test_2",
        "passed at the third try only, and worth an issue: test_it::test_3",
    ]


def test_what_fails_three_times_is_a_failure(tmp_path: Path) -> None:
    code, lines = ran(tmp_path, LUCK + "def test_one(): luck('one', 4)\ndef test_two(): pass\n", "--again", "2")
    assert (code, lines[-1]) == (1, "1 passed, 1 failed")
    assert "failed: test_it::test_one" in lines and (tmp_path / "one").read_text() == "xxx"


def test_more_failures_than_were_said_have_one_try(tmp_path: Path) -> None:
    code, lines = ran(tmp_path, LUCK + "def test_1(): luck('1', 2)\ndef test_2(): luck('2', 2)\n", "--again", "1")
    assert (code, lines[-1]) == (1, "0 passed, 2 failed")


def test_parameters_of_one_test_are_one(tmp_path: Path) -> None:
    source = LUCK + "import pytest\n@pytest.mark.parametrize('name', 'abc')\ndef test_it(name): luck(name, 2)\n"
    code, lines = ran(tmp_path, source, "--again", "1")
    assert (code, lines[-1]) == (0, "3 passed, 0 failed")


def test_what_is_compiled_is_kept_beside_and_goes_with_the_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where nothing shall be written beside the sources."""
    monkeypatch.setitem(OURS, "PYTHONDONTWRITEBYTECODE", "1")
    monkeypatch.delitem(OURS, "PYTHONPYCACHEPREFIX", raising=False)
    source = "import pathlib, subprocess, sys, tempfile\n" + (
        "def test_one():\n"
        "    assert not sys.dont_write_bytecode\n"
        "    assert pathlib.Path(sys.pycache_prefix).parent == pathlib.Path(tempfile.gettempdir())\n"
    )
    code, lines = ran(tmp_path, source)
    assert (code, lines[-1]) == (0, "1 passed, 0 failed"), lines

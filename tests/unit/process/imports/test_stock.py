"""What is not imported is kept as it was, whatever becomes of its files."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import penstock

SOURCE = Path(penstock.__file__).parent
COPY = """
import sys
sys.path.insert(0, sys.argv[1])
"""
KNOWN = """
from penstock.modules.load import known
known()
"""
LAID_IN = f"""{COPY}
from penstock.process.imports.stock import lay_in
import penstock.config.errors
lay_in()
"""
CHANGED = """
from pathlib import Path
for file in Path(sys.argv[1], "penstock").rglob("*.py"):
    file.write_text("raise RuntimeError('this is of another version')")
"""
USED = f"""{KNOWN}
import penstock.modules.stream.proxy as proxy, penstock.process.imports.stock as stock
assert isinstance(proxy.__loader__, stock.Stock), proxy.__loader__
assert proxy.__file__ == sys.argv[1] + "/penstock/modules/stream/proxy.py", proxy.__file__
"""


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    shutil.copytree(SOURCE, tmp_path / "penstock", ignore=shutil.ignore_patterns("__pycache__"))
    return tmp_path


def run(code: str, folder: Path) -> subprocess.CompletedProcess[str]:
    environment = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}
    command = [sys.executable, "-c", code, str(folder)]
    return subprocess.run(command, capture_output=True, text=True, timeout=120, check=False, env=environment)


@pytest.mark.parametrize("before", ["compiled", "source", "stale"])
def test_the_files_may_change(copy: Path, before: str) -> None:
    if before == "compiled":
        assert run(COPY + KNOWN, copy).returncode == 0
        assert list((copy / "penstock/modules/stream/__pycache__").iterdir())
    elif before == "stale":
        place = copy / "penstock/modules/stream/proxy.py"
        assert run(COPY + KNOWN, copy).returncode == 0
        place.write_text(place.read_text() + "\nNEW = True\n")
        os.utime(place, (1, 1))
    done = run(LAID_IN + CHANGED + USED + ("assert proxy.NEW" if before == "stale" else ""), copy)
    assert done.returncode == 0, done.stderr


def test_a_mistake_shows_where_it_was(copy: Path) -> None:
    place = copy / "penstock/modules/stream/proxy.py"
    place.write_text("1 / 0\n")
    done = run(LAID_IN + "import penstock.modules.stream.proxy", copy)
    assert f'File "{place}", line 1' in done.stderr


def test_what_is_not_there_is_looked_for_on_disk(copy: Path) -> None:
    (copy / "penstock/cli/later.py").write_text("HERE = True\n")
    done = run(LAID_IN + "import penstock.cli.later as later; assert later.HERE", copy)
    assert done.returncode == 0, done.stderr

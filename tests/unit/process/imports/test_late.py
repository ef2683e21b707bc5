"""Modules on their way from a process that can read them to one that can not."""

import subprocess
import sys
from pathlib import Path

import pytest

GIVER = """
import sys
from pathlib import Path
sys.path.insert(0, sys.argv[1])
from penstock.process.imports.late import Latecomers
late = Latecomers()
assert late.pack() == b""
import outer.inner
data = late.pack()
assert late.pack() == data
Path(sys.argv[2]).write_bytes(data)
"""
TAKER = """
import sys
from pathlib import Path
from penstock.process.imports.late import Shelf
sys.dont_write_bytecode = True
shelf = Shelf()
shelf.fill(Path(sys.argv[2]).read_bytes())
import outer.inner
assert outer.inner.VALUE == 7 and outer.NAME == "outer", (outer, outer.inner)
assert outer.__path__ == [sys.argv[1] + "/outer"]
assert outer.inner.__file__ == sys.argv[1] + "/outer/inner.py"
shelf.fill(Path(sys.argv[2]).read_bytes())
assert sys.meta_path.count(shelf) == 1
try:
    import outer.other
except ImportError:
    pass
else:
    raise AssertionError("there is none")
"""


@pytest.fixture
def package(tmp_path: Path) -> Path:
    folder = tmp_path / "somewhere" / "outer"
    folder.mkdir(parents=True)
    (folder / "__init__.py").write_text("NAME = __name__\n")
    (folder / "inner.py").write_text("from outer import NAME\nimport json.tool\nVALUE = 7\n")
    return folder


def test_what_one_process_has_imported_another_imports_without_the_files(package: Path, tmp_path: Path) -> None:
    data = tmp_path / "data"
    for number, code in enumerate((GIVER, TAKER)):
        if number:
            package.rename(package.with_name("gone"))
        command = [sys.executable, "-c", code, str(package.parent), str(data)]
        done = subprocess.run(command, capture_output=True, text=True, timeout=60)
        assert done.returncode == 0, done.stderr

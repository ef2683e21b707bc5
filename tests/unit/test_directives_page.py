"""The reference of directives is what the declarations say."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]


def test_the_page_is_up_to_date() -> None:
    done = subprocess.run([sys.executable, ROOT / "tools" / "directives.py", "--check"], timeout=30, check=False)
    assert done.returncode == 0, "run: python tools/directives.py"

"""Run a command beside a Penstock and four busy processes: `python tools/busy.py COMMAND ...`.

What passes here does not depend on being quick, or on being the only Penstock of the machine.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
from contextlib import ExitStack
from pathlib import Path

_BUSY = 4
_ENDLESS = "while True: pass"


def main() -> int:
    """Return the command's exit code, once everything started for it has ended."""
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="busy-")))
        penstock = str(Path(sys.executable).with_name("penstock"))
        # Its backend is not there: nobody asks it anything, it only has to run where tests could meet it.
        beside = [penstock, "proxy", "--from", "localhost:18999", "--to", "9"]
        for command in (beside, *([sys.executable, "-c", _ENDLESS],) * _BUSY):
            process = subprocess.Popen(
                command, cwd=folder, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
            )
            stack.callback(process.wait)
            stack.callback(process.terminate)
        return subprocess.run(sys.argv[1:]).returncode


if __name__ == "__main__":
    sys.exit(main())

"""Run Penstock with any configuration in the foreground: `python demo/foreground.py FILE`.

Relative paths start beside the file. Errors go to the terminal until the configuration's own `error_log`; the
pid file is a temporary one unless the configuration names its own.
"""

import os
import re
import shlex
import sys
import tempfile
from pathlib import Path


def main() -> int:
    """Becomes the proxy; returns only when it cannot."""
    if len(sys.argv) != 2:
        print("usage: foreground.py FILE", file=sys.stderr)
        return 2
    configuration = Path(sys.argv[1]).resolve()
    try:
        text = configuration.read_text("utf-8", "replace")
    except OSError as error:
        print(f"foreground: {configuration}: {error.strerror}", file=sys.stderr)
        return 1
    # `penstock tunnels` looks for pid files of this name.
    try:
        pid = Path(tempfile.gettempdir()) / f"penstock-{os.getpid()}.pid"
    except OSError as error:
        print(f"foreground: no folder for the pid file: {error.strerror} (TMPDIR names one)", file=sys.stderr)
        return 1
    # Naming a directive twice is an error: only those the file leaves out (included files are not read).
    wanted = {"daemon": "off", "pid": str(pid)}
    missing = [name for name in wanted if not re.search(rf"(?m)^\s*{name}\s", text)]
    extra = [f"{name} {wanted[name]};" for name in missing]
    binary = shlex.split(os.environ.get("PENSTOCK_BINARY") or str(Path(sys.executable).with_name("penstock")))
    command = [*binary, "-p", f"{configuration.parent}/", "-c", str(configuration), "-e", "stderr"]
    try:
        os.execv(command[0], [*command, "-g", " ".join(extra)])
    except OSError as error:
        print(f"foreground: {command[0]}: {error.strerror}", file=sys.stderr)
        return 1


if __name__ == "__main__":
    sys.exit(main())

"""A `penstock` for a machine of its own: it looks for its configuration in a folder of the test's, and not in /etc."""

import sys
from pathlib import Path

_SCRIPT = """\
#!/bin/sh
exec {python} -c '
import sys
from penstock.cli import main, paths
paths.SYSTEM_PREFIXES = ("{configuration}/",)
sys.argv[0] = "penstock"
sys.exit(main.main())
' "$@"
"""


def penstock_for(configuration: Path, place: Path) -> Path:
    """Write a program `place/penstock` whose prefix is the folder `configuration` where its command line says none."""
    place.mkdir(parents=True, exist_ok=True)
    program = place / "penstock"
    program.write_text(_SCRIPT.format(python=sys.executable, configuration=configuration))
    program.chmod(0o755)
    return program

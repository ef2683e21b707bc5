"""Print the manual page penstock(8), made of what the command says of itself.

    python tools/manual.py > penstock.8
"""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

from penstock import __version__
from penstock.cli.commands import COMMANDS

HEAD = """\
.TH PENSTOCK 8 "" "{version}" "System administration"
.SH NAME
penstock \\- reverse proxy and load balancer for WebSockets that runs an nginx.conf
.SH DESCRIPTION
Penstock reads a configuration of nginx and serves it: requests and WebSockets go to the backends that it names.
The command line is that of nginx, and there are commands that find what is wrong, show what is open and explain what
becomes of a request.
"""

FILES = """\
.SH SIGNALS
To the master, whose process id is in the pid file: TERM and INT end at once, QUIT gracefully, HUP reads the
configuration anew without a disconnect, USR1 opens the log files anew, USR2 starts the program beside this one,
which takes its place
when this one gets QUIT.
.SH FILES
.TP
.I /etc/penstock/nginx.conf
The configuration, where there is one; otherwise
.IR /etc/nginx/nginx.conf .
.TP
.I /var/log/penstock/
Where the packaged configuration lets logs be written.
.SH EXIT STATUS
0 after a signal or a test that found nothing, 1 where it does not start.
.SH SEE ALSO
.BR nginx (8)
"""


def main() -> None:
    """Write the page to standard output."""
    print(page(), end="")


def page() -> str:
    """Return the page in the man(7) language."""
    parts = [HEAD.format(version=f"penstock {__version__}")]
    usage, _, options = _said("-h").partition("Options:\n")
    options = options.partition("\nCommands")[0]
    parts.append(".SH SYNOPSIS\n" + _verbatim(usage[usage.index("Usage:") + len("Usage: ") :]))
    parts.append(".SH OPTIONS\n" + _verbatim(options))
    parts.append(".SH COMMANDS\n")
    for command in COMMANDS:
        parts.append(f".SS {_escaped(command.name)}\n{_escaped(command.summary)}.\n")
        parts.append(_verbatim(_said(command.name, "--help")))
    parts.append(FILES)
    return "".join(parts)


def _said(*arguments: str) -> str:
    """Return what the command prints, 80 columns wide and without colours."""
    script = Path(sys.executable).with_name("penstock")
    environment = {"PATH": "/usr/bin:/bin", "COLUMNS": "80", "NO_COLOR": "1", "LC_ALL": "C.UTF-8"}
    done = subprocess.run([script, *arguments], capture_output=True, text=True, env=environment, timeout=60, check=True)
    return done.stdout + done.stderr


def _verbatim(text: str) -> str:
    return f".nf\n{_escaped(text.strip(chr(10)))}\n.fi\n"


def _escaped(text: str) -> str:
    """Write a line as itself: a backslash, a hyphen, and a dot or quote at its beginning mean something in man(7)."""
    text = text.replace("\\", "\\e").replace("-", "\\-")
    return re.sub(r"(?m)^(?=[.'])", r"\\&", text)


if __name__ == "__main__":
    main()

"""`penstock`: the command line of nginx (https://nginx.org/en/docs/switches.html).

Everything else is imported when it is needed: `-v` answers before a web server could be imported.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence

from penstock.cli.options import BadOption, Options, parse_options
from penstock.cli.version import HELP, VERSION, details


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; the exit code."""
    _open_standard_streams()
    if arguments is None:
        arguments = [os.fsencode(argument).decode("latin-1") for argument in sys.argv[1:]]
    try:
        options = parse_options(arguments)
    except BadOption as error:
        sys.stderr.write(f"penstock: {error}\n")
        return 1
    if options.shows:
        _show(options)
        if not options.test:
            return 0
    return _run(options)


def _open_standard_streams() -> None:
    """Whoever starts us with a standard descriptor closed would have the next file that is opened take its place."""
    while (fd := os.open(os.devnull, os.O_RDWR)) <= 2:
        os.set_inheritable(fd, True)
    os.close(fd)
    if sys.stderr is None:
        sys.stderr = open(2, "w", errors="backslashreplace", closefd=False)  # noqa: SIM115
    if sys.stdout is None:
        sys.stdout = open(1, "w", errors="backslashreplace", closefd=False)  # noqa: SIM115


def _show(options: Options) -> None:
    sys.stderr.write((details() if "V" in options.shows else VERSION) + "\n")
    if "h" in options.shows:
        sys.stderr.write(HELP)


def _run(options: Options) -> int:
    from penstock.cli.paths import launch_for

    launch = launch_for(options)
    if options.test:
        from penstock.cli.check import check

        return check(launch, options)
    if options.signal is not None:
        from penstock.cli.control import send_signal

        return send_signal(launch, options.signal)
    from penstock.process.start import start

    return start(launch)


if __name__ == "__main__":
    sys.exit(main())

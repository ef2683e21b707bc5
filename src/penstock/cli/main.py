"""`penstock`: the command line of nginx (https://nginx.org/en/docs/switches.html), and subcommands (`commands.py`).

Everything else is imported when it is needed: `-v` answers before a web server could be imported.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence

from penstock.cli.options import BadOption, Options, parse_options
from penstock.cli.version import VERSION, details


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; the exit code."""
    _open_standard_streams()
    if arguments is None:
        arguments = [os.fsencode(argument).decode("latin-1") for argument in sys.argv[1:]]
    if arguments and not arguments[0].startswith("-"):
        return _command(arguments)
    if list(arguments) == ["--help"]:
        arguments = ["-h"]
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


def _command(arguments: Sequence[str]) -> int:
    """Run a subcommand. Its reader leaves by `SystemExit` after `--help` and on mistakes."""
    from penstock.cli.commands import COMMANDS, find

    command = find(arguments[0])
    if command is None:
        from penstock.config.errors import suggest
        from penstock.config.source import shown

        close = suggest(arguments[0], [each.name for each in COMMANDS])
        hint = f"; did you mean: penstock {close}" if close else ""
        sys.stderr.write(f'penstock: invalid option: "{shown(arguments[0])}"{hint}\n')
        return 1
    try:
        return command.run(arguments[1:])
    except SystemExit as end:
        return end.code if isinstance(end.code, int) else int(end.code is not None)
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)  # whoever read our output has seen enough
        return 1
    except KeyboardInterrupt:
        return 130


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
        from penstock.cli.helping import whole

        sys.stderr.write(whole())


def _run(options: Options) -> int:
    from penstock.cli.paths import launch_for

    launch = launch_for(options)
    if options.test:
        from penstock.cli.configtest import check

        return check(launch, options)
    if options.signal is not None:
        from penstock.cli.control import send_signal

        return send_signal(launch, options.signal)
    from penstock.process.start import start

    return start(launch)


if __name__ == "__main__":
    sys.exit(main())

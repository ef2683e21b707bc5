"""`penstock`: the command line of nginx (https://nginx.org/en/docs/switches.html), and subcommands (`commands.py`).

Everything else is imported when it is needed: `-v` answers before a web server could be imported.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING

from penstock.cli.options import BadOption, CommandLine, parse_options
from penstock.cli.version import VERSION, details

if TYPE_CHECKING:
    from penstock.process.startup.launch import Launch


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; the exit code."""
    _open_standard_streams()
    if arguments is None:
        arguments = [os.fsencode(argument).decode("latin-1") for argument in sys.argv[1:]]
    if arguments and not arguments[0].startswith("-"):
        return _command(arguments)
    if list(arguments) == ["--help"]:
        arguments = ["-h"]
    if list(arguments) == ["--version"]:
        sys.stdout.write(VERSION + "\n")
        return 0
    try:
        options = parse_options(arguments)
    except BadOption as error:
        return _command_behind(arguments, error)
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
        from penstock.cli.hints import hint_for

        return _mistake(f'invalid option: "{arguments[0]}"', hint_for(arguments[0], [each.name for each in COMMANDS]))
    try:
        return command.run(arguments[1:])
    except SystemExit as end:
        return end.code if isinstance(end.code, int) else int(end.code is not None)
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)  # whoever read our output has seen enough
        return 1
    except KeyboardInterrupt:
        return 130


def _command_behind(arguments: Sequence[str], error: BadOption) -> int:
    """A mistake; or a subcommand behind options of nginx's, which are those that it takes itself: the natural order for
    who starts the server with them."""
    from penstock.cli.commands import COMMANDS, find
    from penstock.cli.hints import hint_for

    before = list(arguments[: error.at])
    command = find(error.word)
    if command is None or not before:
        return _mistake(str(error), hint_for(error.word, [each.name for each in COMMANDS], before))
    options = parse_options(before)
    places = {"-p": options.prefix, "-c": options.configuration}
    moved = [part for name, value in places.items() if value is not None for part in (name, value)]
    takes = {name for action in command.parser()._actions for name in action.option_strings}
    if not takes.issuperset(moved[::2]) or _more_than_places(options):
        return _mistake(str(error), f"options of {command.name} stand behind its name: penstock {command.name} --help")
    return _command([command.name, *moved, *arguments[error.at + 1 :]])


def _more_than_places(options: CommandLine) -> bool:
    """Whether they say more than which configuration is meant."""
    flags = (options.shows, options.test, options.quiet, options.globals_text, options.signal)
    return any(flags) or options.error_log is not None


def _mistake(words: str, hint: str) -> int:
    from penstock.config.source import shown

    meant = f"; did you mean: {hint}" if hint.split(" ", 1)[0] == "penstock" else f"; {hint}" if hint else ""
    sys.stderr.write(f"penstock: {shown(words + meant)}\n")
    return 1


def _open_standard_streams() -> None:
    """Whoever starts us with a standard descriptor closed would have the next file that is opened take its place."""
    while (fd := os.open(os.devnull, os.O_RDWR)) <= 2:
        os.set_inheritable(fd, True)
    os.close(fd)
    if sys.stderr is None:
        sys.stderr = open(2, "w", errors="backslashreplace", closefd=False)  # noqa: SIM115
    if sys.stdout is None:
        sys.stdout = open(1, "w", errors="backslashreplace", closefd=False)  # noqa: SIM115


def _show(options: CommandLine) -> None:
    sys.stderr.write((details() if "V" in options.shows else VERSION) + "\n")
    if "h" in options.shows:
        from penstock.cli.helping import whole

        sys.stderr.write(whole())


def _run(options: CommandLine) -> int:
    from penstock.cli.paths import launch_for, misplaced
    from penstock.config.source import shown

    launch = launch_for(options)
    code = _obey(launch, options)
    other = misplaced(options, launch) if (code or options.test) and not options.quiet else ""
    if other:
        sys.stderr.write(f"penstock: {shown(other)}\n")
    return code


def _obey(launch: Launch, options: CommandLine) -> int:
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

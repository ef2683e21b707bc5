"""`penstock help [COMMAND]`."""

from __future__ import annotations

import sys
from collections.abc import Sequence

from penstock.cli.commands import COMMANDS, find, overview
from penstock.cli.parsing import USAGE_ERROR, Parser
from penstock.cli.version import HELP


def parser() -> Parser:
    made = Parser(
        "help",
        "Help for penstock itself, or for one of its commands.",
        examples=(("penstock help check", "the options of check, with examples"),),
    )
    made.add_argument("command", nargs="?", metavar="COMMAND", choices=[each.name for each in COMMANDS])
    return made


def run(arguments: Sequence[str]) -> int:
    name = parser().parse_args(list(arguments)).command
    if name is None:
        sys.stdout.write(whole())
        return 0
    command = find(name)
    if command is None:
        return USAGE_ERROR
    sys.stdout.write(command.parser().format_help())
    return 0


def whole() -> str:
    """Write the help of nginx's options, and the commands."""
    return f"{HELP}\n{overview()}"

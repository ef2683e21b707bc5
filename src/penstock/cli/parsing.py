"""Reading the arguments of a subcommand: argparse, with examples, and errors that say where to look."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from typing import NoReturn

USAGE_ERROR = 2
"""The exit code of every subcommand whose arguments make no sense."""


class Parser(argparse.ArgumentParser):
    """As argparse's, with `examples`: pairs of a command line and what it is for."""

    def __init__(
        self, command: str, description: str, *, examples: Sequence[tuple[str, str]] = (), exits: Sequence[str] = ()
    ) -> None:
        super().__init__(
            prog=f"penstock {command}",
            description=description,
            epilog=_epilog(examples, exits),
            formatter_class=argparse.RawDescriptionHelpFormatter,
            allow_abbrev=False,
        )

    def error(self, message: str) -> NoReturn:
        self.exit(USAGE_ERROR, f"{self.prog}: {message}\nTry '{self.prog} --help'.\n")


def _epilog(examples: Sequence[tuple[str, str]], exits: Sequence[str]) -> str:
    parts = []
    if examples:
        lines = [f"  {line}\n      {meaning}" for line, meaning in examples]
        parts.append("\n".join(["examples:", *lines]))
    if exits:
        parts.append("\n".join(["exit codes:", *(f"  {each}" for each in exits)]))
    return "\n\n".join(parts)

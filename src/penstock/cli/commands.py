"""The subcommands: `penstock NAME ...`. Everything else on the command line is nginx's.

Each is one module of this floor with two functions: `parser()` makes what reads its arguments (`parsing.Parser`; help
and shell completion are read off it), `run(arguments)` does it and returns the exit code. A module is imported when its
command is asked for, never before: starting the server imports none of this.
"""

from __future__ import annotations

from collections.abc import Sequence
from importlib import import_module
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from penstock.cli.parsing import Parser


class Subcommand(NamedTuple):
    """A subcommand: `module` is its file below this folder, with dots, `summary` its line in `penstock --help`."""

    name: str
    module: str
    summary: str

    def parser(self) -> Parser:
        """Make the reader of its arguments."""
        made: Parser = import_module(f"penstock.cli.{self.module}").parser()
        return made

    def run(self, arguments: Sequence[str]) -> int:
        """Do it; the exit code. Arguments are latin-1 text."""
        code: int = import_module(f"penstock.cli.{self.module}").run(list(arguments))
        return code


COMMANDS: tuple[Subcommand, ...] = (
    Subcommand("check", "check.check", "find what is wrong with a configuration, and put it right"),
    Subcommand("explain", "explain.explain", "say what becomes of a request, and why"),
    Subcommand("probe", "probe", "look at a WebSocket from outside, and name what is wrong"),
    Subcommand("proxy", "proxy.proxy", "a proxy without a configuration file, or the configuration it would have"),
    Subcommand("init", "init.init", "write a configuration for the project in this folder"),
    Subcommand("tunnels", "tunnels.tunnels", "list the tunnels that are open now, follow them, close some of them"),
    Subcommand("tap", "tap.tap", "show the frames of live tunnels, and events of event streams"),
    Subcommand("upstreams", "upstreams.upstreams", "show the servers of upstreams, set, add and remove them"),
    Subcommand("drain", "upstreams.drain", "give a server nothing new, and send its tunnels away gently"),
    Subcommand("rebalance", "upstreams.rebalance", "even the tunnels of an upstream out, with no client disconnected"),
    Subcommand("completion", "completion", "print a completion script for bash, zsh or fish"),
    Subcommand("help", "helping", "help for penstock or one of these commands"),
)


def find(name: str) -> Subcommand | None:
    """Find the command of that name."""
    return next((each for each in COMMANDS if each.name == name), None)


def overview() -> str:
    """Write the lines of `penstock --help` that name them."""
    widest = max(len(each.name) for each in COMMANDS)
    lines = [f"  {each.name:<{widest}}  : {each.summary}" for each in COMMANDS]
    return "\n".join(["Commands (penstock COMMAND --help says more):", *lines]) + "\n"

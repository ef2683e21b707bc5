"""`penstock completion SHELL`: a script that completes commands, their options and what these may be.

It is made from the readers of arguments themselves, so that it never knows less than they do.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from typing import NamedTuple

from penstock.cli.commands import COMMANDS
from penstock.cli.options import SIGNALS
from penstock.cli.parsing import Parser

SHELLS = ("bash", "zsh", "fish")
NGINX = {
    "-h": "show help",
    "-v": "show version",
    "-V": "show version and what is built in",
    "-t": "test configuration",
    "-T": "test configuration and dump it",
    "--compiled": "with -T, show what is made of it, too",
    "-q": "suppress non-error messages",
    "-s": "send signal to a master process",
    "-p": "set prefix path",
    "-e": "set error log file",
    "-c": "set configuration file",
    "-g": "set global directives",
}
FILES = "-p -e -c"


class CompletedOption(NamedTuple):
    """One option or argument: its spellings (none for an argument), what it may be, what it is for."""

    spellings: tuple[str, ...]
    values: tuple[str, ...]
    takes: bool
    help: str


def parser() -> Parser:
    made = Parser(
        "completion",
        "Print a script that lets the shell complete penstock's commands and options.",
        examples=(
            ('eval "$(penstock completion bash)"', "in ~/.bashrc"),
            ('eval "$(penstock completion zsh)"', "in ~/.zshrc, after compinit"),
            ("penstock completion fish > ~/.config/fish/completions/penstock.fish", "once"),
        ),
    )
    made.add_argument("shell", choices=SHELLS)
    return made


def run(arguments: Sequence[str]) -> int:
    shell = parser().parse_args(list(arguments)).shell
    sys.stdout.write({"bash": bash, "zsh": zsh, "fish": fish}[shell]())
    return 0


def choices(made: argparse.ArgumentParser) -> list[CompletedOption]:
    """Return what a command takes, from its reader of arguments."""
    found = []
    for action in made._actions:
        values = tuple(str(each) for each in action.choices or ())
        help_text = (action.help or "").split(";")[0].replace("%%", "%")
        if action.help != argparse.SUPPRESS:
            found.append(CompletedOption(tuple(action.option_strings), values, action.nargs != 0, help_text))
    return found


def bash() -> str:
    """Write the completion for bash, with files wherever nothing better is known."""
    lines = []
    for command in COMMANDS:
        found = choices(command.parser())
        words = [spelling for each in found for spelling in each.spellings]
        words += [value for each in found if not each.spellings for value in each.values]
        valued = [each for each in found if each.spellings and each.values]
        if valued:
            inner = " ".join(
                f'{"|".join(each.spellings)}) words="{" ".join(each.values)}";;' for each in valued
            )
            lines.append(f'        {command.name}) case "$previous" in {inner} *) words="{" ".join(words)}";; esac;;')
        else:
            lines.append(f'        {command.name}) words="{" ".join(words)}";;')
    names = " ".join(each.name for each in COMMANDS)
    return f"""\
_penstock() {{
    local current="${{COMP_WORDS[COMP_CWORD]}}" previous="${{COMP_WORDS[COMP_CWORD-1]}}" words=""
    if [ "$COMP_CWORD" -eq 1 ]; then
        words="{names} {" ".join(NGINX)} --help"
    elif [ "$previous" = -s ] && [ "${{COMP_WORDS[1]:0:1}}" = - ]; then
        words="{" ".join(SIGNALS)}"
    else
        case "${{COMP_WORDS[1]}}" in
{chr(10).join(lines)}
        -*) words="{" ".join(NGINX)}";;
        esac
    fi
    COMPREPLY=($(compgen -W "$words" -- "$current"))
}}
complete -o default -F _penstock penstock
"""


def zsh() -> str:
    """Write the completion for zsh."""
    commands = " ".join(_quoted(f"{each.name}:{each.summary}") for each in COMMANDS)
    cases = []
    for command in COMMANDS:
        specs = []
        for each in choices(command.parser()):
            value = f"({' '.join(each.values)})" if each.values else "_files"
            text = each.help.replace("[", "(").replace("]", ")").replace(":", " -")
            for spelling in each.spellings:
                specs.append(_quoted(f"{spelling}[{text}]" + (f":value:{value}" if each.takes else "")))
            if not each.spellings:
                specs.append(_quoted(f"*:argument:{value}"))
        cases.append(f"        {command.name}) _arguments {' '.join(specs)};;")
    options = [
        _quoted(f"{letter}[{text}]" + _zsh_value(letter)) for letter, text in NGINX.items()
    ]
    return f"""\
#compdef penstock
_penstock() {{
    if (( CURRENT == 2 )); then
        local -a commands=({commands})
        _describe command commands
        _arguments {" ".join(options)}
        return
    fi
    case "$words[2]" in
    -*) _arguments {" ".join(options)};;
    *)
        local command="$words[2]"
        shift words
        (( CURRENT-- ))
        case "$command" in
{chr(10).join(cases)}
        esac;;
    esac
}}
compdef _penstock penstock
"""


def _zsh_value(letter: str) -> str:
    if letter == "-s":
        return f":signal:({' '.join(SIGNALS)})"
    return ":path:_files" if letter in FILES else ":text:" if letter == "-g" else ""


def fish() -> str:
    """Write the completion for fish."""
    lines = []
    for letter, text in NGINX.items():
        takes = f" -x -a {_quoted(' '.join(SIGNALS))}" if letter == "-s" else " -r" if letter in FILES + " -g" else ""
        option = f"-l {letter[2:]}" if letter.startswith("--") else f"-o {letter[1:]}"
        lines.append(f"complete -c penstock -n __fish_use_subcommand {option} -d {_quoted(text)}{takes}")
    for command in COMMANDS:
        lines.append(
            f"complete -c penstock -f -n __fish_use_subcommand -a {command.name} -d {_quoted(command.summary)}"
        )
        here = f"complete -c penstock -n {_quoted(f'__fish_seen_subcommand_from {command.name}')}"
        for each in choices(command.parser()):
            names = "".join(f" -l {one[2:]}" if one.startswith("--") else f" -s {one[1:]}" for one in each.spellings)
            values = f" -x -a {_quoted(' '.join(each.values))}" if each.values else " -r" if each.takes else ""
            if names or each.values:
                lines.append(f"{here}{names}{values} -d {_quoted(each.help)}")
    return "\n".join(lines) + "\n"


def _quoted(text: str) -> str:
    return "'" + text.replace("'", "'\\''") + "'"

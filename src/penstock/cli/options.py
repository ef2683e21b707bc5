"""nginx's command line: one letter an option, letters may be combined, values may be attached."""

from __future__ import annotations

from collections.abc import Sequence

SIGNALS = ("stop", "quit", "reopen", "reload")

_VALUES = {
    "p": "directory name", "e": "file name", "c": "file name", "g": "parameter", "s": "parameter", "l": "address",
}  # fmt: skip
_FLAGS = "?hvVtTq"


class BadOption(Exception):
    """The command line makes no sense; the text is nginx's. `word` is what is neither an option nor a value, `at` where
    it stands."""

    def __init__(self, text: str, word: str = "", at: int = 0) -> None:
        super().__init__(text)
        self.word = word
        self.at = at


class CommandLine:
    """What was asked for. Text is latin-1."""

    __slots__ = (
        "compiled", "configuration", "control", "dump", "error_log", "globals_text", "prefix", "quiet", "shows",
        "signal", "test",
    )  # fmt: skip

    def __init__(self) -> None:
        self.shows = ""
        """Which of `h`, `v` and `V` to print, as one string of letters."""
        self.test = False
        self.dump = False
        self.compiled = False
        self.quiet = False
        self.prefix: str | None = None
        self.error_log: str | None = None
        self.configuration: str | None = None
        self.globals_text = ""
        self.signal: str | None = None
        self.control = ""
        """The path of the unix socket of `-l`."""


def parse_options(arguments: Sequence[str]) -> CommandLine:
    """Read the arguments after the program's name. Raises `BadOption`."""
    found = CommandLine()
    rest = iter(enumerate(arguments))
    for place, argument in rest:
        if not argument.startswith("-"):
            raise BadOption(f'invalid option: "{argument}"', argument, place)
        if argument == "--compiled":
            found.compiled = True
            continue
        if argument.startswith("--"):
            raise BadOption('invalid option: "-"', argument, place)
        for at, letter in enumerate(argument[1:], 2):
            if letter in _VALUES:
                value = argument[at:] or next(rest, (0, None))[1]
                if value is None:
                    raise BadOption(f'option "-{letter}" requires {_VALUES[letter]}')
                _set_value(found, letter, value)
                break
            if letter not in _FLAGS:
                raise BadOption(f'invalid option: "{letter}"')
            _set_flag(found, letter)
    if found.compiled and not found.dump:
        raise BadOption('option "--compiled" belongs to -T')
    return found


def _set_flag(found: CommandLine, letter: str) -> None:
    match letter:
        case "?" | "h":
            found.shows += "vh"
        case "v":
            found.shows += "v"
        case "V":
            found.shows += "vV"
        case "t":
            found.test = True
        case "T":
            found.test = found.dump = True
        case "q":
            found.quiet = True


def _set_value(found: CommandLine, letter: str, value: str) -> None:
    match letter:
        case "p":
            found.prefix = value
        case "e":
            found.error_log = "" if value == "stderr" else value
        case "c":
            found.configuration = value
        case "l":
            found.control = value.removeprefix("unix:")
            if not value.startswith("unix:/"):
                why = "a port would let every user of this machine in" if value.isdecimal() else "the path is absolute"
                raise BadOption(f'invalid option: "-l {value}", write -l unix:/path ({why})', value)
        case "g":
            found.globals_text = value
        case "s":
            if value not in SIGNALS:
                raise BadOption(f'invalid option: "-s {value}"', value)
            found.signal = value

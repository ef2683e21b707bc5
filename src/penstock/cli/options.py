"""nginx's command line: one letter an option, letters may be combined, values may be attached."""

from __future__ import annotations

from collections.abc import Sequence

SIGNALS = ("stop", "quit", "reopen", "reload")

_VALUES = {"p": "directory name", "e": "file name", "c": "file name", "g": "parameter", "s": "parameter"}
_FLAGS = "?hvVtTq"


class BadOption(Exception):
    """The command line makes no sense; the text is nginx's."""


class Options:
    """What was asked for. Text is latin-1."""

    __slots__ = ("configuration", "dump", "error_log", "globals_text", "prefix", "quiet", "shows", "signal", "test")

    def __init__(self) -> None:
        self.shows = ""
        """Which of `h`, `v` and `V` to print, as one string of letters."""
        self.test = False
        self.dump = False
        self.quiet = False
        self.prefix: str | None = None
        self.error_log: str | None = None
        self.configuration: str | None = None
        self.globals_text = ""
        self.signal: str | None = None


def parse_options(arguments: Sequence[str]) -> Options:
    """Read the arguments after the program's name. Raises `BadOption`."""
    found = Options()
    rest = iter(arguments)
    for argument in rest:
        if not argument.startswith("-"):
            raise BadOption(f'invalid option: "{argument}"')
        for at, letter in enumerate(argument[1:], 2):
            if letter in _VALUES:
                value = argument[at:] or next(rest, None)
                if value is None:
                    raise BadOption(f'option "-{letter}" requires {_VALUES[letter]}')
                _set_value(found, letter, value)
                break
            if letter not in _FLAGS:
                raise BadOption(f'invalid option: "{letter}"')
            _set_flag(found, letter)
    return found


def _set_flag(found: Options, letter: str) -> None:
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


def _set_value(found: Options, letter: str, value: str) -> None:
    match letter:
        case "p":
            found.prefix = value
        case "e":
            found.error_log = "" if value == "stderr" else value
        case "c":
            found.configuration = value
        case "g":
            found.globals_text = value
        case "s":
            if value not in SIGNALS:
                raise BadOption(f'invalid option: "-s {value}"')
            found.signal = value

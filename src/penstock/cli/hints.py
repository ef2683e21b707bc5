"""What was probably meant by a command line that nginx would not understand: a hint, or "" for none."""

from __future__ import annotations

from collections.abc import Sequence

from penstock.cli.options import SIGNALS

_STARTS = {
    "start": "penstock",
    "run": "penstock",
    "serve": "penstock",
    "restart": "penstock -s quit, then penstock (or -s reload, which ends nothing)",
    "upgrade": "kill -USR2 to the master (docs/service.md)",
    "status": "penstock tunnels",
    "list": "penstock tunnels",
    "test": "penstock -t",
    "configtest": "penstock -t",
    "validate": "penstock check",
    "lint": "penstock check",
    "version": "penstock -v",
}
_LONG = {
    "test": "-t",
    "configtest": "-t",
    "config": "-c FILE",
    "conf": "-c FILE",
    "prefix": "-p FOLDER",
    "signal": "-s reload",
    "quiet": "-q",
    "dump": "-T",
    "error-log": "-e FILE",
    "foreground": '-g "daemon off;"',
    "no-daemon": '-g "daemon off;"',
}


def hint_for(argument: str, commands: Sequence[str], before: Sequence[str] = ()) -> str:
    """Make a hint for a word that is neither an option nor a command; `before` are the options that stand before it."""
    from penstock.config.errors import suggest

    if argument.startswith("--"):
        name = argument[2:].partition("=")[0]
        if name in SIGNALS:
            return f"penstock -s {name}"
        meant = _LONG.get(name)
        return f"penstock {meant}" if meant else ""
    if argument.startswith("-"):
        return ""
    if argument in SIGNALS:
        return " ".join(["penstock", *before, "-s", argument])
    close = suggest(argument, list(commands))
    if argument not in _STARTS and close:
        return f"penstock {close}"
    if argument not in _STARTS:
        close = suggest(argument, [*SIGNALS, *_STARTS])
        if close in SIGNALS:
            return " ".join(["penstock", *before, "-s", close])
    return _STARTS.get(argument, "")

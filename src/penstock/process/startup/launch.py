"""What the command line said, for everything that starts from it and for every reload."""

from __future__ import annotations

from dataclasses import dataclass

PROGRAM = "penstock"


@dataclass(frozen=True, slots=True)
class Launch:
    """`prefix` ends with a slash; `path` is the configuration; `error_log` the file of `-e` (empty: stderr).

    All are latin-1 text. `globals_text` is what `-g` gave; `pid_file` and `access_log` stand where the configuration
    names none.
    """

    prefix: str
    path: str
    error_log: str
    globals_text: str = ""
    pid_file: str = ""
    access_log: str = ""
    testing: bool = False
    control: str = ""
    """The path of the unix socket of `-l`; "" for none."""


class NotStarted(Exception):
    """The program can not start, or take up a configuration. Why has been reported already."""

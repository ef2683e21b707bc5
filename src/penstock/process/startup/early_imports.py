"""Imports everything that this program may need while it serves, before workers are forked.

Afterwards nothing of it is read from disk any more. Workers may be a user who can not read the installation; and where
a package manager puts a newer version into its place, the old processes go on as the version that they are. Memory is
shared with the master, who pays for it once.

Left out is what belongs to commands alone, and libraries that only some configurations ask for: these come with the
configuration (`late_modules.py`).
"""

from __future__ import annotations

import traceback
from collections.abc import Iterator
from importlib import import_module
from pkgutil import walk_packages

import penstock

FLOORS = ("config", "shared", "plan", "websocket", "http", "net", "upstream", "observe", "modules", "server", "process")
"""All of these serve, ..."""

DOCTOR = ("lifetimes", "refusals.refusals", "refusals.seen", "refusals.statuses", "refusals.terms")
"""... of those who know what is wrong only who watches what passes, ..."""

COMMANDS = frozenset({"penstock.server.dry_run", "penstock.process.asking", "penstock.process.following"})
"""... and these are for people at a terminal."""

EXTRAS = frozenset(
    {
        "penstock.modules.acme.self_signed",
        "penstock.net.blocking_http",
        "penstock.observe.tracing.otlp",
        "penstock.process.acme.authority",
        "penstock.process.acme.state",
        "penstock.process.discovery.consul",
        "penstock.process.discovery.docker",
        "penstock.process.discovery.redis_list",
    }
)
"""These need libraries that only some configurations ask for: they are imported as such a one is read, or by a process
of its own if there is anything to do."""

STANDARD = (
    "calendar",
    "concurrent.futures.thread",
    "encodings.ascii",
    "encodings.idna",
    "encodings.latin_1",
    "encodings.punycode",
    "encodings.utf_8",
    "grp",
    "gzip",
    "linecache",
    "tokenize",
    "unicodedata",
)
"""What Python and its library import only when somebody needs it."""


def names() -> Iterator[str]:
    """List the modules of this package that serve."""
    for floor in FLOORS:
        package = import_module(f"penstock.{floor}")
        for each in walk_packages(package.__path__, f"{package.__name__}."):
            if each.name not in COMMANDS | EXTRAS and not each.name.rpartition(".")[2].startswith("_"):
                yield each.name
    for name in DOCTOR:
        yield f"penstock.doctor.{name}"


class Incomplete(Exception):
    """Something of this program is not there; the text says what, and what to do."""


def provide() -> None:
    """Import it all. What is there already costs nothing. Raises `Incomplete`."""
    try:
        for name in (*STANDARD, *names()):
            import_module(name)
    except ImportError as error:
        raise Incomplete(f"this installation is not complete ({error}): install penstock again") from None
    _fail()


def _fail() -> None:
    """Write a mistake down once, so that all that it takes is there. What it imports differs from Python to Python."""
    try:
        raise RuntimeError(penstock.__version__)
    except RuntimeError as error:
        traceback.format_exception(error)

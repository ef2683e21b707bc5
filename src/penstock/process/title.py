"""How the processes call themselves in `ps`, where the `setproctitle` package is installed."""

from __future__ import annotations

from importlib import import_module

from penstock.process.launch import PROGRAM


def set_title(role: str) -> None:
    """`penstock: worker process` and the like."""
    try:
        package = import_module("setproctitle")
    except ImportError:
        return  # optional: nothing but the name is lost
    package.setproctitle(f"{PROGRAM}: {role}")

"""The signals of nginx, and what they ask for (https://nginx.org/en/docs/control.html)."""

from __future__ import annotations

from signal import (
    SIG_BLOCK,
    SIG_UNBLOCK,
    SIGCHLD,
    SIGHUP,
    SIGINT,
    SIGIO,
    SIGQUIT,
    SIGTERM,
    SIGUSR1,
    SIGUSR2,
    SIGWINCH,
    Signals,
    pthread_sigmask,
)

HANDLED = frozenset({SIGTERM, SIGINT, SIGQUIT, SIGHUP, SIGUSR1, SIGUSR2, SIGWINCH, SIGCHLD, SIGIO})
"""SIGIO is not for people: the other master of an upgrade has said something."""

BY_NAME = {"stop": SIGTERM, "quit": SIGQUIT, "reopen": SIGUSR1, "reload": SIGHUP}
"""The words of `-s`."""


def hold() -> None:
    """Keep the signals pending, for whoever waits for them in its own time."""
    pthread_sigmask(SIG_BLOCK, HANDLED)


def admit() -> None:
    """Let pending and further signals through, to the handlers of this process."""
    pthread_sigmask(SIG_UNBLOCK, HANDLED - {SIGIO})


def shown(number: int) -> str:
    """Name a signal: `15 (SIGTERM)`."""
    return f"{number} ({Signals(number).name})"

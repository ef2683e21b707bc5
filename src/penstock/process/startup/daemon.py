"""Into the background."""

from __future__ import annotations

import os


def daemonise() -> None:
    """Go on in a child with a session of its own, without the terminal; the parent exits with 0. Raises `OSError`."""
    if os.fork():
        os._exit(0)
    os.setsid()
    os.umask(0)
    null = os.open("/dev/null", os.O_RDWR)
    os.dup2(null, 0)
    os.dup2(null, 1)
    if null > 2:
        os.close(null)

"""Free TCP ports for servers that take a port number and cannot be handed a socket.

Ports come from below the kernel's ephemeral range, so no outgoing connection can take one between the choice
and the server's bind; a lock file per port, held until this process ends, keeps concurrent test runs apart.
"""

import fcntl
import itertools
import os
import random
import socket
import tempfile
from pathlib import Path
from typing import IO

_FIRST, _LAST = 20000, 32000
_held: list[IO[bytes]] = []
_candidates = itertools.cycle(random.Random(os.getpid()).sample(range(_FIRST, _LAST), _LAST - _FIRST))


def free_port() -> int:
    """A port on which nothing listens, reserved for this process until it ends."""
    for port in itertools.islice(_candidates, _LAST - _FIRST):
        if _lock(port):
            return port
    raise RuntimeError(f"no free port between {_FIRST} and {_LAST}")


def _lock(port: int) -> bool:
    directory = Path(tempfile.gettempdir()) / f"penstock-test-ports-{os.getuid()}"
    directory.mkdir(mode=0o700, exist_ok=True)
    lock = (directory / str(port)).open("wb")
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        lock.close()
        return False
    if not _bindable(port):
        lock.close()
        return False
    _held.append(lock)
    return True


def _bindable(port: int) -> bool:
    with socket.socket() as probe:
        # As servers do: a port in TIME_WAIT is free, a listening one is not.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("0.0.0.0", port))
        except OSError:
            return False
    return True

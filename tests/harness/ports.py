"""Free TCP ports for servers that take a port number and cannot be handed a socket.

Ports come from below the kernel's ephemeral range, so no outgoing connection can take one between the choice
and the server's bind; a byte per port in one file, locked until this process ends, keeps concurrent test runs apart.
(One descriptor for all: with one each, a long run had none left below 1024, where select() wants them.)
"""

import fcntl
import itertools
import os
import random
import socket
import tempfile
from functools import cache
from pathlib import Path

_FIRST, _LAST = 20000, 32000
_held: set[int] = set()
_candidates = itertools.cycle(random.Random(os.getpid()).sample(range(_FIRST, _LAST), _LAST - _FIRST))


def free_port() -> int:
    """A port on which nothing listens, reserved for this process until it ends."""
    for port in itertools.islice(_candidates, _LAST - _FIRST):
        if _lock(port):
            return port
    raise RuntimeError(f"no free port between {_FIRST} and {_LAST}")


@cache
def _locks(process: int) -> int:
    """The descriptor of the file; locks are a process's own, and go if it closes any descriptor of that file."""
    path = Path(tempfile.gettempdir()) / f"penstock-test-port-locks-{os.getuid()}"
    return os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)


def _lock(port: int) -> bool:
    if port in _held:
        return False
    locks = _locks(os.getpid())
    try:
        fcntl.lockf(locks, fcntl.LOCK_EX | fcntl.LOCK_NB, 1, port)
    except OSError:
        return False
    if not _bindable(port):
        fcntl.lockf(locks, fcntl.LOCK_UN, 1, port)
        return False
    _held.add(port)
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

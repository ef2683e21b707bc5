"""What the kernel says of this process: memory, descriptors and their limit. Cheap enough for once a second."""

from __future__ import annotations

import os
import resource

_PAGE = os.sysconf("SC_PAGESIZE")
UNLIMITED = 2**63 - 1


def resident_bytes() -> int:
    """Return the memory that is in use, what is shared with other processes among it; 0 if the kernel does not say."""
    try:
        with open("/proc/self/statm", "rb") as file:  # noqa: PTH123  workers do without pathlib
            return int(file.read().split()[1]) * _PAGE
    except (OSError, ValueError, IndexError):
        return 0


def descriptors() -> int:
    """Return how many descriptors are open; 0 if the kernel does not say."""
    folder = "/proc/self/fd"
    try:
        # Since Linux 6.2 the size of the folder is their number, which spares us a look at each of them.
        return os.stat(folder).st_size or len(os.listdir(folder))  # noqa: PTH208  once a second
    except OSError:
        return 0


def descriptors_limit() -> int:
    """Return how many descriptors may be open."""
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return UNLIMITED if soft == resource.RLIM_INFINITY else soft

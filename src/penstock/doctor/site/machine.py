"""What a machine allows: the limits that decide how many tunnels a configuration can hold."""

from __future__ import annotations

import os
import resource
from dataclasses import dataclass
from pathlib import Path

_PORT_RANGE = "/proc/sys/net/ipv4/ip_local_port_range"
_FALLBACK = (32768, 60999)


@dataclass(frozen=True, slots=True)
class Machine:
    """`descriptors` is what a process may have open (None: any number), `most_descriptors` what root could raise it to,
    `ports` how many connections may leave for one address and port, `cores` how many this process may use."""

    descriptors: int | None
    most_descriptors: int | None
    ports: int
    cores: int
    root: bool


def this_machine() -> Machine:
    """Read the limits here and now."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    first, last = _port_range()
    return Machine(
        descriptors=None if soft == resource.RLIM_INFINITY else soft,
        most_descriptors=None if hard == resource.RLIM_INFINITY else hard,
        ports=last - first + 1,
        cores=len(os.sched_getaffinity(0)),
        root=os.geteuid() == 0,
    )


def _port_range() -> tuple[int, int]:
    try:
        first, last = Path(_PORT_RANGE).read_text("ascii").split()
        return int(first), int(last)
    except (OSError, ValueError):
        return _FALLBACK

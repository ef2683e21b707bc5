"""Socket activation: a service manager has opened the listening sockets (sd_listen_fds(3)).

    LISTEN_PID=PID LISTEN_FDS=2     descriptors 3 and 4 are for the process PID

The configuration stays the place that says where to listen: a `listen` whose address is a descriptor's uses it, and
needs neither the privilege to bind nor a moment in which nobody listens.
"""

from __future__ import annotations

import os
import socket

from penstock.process.startup.environment_numbers import LARGEST_DESCRIPTOR, whole

FIRST = 3
MOST = 1024
_VARIABLES = ("LISTEN_PID", "LISTEN_FDS", "LISTEN_FDNAMES")


def passed_descriptors() -> range:
    """Return the numbers of the descriptors that are for this process. The variables are gone then."""
    pid, count, _ = (os.environ.pop(name, "") for name in _VARIABLES)
    number = whole(count, LARGEST_DESCRIPTOR) if pid == str(os.getpid()) else None
    return range(FIRST, FIRST + min(number or 0, MOST))


def advice(sock: socket.socket, address: object) -> str:
    """Return why no `listen` uses an inherited socket, and what to do if one should."""
    words = 'as no "listen" has its address'
    if sock.family != socket.AF_INET6 or not isinstance(address, tuple) or address[0] != "::":
        return words
    if not sock.getsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY):
        words += f"; it takes IPv4 too: listen [::]:{address[1]} ipv6only=off"
    return words

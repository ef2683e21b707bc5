"""A worker's lease: the name under which Redis knows what it holds, and the calls of scripts in that name."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from penstock.modules.fleet import scripts
from penstock.net.redis.replies import argument, command

if TYPE_CHECKING:
    from penstock.modules.fleet.membership import FleetOptions

RENEW, MORE, ALL, ALL_IN_DOUBT = 0, 1, 2, 3
"""What a renewal brings: some of the truth, more of all of it, the begin of all of it; see `scripts.RENEW`."""

CACHE_NEXT = (b"CLIENT", b"CACHING", b"YES")
"""What is read next is remembered by Redis, which tells when somebody else changes it."""

_LEAN = frozenset({scripts.enter, scripts.leave_places, scripts.use, scripts.look})
"""Scripts that do not need the lease's name."""
_SHORT = frozenset({scripts.leave_places, scripts.use, scripts.look})
"""Those that have one argument; the others have two."""


class Lease:
    """`name` is `node:worker`. A worker's name is never used again, whatever becomes of its process id."""

    __slots__ = ("_heads", "_length", "_own", "channels", "greeting", "name", "own")

    def __init__(self, options: FleetOptions) -> None:
        base = options.base
        self.name = f"{options.node}:{os.getpid()}-{os.urandom(3).hex()}"
        own = self.own = self.name.encode("ascii")
        self._own = argument(own)
        leases = base + b":l"
        keys = [base, leases, leases + b":" + own, base + b":t"]
        self._heads = {script: script.head(keys, 1 if script in _SHORT else 2) for script in scripts.ALL}
        self._heads[scripts.look] = b"*2\r\n$4\r\nMGET\r\n"
        self._length = int(options.lease * 1000).to_bytes(4, "little")
        self.channels = [base + b":ask", base + b":to:" + own]
        """What this worker listens to: what all are asked, and what it is told itself."""
        tracking = command(b"CLIENT", b"TRACKING", b"ON", b"OPTIN", b"NOLOOP")
        self.greeting = [*(each.load() for each in scripts.ALL), tracking]
        """What Redis is told before anything else."""

    def command(self, script: scripts.Script, arguments: bytes) -> bytes:
        """Write the call of a script, whose arguments have been written."""
        text = self._heads[script] + arguments
        return text if script in _LEAN else text + self._own

    def renewal(self, brings: int, truth: bytes) -> bytes:
        """Pack what a renewal tells."""
        return self._length + bytes([brings]) + os.urandom(16) + truth


def nodes_of(names: list[str]) -> int:
    """Count the machines of some leases, this one among them."""
    return max(1, len({name.partition(":")[0] for name in names}))

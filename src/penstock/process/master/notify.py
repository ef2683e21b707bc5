"""What a service manager is told: sd_notify(3), a datagram to the socket that NOTIFY_SOCKET names.

    READY=1                                it serves: bound, and workers started
    RELOADING=1, MONOTONIC_USEC=...        a new configuration is being read; READY=1 follows, taken up or not
    STOPPING=1                             it was told to go
    STATUS=1234 tunnels, 4 workers         for `systemctl status`, at most every few seconds
    MAINPID=...                            another program has taken the place of this one
    WATCHDOG=1                             the master goes round, where WATCHDOG_USEC asks for signs of life

Without NOTIFY_SOCKET nothing happens. What can not be delivered is lost: no service depends on it.
"""

from __future__ import annotations

import os
import socket
from time import clock_gettime_ns

from penstock.config.os_errors import os_reason
from penstock.observe.errorlog import WARN, report
from penstock.process.startup.environment_numbers import whole

_CLOCK_MONOTONIC = 1
_LONGEST_WATCH = 2**63 - 1
EVERY = 5.0
"""Seconds between two STATUS lines."""


class Notifier:
    """`beat` is how often, in seconds, `alive` is to be called; 0 where nobody asks. The environment keeps its
    variables, for a program that takes this one's place; workers drop them."""

    __slots__ = ("_address", "_complained", "_said", "beat")

    def __init__(self) -> None:
        path = os.environ.get("NOTIFY_SOCKET", "")
        self._address = "\0" + path[1:] if path.startswith("@") else path if path.startswith("/") else ""
        self._said = ""
        self._complained = False
        self.beat = self._watchdog() if self._address else 0.0

    @property
    def wanted(self) -> bool:
        """Return whether anybody listens."""
        return bool(self._address)

    def ready(self) -> None:
        """Tell the service manager that the program serves."""
        self._tell(f"READY=1\nMAINPID={os.getpid()}")

    def reloading(self) -> None:
        """Tell that a new configuration is being read: `ready` is to follow."""
        self._tell(f"RELOADING=1\nMONOTONIC_USEC={clock_gettime_ns(_CLOCK_MONOTONIC) // 1000}")

    def stopping(self) -> None:
        """Tell that the program is going."""
        self._tell("STOPPING=1")

    def succeeded_by(self, pid: int) -> None:
        """Tell that the process `pid` is the service from now on."""
        self._tell(f"READY=1\nMAINPID={pid}")

    def status(self, text: str) -> None:
        """Tell people something in one line; the same one is not told twice."""
        if text != self._said:
            self._said = text
            self._tell(f"STATUS={text}")

    def alive(self) -> None:
        """Give a sign of life."""
        self._tell("WATCHDOG=1")

    def _watchdog(self) -> float:
        """Half of the time that the manager gives, as sd_watchdog_enabled(3) advises."""
        text, pid = os.environ.get("WATCHDOG_USEC", ""), os.environ.get("WATCHDOG_PID", "")
        given = whole(text, _LONGEST_WATCH) if pid in ("", str(os.getpid())) else None
        return (given or 0) / 2e6

    def _tell(self, text: str) -> None:
        if not self._address:
            return
        try:
            with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sock:
                sock.setblocking(False)
                sock.connect(self._address)
                sock.send(text.encode())
        except OSError as error:
            if not self._complained:
                self._complained = True
                words = os_reason(error)
                report(None, WARN, f"the service manager can not be told anything at NOTIFY_SOCKET ({words})")


def for_successor(pid: int) -> dict[str, str]:
    """Return the variables that name a process, for a program that takes this one's place."""
    return {"WATCHDOG_PID": str(pid)} if "WATCHDOG_USEC" in os.environ else {}

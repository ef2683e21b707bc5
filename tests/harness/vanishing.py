"""A client behind a network that can vanish: packets of both directions are dropped, and nobody is told.

    this machine, .1 --- .2, a router, .5 --- .6, the client's machine

Three network namespaces with two cables between them. The router drops by routes that lead nowhere, so that neither end
sees a link go down, an unreachable host or a reset: what a laptop's lid or a mobile's tunnel does to a connection.
"""

import os
import shutil
import subprocess
from random import randrange
from types import TracebackType
from typing import Self

NET = "198.18"
"""Kept free for tests of networks (RFC 2544)."""


def missing() -> str | None:
    """Why no network can be made here, or None."""
    if os.geteuid():
        return "only root makes network namespaces"
    if shutil.which("ip") is None:
        return "ip is not installed (Debian: apt-get install iproute2)"
    name = f"penstock-{os.getpid()}-try"
    if _ip("netns", "add", name).returncode:
        return "network namespaces can not be made here"
    _ip("netns", "del", name)
    return None


class Vanishing:
    """The network, while the block lasts. `here` is this machine's address in it."""

    def __init__(self) -> None:
        self._router = f"penstock-{os.getpid()}-router"
        self._there = f"penstock-{os.getpid()}-client"
        self._cable = f"ps{os.getpid()}"
        self._net = f"{NET}.{randrange(256)}"
        self.here = f"{self._net}.1"

    def command(self, *command: str) -> list[str]:
        """A command line that runs on the client's machine."""
        return ["ip", "netns", "exec", self._there, *command]

    def vanish(self) -> None:
        """From now on nothing comes through, in either direction."""
        for number in (1, 6):
            _must("-n", self._router, "route", "add", "blackhole", f"{self._net}.{number}/32")

    def __enter__(self) -> Self:
        router, there, cable, net = self._router, self._there, self._cable, self._net
        try:
            for name in (router, there):
                _must("netns", "add", name)
            _must("link", "add", f"{cable}a", "type", "veth", "peer", "name", "here", "netns", router)
            _must("-n", router, "link", "add", "there", "type", "veth", "peer", "name", "far", "netns", there)
            _must("address", "add", f"{net}.1/30", "dev", f"{cable}a")
            _must("-n", router, "address", "add", f"{net}.2/30", "dev", "here")
            _must("-n", router, "address", "add", f"{net}.5/30", "dev", "there")
            _must("-n", there, "address", "add", f"{net}.6/30", "dev", "far")
            _must("link", "set", f"{cable}a", "up")
            for space, link in ((router, "here"), (router, "there"), (there, "far")):
                _must("-n", space, "link", "set", link, "up")
            _must("route", "add", f"{net}.4/30", "via", f"{net}.2")
            _must("-n", there, "route", "add", "default", "via", f"{net}.5")
            forward = ["ip", "netns", "exec", router, "sh", "-c", "echo 1 > /proc/sys/net/ipv4/ip_forward"]
            subprocess.run(forward, check=True, timeout=10)
        except BaseException:
            self.close()
            raise
        return self

    def close(self) -> None:
        """Take all of it down; a cable goes with either of its ends."""
        _ip("link", "del", f"{self._cable}a")
        for name in (self._there, self._router):
            _ip("netns", "del", name)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def _ip(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(["ip", *arguments], capture_output=True, text=True, timeout=10)


def _must(*arguments: str) -> None:
    done = _ip(*arguments)
    if done.returncode:
        raise AssertionError(f"ip {' '.join(arguments)}: {done.stderr.strip()}")

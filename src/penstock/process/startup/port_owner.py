"""Who listens on an address already, as /proc tells (proc_net(5), proc_pid_fd(5)): for people, never for decisions.

Only root sees the descriptors of other users' processes; of those, the user is told, and of what is in another
container nothing.
"""

from __future__ import annotations

import os
import pwd
import sys
from collections.abc import Iterator
from ipaddress import ip_address
from pathlib import Path

from penstock.config.source import shown as readable
from penstock.process.startup.listening import Address

_LISTENING = "0A"
_MOST = 4096
"""Processes that are looked at."""

PROC = Path("/proc")


def holder(address: Address, proc: Path = PROC) -> str:
    """Name who holds a port: `process 1234 (nginx)`, several with a comma, `a process of user www-data`; "" where it
    can not be told."""
    inodes = dict(_unix(address, proc) if isinstance(address, str) else _tcp(address, proc))
    if not inodes:
        return ""
    found = sorted(set(_processes(frozenset(inodes), proc)))
    if found:
        return ", ".join(f"process {pid} ({name})" for pid, name in found[:3]) + (", ..." if len(found) > 3 else "")
    users = sorted({uid for uid in inodes.values() if uid >= 0})
    return f"a process of user {_user(users[0])}" if users else ""


def _tcp(address: Address, proc: Path) -> Iterator[tuple[str, int]]:
    """Inode and user of each socket that listens on the port, at this address or at all."""
    host, port = ip_address(address[0]), address[1]
    for name in ("tcp", "tcp6"):
        for fields in _lines(proc / "net" / name, 10):
            local, _, number = fields[1].partition(":")
            if fields[3] != _LISTENING or int(number, 16) != port:
                continue
            other = ip_address(_address(local))
            mapped = getattr(other, "ipv4_mapped", None)
            if host in (other, mapped) or host.is_unspecified or other.is_unspecified:
                yield fields[9], int(fields[7])


def _unix(path: str, proc: Path) -> Iterator[tuple[str, int]]:
    for fields in _lines(proc / "net" / "unix", 8):
        if fields[7] == path:
            yield fields[6], -1


def _lines(file: Path, least: int) -> Iterator[list[str]]:
    try:
        text = file.read_text("latin-1")
    except OSError:
        return
    for line in text.splitlines()[1:]:
        fields = line.split()
        if len(fields) >= least:
            yield fields


def _address(text: str) -> bytes:
    """The kernel writes words of 32 bits in the machine's own order."""
    words = [int(text[at : at + 8], 16) for at in range(0, len(text), 8)]
    return b"".join(word.to_bytes(4, sys.byteorder) for word in words)


def _processes(inodes: frozenset[str], proc: Path) -> Iterator[tuple[int, str]]:
    wanted = {f"socket:[{inode}]" for inode in inodes}
    pids = [entry for entry in os.listdir(proc) if entry.isdigit()]  # noqa: PTH208  names are enough
    for pid in pids[:_MOST]:
        folder = proc / pid
        if any(link in wanted for link in _links(folder / "fd")):
            try:
                name = (folder / "comm").read_text("latin-1").strip()
            except OSError:
                continue  # gone
            yield int(pid), readable(name)


def _links(folder: Path) -> Iterator[str]:
    try:
        names = os.listdir(folder)  # noqa: PTH208  names are enough
    except OSError:
        return  # not ours to see, or gone
    for name in names:
        try:
            yield os.readlink(folder / name)  # noqa: PTH115  text is wanted
        except OSError:
            continue  # closed meanwhile


def _user(uid: int) -> str:
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return str(uid)

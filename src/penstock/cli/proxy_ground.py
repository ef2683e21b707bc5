"""What is on this machine already: who listens where."""

from __future__ import annotations

from penstock.cli.proxy_addresses import Backend, has_ipv6
from penstock.net.blocking import Line
from penstock.net.errors import NetError


def settled(found: Backend) -> str:
    """Of `localhost`, the address at which something listens now: half of all programs use the one, half the other."""
    if found.address.host != "localhost" or found.address.family != "name":
        return found.server
    answering = [host for host in ("127.0.0.1", "::1") if answers(host, found.address.port)]
    if len(answering) == 1:
        host = answering[0]
    elif answering or not has_ipv6():
        host = "127.0.0.1"
    else:
        return found.server
    return f"[{host}]:{found.address.port}" if ":" in host else f"{host}:{found.address.port}"


def taken(address: str) -> bool:
    """Whether somebody listens already where we want to."""
    if address.startswith("unix:"):
        return False
    host, _, port = address.rpartition(":")
    return answers({"": "127.0.0.1", "[::]": "::1", "0.0.0.0": "127.0.0.1"}.get(host, host.strip("[]")), int(port))


def port_of(address: str) -> int:
    """The port of an address to listen on; that of a unix socket is nobody's."""
    return 65535 if address.startswith("unix:") else int(address.rpartition(":")[2])


def answers(host: str, port: int) -> bool:
    """Whether a connection is accepted there, within half a second."""
    try:
        Line.dial((host, port), 0.5).close()
    except NetError:
        return False
    return True

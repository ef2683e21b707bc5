"""What is on this machine already: who listens where."""

from __future__ import annotations

from penstock.cli.proxy.addresses import ProxiedAddress, has_ipv6
from penstock.config.addresses import address_text
from penstock.net.blocking import BlockingConnection
from penstock.net.errors import NetError


def answering_address(found: ProxiedAddress) -> str:
    """Find the address of `localhost` at which something listens now: half of all programs use the one, half the other.
    """
    if found.address.host != "localhost" or found.address.family != "name":
        return found.server
    answering = [host for host in ("127.0.0.1", "::1") if answers(host, found.address.port)]
    if len(answering) == 1:
        host = answering[0]
    elif answering or not has_ipv6():
        host = "127.0.0.1"
    else:
        return found.server
    return address_text((host, found.address.port))


def taken(address: str) -> bool:
    """Return whether somebody listens already where we want to."""
    if address.startswith("unix:"):
        return False
    host, _, port = address.rpartition(":")
    return answers({"": "127.0.0.1", "[::]": "::1", "0.0.0.0": "127.0.0.1"}.get(host, host.strip("[]")), int(port))


def holder_of(address: str) -> str:
    """Name the process that listens there, as far as this user is told; "" where it is not."""
    from penstock.process.startup.port_owner import holder

    host, _, port = address.rpartition(":")
    try:
        return holder((host.strip("[]") if host not in ("", "*") else "0.0.0.0", int(port)))
    except ValueError:
        return ""  # a name


def port_of(address: str) -> int:
    """Return the port of an address to listen on; that of a unix socket is nobody's."""
    return 65535 if address.startswith("unix:") else int(address.rpartition(":")[2])


def answers(host: str, port: int) -> bool:
    """Return whether a connection to the address is accepted within half a second."""
    try:
        BlockingConnection.dial((host, port), 0.5).close()
    except NetError:
        return False
    return True

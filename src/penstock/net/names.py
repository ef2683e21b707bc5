"""Host names that are looked up while the configuration is read, when waiting is allowed."""

from __future__ import annotations

import socket

from penstock.config.material import gathered


def lookup(host: str) -> list[str]:
    """The addresses of a name, IPv4 first as the system orders them. Raises `OSError` when it has none."""
    return gathered("host", host, lambda: _ask(host))


def _ask(host: str) -> list[str]:
    found: list[str] = []
    for _, _, _, _, address in socket.getaddrinfo(host, None, type=socket.SOCK_STREAM):
        text = str(address[0])
        if text not in found:
            found.append(text)
    return found

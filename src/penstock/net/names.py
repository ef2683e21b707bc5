"""Host names that are looked up while the configuration is read, when waiting is allowed."""

from __future__ import annotations

import socket

from penstock.config.inputs import gathered


def lookup(host: str) -> list[str]:
    """Look up the addresses of a name, IPv4 first as the system orders them. Raises `OSError` when it has none."""
    return gathered("host", host, lambda: _ask(host))


def _ask(host: str) -> list[str]:
    found: list[str] = []
    try:
        # Bytes: for text Python would import its codec for other alphabets, which names of a configuration are not in.
        given = socket.getaddrinfo(host.encode("ascii"), None, type=socket.SOCK_STREAM)
    except UnicodeError as error:  # what can be no name: a label is too long, or empty
        raise socket.gaierror(socket.EAI_NONAME, str(error)) from None
    for _, _, _, _, address in given:
        text = str(address[0])
        if text not in found:
            found.append(text)
    return found

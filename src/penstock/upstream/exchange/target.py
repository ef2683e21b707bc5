"""Where a `proxy_pass` points: scheme, host, port, and the URI that takes the place of the location's name."""

from __future__ import annotations

import re
from dataclasses import dataclass

from penstock.config.addresses import Address, peer_address

SCHEMES = {
    "http://": 80, "https://": 443,
    **dict.fromkeys(("fastcgi://", "grpc://", "grpcs://", "memcached://", "scgi://", "uwsgi://", "suwsgi://", ""), 0),
}
"""The default port of each, also of none; 0 where the port has to be written."""

_NOT_IN_HOST = re.compile(r"[\x00-\x20\x7f]").search

HTTP = ("http://", "https://")


@dataclass(frozen=True, slots=True)
class Target:
    """A place that `proxy_pass` points to. `name` is the host as written: a group's name or a host's, or the path of a
    unix socket (`unix`).

    `port` is the one written, 0 if none is. `uri` is what follows in a URL of HTTP, "" if nothing does; it begins
    with "/".
    """

    scheme: str
    name: str
    port: int
    unix: bool
    uri: str

    @property
    def default_port(self) -> int:
        """Return the port that is meant where none is written."""
        return SCHEMES[self.scheme]

    @property
    def secure(self) -> bool:
        """Return whether the backend is spoken to over TLS."""
        return self.scheme in ("https://", "suwsgi://", "grpcs://")

    @property
    def host_header(self) -> str:
        """Return name and port as the Host header carries them (`$proxy_host`)."""
        if self.unix:
            return "localhost"
        if not self.port or self.port == self.default_port:
            return self.name
        return f"{self.name}:{self.port}"

    @property
    def shown_port(self) -> str:
        """Return the port as `$proxy_port` shows it."""
        return "" if self.unix else str(self.port or self.default_port)

    @property
    def address(self) -> Address:
        """Return what to connect to, of family "name" if that has to be looked up. Raises `ValueError`."""
        if self.unix:
            return Address("unix", self.name, 0)
        return peer_address(f"{self.name}:{self.port}" if self.port else self.name, self.default_port)


def parse_target(url: str, schemes: tuple[str, ...] = HTTP) -> Target:
    """Take a URL apart. Raises `ValueError` in nginx's words: `invalid URL prefix`, `invalid port in upstream "x"`.

    Other schemes than HTTP's need not be written: the first is meant.
    """
    lower = url[:12].lower()
    rest = url
    for scheme in schemes:
        if lower.startswith(scheme):
            rest = url[len(scheme) :]
            break
    else:
        if schemes is HTTP:
            raise ValueError("invalid URL prefix")
        scheme = schemes[0]
    try:
        if rest[:5].lower() == "unix:":
            path, _, uri = rest[5:].partition(":") if schemes is HTTP else (rest[5:], "", "")
            peer_address("unix:" + path)
            return Target(scheme, path, 0, True, _slashed(uri))
        host, uri = _split(rest)
        if uri and schemes is not HTTP:
            raise ValueError("invalid host")
        name, port = _port(host)
    except ValueError as error:
        raise ValueError(f'{error} in upstream "{rest}"') from None
    return Target(scheme, name, port, False, _slashed(uri))


def _split(rest: str) -> tuple[str, str]:
    for at, char in enumerate(rest):
        if char in "/?#":
            return rest[:at], rest[at:]
    return rest, ""


def _port(host: str) -> tuple[str, int]:
    """Split name and port; the name keeps its brackets if it is an IPv6 address."""
    if _NOT_IN_HOST(host):
        raise ValueError("invalid host")
    if host.startswith("["):
        address = peer_address(host, 0)
        return host[: host.index("]") + 1], address.port
    head, colon, port = host.partition(":")  # as in nginx: whatever follows the first one is the port
    if colon and (len(port) > 5 or not port.isdecimal() or not 0 < int(port) < 65536):
        raise ValueError("invalid port")
    if not head:
        raise ValueError("no host")
    return head, int(port or 0)


def _slashed(uri: str) -> str:
    return "/" + uri if uri and not uri.startswith("/") else uri

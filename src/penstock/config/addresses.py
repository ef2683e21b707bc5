"""Addresses as configurations write them: to listen on, to connect to, to tell where a client comes from.

Nothing here resolves a name or opens a socket. Every function raises `ValueError` in nginx's words ("invalid
port", "no host", ...), for the caller to say where: `no host in upstream ":80"`.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import Literal

Family = Literal["inet", "inet6", "unix", "name"]

SocketName = str | bytes | tuple[str, int] | tuple[str, int, int, int]
"""What a socket is bound or connected to, as Python's sockets have it: host and port, or the path of a unix socket."""

_MAPPED = 0xFFFF  # ::ffff:a.b.c.d, above the 32 bits of the IPv4 address
_LONGEST_PATH = 107


@dataclass(frozen=True, slots=True)
class Address:
    """A host and port, or the path of a unix socket (port 0). A `name` still has to be resolved.

    Hosts of family inet6 are spelled as RFC 5952 wants, without brackets, so that equal addresses are equal.
    """

    family: Family
    host: str
    port: int

    @property
    def wildcard(self) -> bool:
        """Return whether it stands for all addresses of the machine."""
        return (self.family, self.host) in (("inet", "0.0.0.0"), ("inet6", "::"))

    def __str__(self) -> str:
        if self.family == "unix":
            return f"unix:{self.host}"
        if self.family == "inet6":
            return f"[{self.host}]:{self.port}"
        return f"{self.host}:{self.port}"


def address_text(address: SocketName) -> str:
    """Return the name of a socket as a configuration writes it: `host:port`, `[v6]:port` or `unix:path`."""
    if isinstance(address, str):
        return f"unix:{address}"
    if isinstance(address, bytes):
        return f"unix:{address.decode('latin-1')}"
    return f"{bracketed(address[0])}:{address[1]}"


def bracketed(host: str) -> str:
    """Return a host as it stands in a URL: an IPv6 address gets its brackets."""
    return f"[{host}]" if ":" in host and not host.startswith(("[", "unix:")) else host


def listen_address(text: str, default_port: int = 80) -> list[Address]:
    """Return the addresses of a `listen`: one, or one for each port of a range such as `8000-8010`."""
    if text[:5].lower() == "unix:":
        return [_unix(text[5:])]
    host, ports = _listen_parts(text)
    first, last = _port_range(ports) if ports is not None else (default_port, default_port)
    family, host = _host("0.0.0.0" if host in ("*", None) else host)
    return [Address(family, host, port) for port in range(first, last + 1)]


def _listen_parts(text: str) -> tuple[str | None, str | None]:
    if text.startswith("["):
        return _bracketed(text)
    if "/" in text or "?" in text:
        raise ValueError("invalid host")
    host, colon, ports = text.partition(":")
    if colon:
        return host, ports
    if all(part.isascii() and part.isdigit() for part in text.split("-", 1)):
        return None, text
    return text, None


def peer_address(text: str, default_port: int = 80) -> Address:
    """Read the address of a `server` in an upstream, of a `resolver` and the like: `host[:port]`, `unix:/path`."""
    if text[:5].lower() == "unix:":
        return _unix(text[5:])
    if text.startswith("["):
        host, port = _bracketed(text)
    else:
        if "/" in text or "?" in text:
            raise ValueError("invalid host")
        host, colon, rest = text.partition(":")
        port = rest if colon else None
    family, host = _host(host)
    return Address(family, host, default_port if port is None else _port(port))


def bracket_hint(text: str) -> str | None:
    """Return how to write an IPv6 address that stands without its brackets, in a URL or by itself; None for anything
    else."""
    text = (text.partition("://")[2] or text).partition("/")[0]
    if text.startswith("[") or text.count(":") < 2:
        return None
    ways = [f"[{text}]"] if _inet6(text) is not None else []
    host, _, port = text.rpartition(":")
    if _inet6(host) is not None and port.isdecimal():
        ways.append(f"[{host}]:{port}")
    return f"an IPv6 address stands in brackets: {' or '.join(ways)}" if ways else None


def _bracketed(text: str) -> tuple[str, str | None]:
    inside, bracket, rest = text.partition("]")
    if not bracket or (rest and not rest.startswith(":")) or "/" in rest:
        raise ValueError("invalid host")
    if inside == "[":
        raise ValueError("no host")
    return inside + "]", rest[1:] if rest else None


def _host(host: str) -> tuple[Family, str]:
    if not host:
        raise ValueError("no host")
    if host.startswith("["):
        number = _inet6(host[1:-1])
        if number is None:
            raise ValueError("invalid IPv6 address")
        return "inet6", _inet6_text(number)
    number = _inet(host)
    if number is not None:
        return "inet", _inet_text(number)
    return "name", host


def _unix(path: str) -> Address:
    if not path:
        raise ValueError("no path in the unix domain socket")
    if len(path) > _LONGEST_PATH:
        raise ValueError("too long path in the unix domain socket")
    return Address("unix", path, 0)


def _port_range(text: str) -> tuple[int, int]:
    start, dash, end = text.partition("-")
    last = _port(end) if dash else _port(start)
    first = _port(start)
    if first > last:
        raise ValueError("invalid port range")
    return first, last


def _port(text: str) -> int:
    if not (text.isascii() and text.isdigit()) or len(text) > 20 or not 1 <= int(text) <= 65535:
        raise ValueError("invalid port")
    return int(text)


@dataclass(frozen=True, slots=True)
class Network:
    """Addresses that share a prefix; `all`; or `unix:`, the clients of unix sockets.

    `trimmed` tells that the text had address bits beyond the prefix, which nginx warns of.
    """

    text: str
    family: Literal["inet", "inet6", "unix", "all"]
    prefix: int
    shift: int
    trimmed: bool = False

    def contains(self, address: str) -> bool:
        """Return whether a client's address is inside. `address` is textual, "unix:" for a client of a unix socket.

        An IPv4 client of an IPv6 socket (`::ffff:10.0.0.1`) is an IPv4 client too.
        """
        if self.family == "all":
            return True
        family, number = _number(address)
        if family == self.family:
            return number >> self.shift == self.prefix
        if self.family == "inet" and family == "inet6" and number >> 32 == _MAPPED:
            return (number & 0xFFFFFFFF) >> self.shift == self.prefix
        return False

    __contains__ = contains


def network(text: str) -> Network:
    """Read what `allow` and `deny` take: `10.0.0.0/8`, `2001:db8::/32`, an address, `all` or `unix:`."""
    if text == "all":
        return Network(text, "all", 0, 0)
    if text == "unix:":
        return Network(text, "unix", 0, 0)
    host, slash, mask = text.partition("/")
    number = _inet(host)
    family: Literal["inet", "inet6"] = "inet"
    width = 32
    if number is None:
        number, family, width = _inet6(host), "inet6", 128
    if number is None:
        raise ValueError('takes an address, a network such as 10.0.0.0/8, "unix:" or "all"')
    bits = width
    if slash:
        if not (mask.isascii() and mask.isdigit()) or len(mask) > 20 or int(mask) > width:
            raise ValueError(f"takes a prefix length of 0 to {width} after the slash")
        bits = int(mask)
    shift = width - bits
    return Network(text, family, number >> shift, shift, number >> shift << shift != number)


@lru_cache(maxsize=4096)
def _number(address: str) -> tuple[str, int]:
    """Return family and number of a client's address; ("", 0) for what is none."""
    if address.startswith("unix:"):
        return "unix", 0
    number = _inet(address)
    if number is not None:
        return "inet", number
    number = _inet6(address.partition("%")[0])
    return ("", 0) if number is None else ("inet6", number)


def _inet(text: str) -> int | None:
    parts = text.split(".")
    if len(parts) != 4:
        return None
    number = 0
    for part in parts:
        if not (part.isascii() and part.isdigit()) or len(part) > 20 or int(part) > 255:
            return None
        number = number << 8 | int(part)
    return number


def _inet6(text: str) -> int | None:
    """Return the 128 bits of an IPv6 address (RFC 4291, section 2.2), or None."""
    head, gap, tail = text.partition("::")
    left = _groups(head, last=not gap)
    right = _groups(tail, last=True) if gap else []
    if left is None or right is None:
        return None
    missing = 8 - len(left) - len(right)
    if missing < 1 if gap else missing != 0:
        return None
    number = 0
    for group in [*left, *[0] * missing, *right]:
        number = number << 16 | group
    return number


def _groups(text: str, *, last: bool) -> list[int] | None:
    if not text:
        return []
    groups: list[int] = []
    parts = text.split(":")
    for index, part in enumerate(parts):
        if "." in part and last and index == len(parts) - 1:
            number = _inet(part)
            if number is None:
                return None
            groups += [number >> 16, number & 0xFFFF]
            continue
        if not 1 <= len(part) <= 4 or part.strip("0123456789abcdefABCDEF"):
            return None
        groups.append(int(part, 16))
    return groups


def packed_text(packed: bytes) -> str:
    """Write an address of four or sixteen bytes as text."""
    number = int.from_bytes(packed, "big")
    return _inet_text(number) if len(packed) == 4 else _inet6_text(number)


def _inet_text(number: int) -> str:
    return ".".join(str(number >> shift & 255) for shift in (24, 16, 8, 0))


def _inet6_text(number: int) -> str:
    """Write an address as RFC 5952 wants: lower case, no leading zeros, the first of the longest runs of zero groups as
    `::`."""
    if number >> 32 == _MAPPED:
        return f"::ffff:{_inet_text(number & 0xFFFFFFFF)}"
    groups = [number >> shift & 0xFFFF for shift in range(112, -1, -16)]
    best, length = 0, 0
    index = 0
    while index < 8:
        run = index
        while run < 8 and groups[run] == 0:
            run += 1
        if run - index > length:
            best, length = index, run - index
        index = run + 1
    texts = [f"{group:x}" for group in groups]
    if length < 2:
        return ":".join(texts)
    return f"{':'.join(texts[:best])}::{':'.join(texts[best + length :])}"

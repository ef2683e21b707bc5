"""The host a request is for.

Checked and put into one spelling (RFC 3986 section 3.2.2, as nginx reads it).
"""

from __future__ import annotations

import re

# Host (RFC 9110, section 7.2): uri-host and perhaps a port; uri-host (RFC 3986, section 3.2.2): an IP-literal, an
# IPv4address or a reg-name. In lower case by now.
_HOST = re.compile(
    r"""
    (?P<host> \[ [a-z0-9:._~!$&'()*+,;=-]* \]     # IP literal
            | [a-z0-9._~!$&'()*+,;=%-]*           # name or IPv4 address
    )
    (?: : (?P<port> [0-9]*) )?
    """,
    re.ASCII | re.VERBOSE,
)

# A reg-name (RFC 3986, section 3.2.2) of letters, digits, "_", "-" and single dots, as nearly all are.
_PLAIN = re.compile(r"[a-z0-9_-]+(?:\.[a-z0-9_-]+)*", re.ASCII)

_KNOWN_MOST = 1024
_KNOWN_LONGEST = 255
_known: dict[str, tuple[str, int]] = {}


def split_host(value: str) -> tuple[str, int] | None:
    """Split a host in lower case without its trailing dot from its port (0: none given); None if it is not a host.

    Brackets of an IPv6 address stay. A few names make up nearly all traffic, so answers are remembered,
    within bounds.
    """
    known = _known.get(value)
    if known is not None:
        return known
    found = _split(value)
    if found is not None and len(value) <= _KNOWN_LONGEST:
        if len(_known) >= _KNOWN_MOST:
            _known.clear()
        _known[value] = found
    return found


def _split(value: str) -> tuple[str, int] | None:
    value = value.lower()
    if _PLAIN.fullmatch(value):
        return value, 0
    match = _HOST.fullmatch(value)
    if match is None:
        return None
    host, digits = match["host"], match["port"]
    if ".." in host:
        return None
    host = host.removesuffix(".")
    if not host:
        return None
    digits = (digits or "").lstrip("0")
    if len(digits) > 5 or int(digits or 0) > 65535:
        return None
    return host, int(digits or 0)

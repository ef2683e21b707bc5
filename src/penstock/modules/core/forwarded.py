"""The client behind trusted proxies, by `X-Forwarded-For` (nginx: ngx_http_get_forwarded_addr).

Every proxy adds to the end of the list the address it was reached from. What a trusted one says counts, and with
`recursive` what the next says too, if it is trusted, up to the first that is not.
"""

from __future__ import annotations

from collections.abc import Sequence

from penstock.config.values import Network, network


def forwarded(address: str, values: Sequence[str], trusted: Sequence[Network], *, recursive: bool) -> tuple[str, int]:
    """Return the client's address and port (0 where none is given): `address` itself where nobody trusted says another.

    `values` are those of the headers, in their order.
    """
    client = (address, 0)
    for value in reversed(values):
        rest = value
        while any(each.contains(client[0]) for each in trusted):
            text, rest = last_named(rest)
            found = endpoint(text)
            if found is None:
                return client
            client = found
            if not recursive:
                return client
            if not rest:
                break
        else:
            return client
    return client


def last_named(value: str) -> tuple[str, str]:
    """Return the last element of a list, and what stands before it.

    Empty elements at the end are skipped. One at the very beginning is not: with it the first element is no address, in
    nginx as here. Who writes `,6.6.6.6` is not taken for a proxy.
    """
    value = value.rstrip(" ,")
    start = max(value.rfind(" "), value.rfind(",")) + 1
    return (value, "") if start <= 1 else (value[start:], value[:start])


def endpoint(text: str) -> tuple[str, int] | None:
    """Read address and port from `10.0.0.1`, `10.0.0.1:80`, `::1`, `[::1]:80`; None where it is none of these."""
    port = ""
    host = text
    if text.startswith("["):
        host, bracket, rest = text[1:].partition("]")
        if not bracket or (rest and not rest.startswith(":")):
            return None
        port = rest[1:] if rest else "0"
    elif text.count(":") == 1:
        host, _, port = text.partition(":")
    else:
        port = "0"
    if not is_address(host) or not port.isdecimal() or len(port) > 20 or int(port) > 65535:
        return None
    return host, int(port)


def is_address(text: str) -> bool:
    """Return whether it is an IPv4 or IPv6 address."""
    if "/" in text or text in ("all", "unix:"):
        return False
    try:
        network(text)
    except ValueError:
        return False
    return True

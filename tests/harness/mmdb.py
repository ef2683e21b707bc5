"""Databases in MaxMind's format (its specification, version 2.0), for a few networks of IPv4."""

import struct
from ipaddress import IPv4Network
from typing import Any

MARKER = b"\xab\xcd\xefMaxMind.com"


def database(records: dict[str, Any], *, epoch: int = 1_700_000_000) -> bytes:
    """A database that maps networks to records."""
    nodes: list[list[Any]] = [[None, None]]
    data = b""
    for network, record in records.items():
        place = IPv4Network(network)
        bits = f"{int(place.network_address):032b}"[: place.prefixlen]
        node = nodes[0]
        for bit in bits[:-1]:
            if not isinstance(node[int(bit)], list):
                nodes.append([None, None])
                node[int(bit)] = nodes[-1]
            node = node[int(bit)]
        node[int(bits[-1])] = len(data)
        data += _encoded(record)
    tree = b"".join(_record(nodes, side) for node in nodes for side in node)
    about = {
        "binary_format_major_version": (5, 2),
        "binary_format_minor_version": (5, 0),
        "build_epoch": (9, epoch),
        "database_type": "Test",
        "description": {"en": "made by a test"},
        "ip_version": (5, 4),
        "languages": ["en"],
        "node_count": (6, len(nodes)),
        "record_size": (5, 24),
    }
    return tree + bytes(16) + data + MARKER + _encoded(about)


def _record(nodes: list[list[Any]], side: Any) -> bytes:
    if side is None:
        number = len(nodes)
    elif isinstance(side, list):
        number = next(at for at, node in enumerate(nodes) if node is side)
    else:
        number = len(nodes) + 16 + side
    return number.to_bytes(3)


def _encoded(value: Any) -> bytes:
    match value:
        case bool():
            return _control(14, int(value))
        case str():
            content = value.encode()
            return _control(2, len(content)) + content
        case float():
            return _control(3, 8) + struct.pack(">d", value)
        case dict():
            return _control(7, len(value)) + b"".join(_encoded(k) + _encoded(v) for k, v in value.items())
        case list():
            return _control(11, len(value)) + b"".join(map(_encoded, value))
        case int():
            return _encoded((6, value))
        case (int(kind), int(number)):
            content = number.to_bytes(8).lstrip(b"\0")
            return _control(kind, len(content)) + content
    raise TypeError(value)


def _control(kind: int, size: int) -> bytes:
    assert size < 285
    more = bytes((size - 29,)) if size >= 29 else b""
    low = min(size, 29)
    return bytes((low, kind - 7)) + more if kind > 7 else bytes((kind << 5 | low,)) + more

"""Questions to name servers and their answers, as bytes (RFC 1035, 3596, 2782). No socket, no clock.

What is read comes from the network and is believed only where it fits the question: the number, the name and the type
that were asked. Names inside an answer are followed by pointers that lead backwards only and not too far, and only
where somebody wants to know them: an answer of 64 KiB may hold nothing but names that lead from pointer to pointer.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address
from typing import Literal

from penstock.upstream.names.unresolved import FORMERR, MEANING

A = 1
CNAME = 5
AAAA = 28
SRV = 33
IN = 1

_HEADER = struct.Struct("!6H")
_QUESTION = struct.Struct("!2H")
_RECORD = struct.Struct("!2HIH")
_SERVICE = struct.Struct("!3H")
_KIND = 0xF870
"""Of the flags: answer, operation, and what must be zero; truncation, recursion and authority are let through."""
_ANSWER = 0x8000
_TRUNCATED = 0x0200
_LONGEST_LABEL = 63
_LONGEST_NAME = 255
_MOST_POINTERS = 128
"""As in nginx: of a name as it is written, with a dot between two labels."""


class BadAnswer(ValueError):
    """Raised for what is not an answer to what was asked, or none at all. The text says why."""


@dataclass(frozen=True, slots=True)
class ServiceRecord:
    """An SRV record: where a service is, and how it is to be chosen among others (RFC 2782)."""

    priority: int
    weight: int
    port: int
    target: str


@dataclass(frozen=True, slots=True)
class Reply:
    """The answer of a name server. `ttl` is the shortest of its records, in seconds; `cname` the last alias in it."""

    code: int
    truncated: bool
    ttl: int
    addresses: tuple[str, ...] = ()
    cname: str = ""
    services: tuple[ServiceRecord, ...] = ()


def question(number: int, name: str, kind: int) -> bytes:
    """Encode a query for the records of one kind, recursion wanted. Raises `ValueError` for what is no name."""
    return _HEADER.pack(number, 0x0100, 1, 0, 0, 0) + encoded(name) + _QUESTION.pack(kind, IN)


def encoded(name: str) -> bytes:
    """Encode a name as labels. A final dot may stand."""
    parts: list[bytes] = []
    for label in name.removesuffix(".").split("."):
        data = label.encode("latin-1")
        if not 0 < len(data) <= _LONGEST_LABEL:
            raise ValueError(f'"{name}" is no host name')
        parts.append(bytes((len(data),)) + data)
    return b"".join(parts) + b"\0"


def number_of(data: bytes) -> int:
    """Return the number of a message, which pairs an answer with its question; -1 for what is too short to have one."""
    return data[0] << 8 | data[1] if len(data) >= _HEADER.size else -1


def read(data: bytes, name: str, kind: int, via: Literal["udp", "tcp"] = "udp") -> Reply:
    """Read the answer to `name` and `kind`. Raises `BadAnswer`. The caller has compared the number."""
    try:
        return _read(data, name, kind, via)
    except (struct.error, IndexError):
        raise BadAnswer("short DNS response") from None


def _read(data: bytes, name: str, kind: int, via: str) -> Reply:
    number, flags, questions, answers, _, _ = _HEADER.unpack_from(data)
    truncated = bool(flags & _TRUNCATED)
    if flags & _KIND != _ANSWER or (truncated and via == "tcp"):
        raise BadAnswer(f"invalid {via.upper()} DNS response {number} fl:{flags:04X}")
    code = flags & 15
    if code == FORMERR:
        # Such an answer need not repeat the question (RFC 1035, 4.1.1: it was not understood).
        raise BadAnswer(f"DNS error ({code}: {MEANING[code]}), query id:{number}")
    if questions != 1:
        raise BadAnswer(f"invalid number of questions in DNS response {questions}")
    asked, at = _name(data, _HEADER.size)
    asked_kind, asked_class = _QUESTION.unpack_from(data, at)
    if asked.lower() != name.lower() or asked_kind != kind or asked_class != IN:
        raise BadAnswer(f"unexpected DNS response for {asked}")
    if truncated or code:
        return Reply(code, truncated, 0)
    return _records(data, at + _QUESTION.size, answers, kind)


def _records(data: bytes, at: int, count: int, kind: int) -> Reply:
    ttl = 0x7FFFFFFF
    alias = -1
    addresses: list[str] = []
    services: list[ServiceRecord] = []
    for _ in range(count):
        at = _past_name(data, at)
        found, of, holds, length = _RECORD.unpack_from(data, at)
        at += _RECORD.size
        end = at + length
        if end > len(data):
            raise BadAnswer("short DNS response")
        if of != IN:
            raise BadAnswer(f"unexpected RR class {of} in DNS response")
        ttl = min(ttl, holds if holds < 0x80000000 else 0)
        if found == CNAME:
            alias = at
        elif found == kind == SRV:
            target, _ = _name(data, at + _SERVICE.size)
            priority, weight, port = _SERVICE.unpack_from(data, at)
            services.append(ServiceRecord(priority, weight, port, target))
        elif found in (A, AAAA):
            if found != kind or length != (4 if kind == A else 16):
                raise BadAnswer(f"unexpected {'A' if found == A else 'AAAA'} record in DNS response")
            addresses.append(str(IPv4Address(data[at:end]) if kind == A else IPv6Address(data[at:end])))
        at = end
    cname = _name(data, alias)[0] if alias >= 0 else ""
    return Reply(0, False, ttl if count else 0, tuple(addresses), cname, tuple(services))


def _past_name(data: bytes, at: int) -> int:
    """Find where what follows a name begins, whatever the name is."""
    start = at
    while True:
        length = data[at]
        if length >= 0xC0:
            if (length & 0x3F) << 8 | data[at + 1] >= start:
                raise BadAnswer("compression pointer in DNS response leads forward")
            return at + 2
        if length > _LONGEST_LABEL:
            raise BadAnswer("invalid label in DNS response")
        at += 1 + length
        if not length:
            return at
        if at - start > _LONGEST_NAME + 1:
            raise BadAnswer("too long name in DNS response")


def _name(data: bytes, at: int) -> tuple[str, int]:
    """Read the name at `at`, and where what follows begins."""
    labels: list[str] = []
    after = -1
    lowest = at
    pointers = size = 0
    while True:
        length = data[at]
        if length >= 0xC0:
            target = (length & 0x3F) << 8 | data[at + 1]
            if after < 0:
                after = at + 2
            if target >= lowest:
                raise BadAnswer("compression pointer in DNS response leads forward")
            pointers += 1
            if pointers > _MOST_POINTERS:
                raise BadAnswer("too many compression pointers in DNS response")
            at = lowest = target
            continue
        if length > _LONGEST_LABEL:
            raise BadAnswer("invalid label in DNS response")
        at += 1
        if not length:
            break
        if at + length > len(data):
            raise BadAnswer("short DNS response")
        size += length + 1
        if size - 1 > _LONGEST_NAME:
            raise BadAnswer("too long name in DNS response")
        labels.append(data[at : at + length].decode("latin-1"))
        at += length
    return ".".join(labels), after if after >= 0 else at

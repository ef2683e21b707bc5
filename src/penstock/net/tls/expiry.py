"""When a certificate's time is over, read from the certificate itself (RFC 5280, sections 4.1 and 4.1.2.5)."""

from __future__ import annotations

import re
from base64 import b64decode
from binascii import Error

from penstock.http.dates import seconds_at

_PEM = re.compile(rb"-----BEGIN (?:TRUSTED |X509 )?CERTIFICATE-----(.*?)-----END", re.DOTALL)
_MOMENT = re.compile(r"(\d{4})(\d\d)(\d\d)(\d\d)(\d\d)(\d\d)Z", re.ASCII)
_SEQUENCE, _VERSION, _UTC_TIME, _GENERALIZED_TIME = 0x30, 0xA0, 0x17, 0x18


def ends_at(pem: bytes) -> float | None:
    """Return the end of the first certificate of a PEM file, in seconds since 1970; None if there is none to be read.
    """
    found = _PEM.search(pem)
    if found is None:
        return None
    try:
        return _not_after(b64decode(b"".join(found[1].split()), validate=True))
    except (Error, ValueError, IndexError):
        return None


def _not_after(der: bytes) -> float | None:
    # Certificate ::= SEQUENCE { tbsCertificate SEQUENCE { [0] version?, serial, signature, issuer, validity ...
    tag, start, _ = _element(der, 0)
    if tag != _SEQUENCE:
        return None
    tag, at, _ = _element(der, start)
    if tag != _SEQUENCE:
        return None
    if der[at] == _VERSION:
        at = _element(der, at)[2]
    for _ in range(3):
        at = _element(der, at)[2]
    # Validity ::= SEQUENCE { notBefore Time, notAfter Time }
    _, at, _ = _element(der, at)
    at = _element(der, at)[2]
    tag, start, end = _element(der, at)
    return _moment(tag, der[start:end].decode("ascii"))


def _element(der: bytes, at: int) -> tuple[int, int, int]:
    """Return the tag of the element that begins here, and where its content begins and ends."""
    tag, length, at = der[at], der[at + 1], at + 2
    if length & 0x80:
        count = length & 0x7F
        if count > 4:
            raise ValueError("an element is too long")
        length, at = int.from_bytes(der[at : at + count], "big"), at + count
    if at + length > len(der):
        raise ValueError("an element goes beyond the end")
    return tag, at, at + length


def _moment(tag: int, text: str) -> float | None:
    if tag == _UTC_TIME:
        # Of two figures for a year, 50 and more are of the last century.
        text = ("19" if int(text[:2]) >= 50 else "20") + text
    elif tag != _GENERALIZED_TIME:
        return None
    found = _MOMENT.fullmatch(text)
    return None if found is None else seconds_at(*map(int, found.groups()))

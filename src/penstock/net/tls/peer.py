"""A client's certificate in words where OpenSSL is out of reach: from what Python's `ssl` tells of a verified one, in
the same forms as `openssl_peer.Certificate`."""

from __future__ import annotations

import hashlib
import re
import ssl
import time
from collections.abc import Iterator
from typing import Any

_DAY = 86400
# What a name of a certificate escapes as text (RFC 4514, section 2.4).
_special = re.compile(r'[,+"\\<>;]|^[ #]| $')
_separators = re.compile(r"[/+]")
_behind = r"\\\g<0>"
_unprintable = re.compile(rb"[^\x20-\x7e]")


class VerifiedCertificate:
    """`details` is what `getpeercert()` gives, `der` the certificate itself."""

    __slots__ = ("_details", "der")

    def __init__(self, details: dict[str, Any], der: bytes) -> None:
        self._details = details
        self.der = der

    @property
    def subject(self) -> str:
        """Return the subject in the form of RFC 2253."""
        return _rfc2253(self._details["subject"])

    @property
    def issuer(self) -> str:
        """Return the issuer in the form of RFC 2253."""
        return _rfc2253(self._details["issuer"])

    @property
    def subject_oneline(self) -> str:
        """Return the subject in OpenSSL's old form, `/C=../CN=..`."""
        return _oneline(self._details["subject"])

    @property
    def issuer_oneline(self) -> str:
        """Return the issuer in OpenSSL's old form, `/C=../CN=..`."""
        return _oneline(self._details["issuer"])

    @property
    def serial(self) -> str:
        """Return the serial number in hexadecimal."""
        text: str = self._details["serialNumber"]
        return text

    @property
    def fingerprint(self) -> str:
        """Return the SHA-1 of the certificate in hexadecimal."""
        return hashlib.sha1(self.der, usedforsecurity=False).hexdigest()

    @property
    def start(self) -> str:
        """Return when it begins to hold, as `Nov 21 07:58:43 2026 GMT`."""
        text: str = self._details["notBefore"]
        return text

    @property
    def end(self) -> str:
        """Return when it ceases to hold, as `Nov 21 07:58:43 2026 GMT`."""
        text: str = self._details["notAfter"]
        return text

    @property
    def days_left(self) -> int:
        """Count the whole days until it expires."""
        return max(int(ssl.cert_time_to_seconds(self.end) - time.time()) // _DAY, 0)


# Any: tuples in tuples, as `ssl.getpeercert` gives them.
def _rfc2253(name: Any) -> str:
    """The last part first; parts of one relative name are joined by `+`."""
    return ",".join("+".join(f"{key}={_escaped(value)}" for key, value in _short(part)) for part in reversed(name))


def _escaped(value: str) -> str:
    plain = _special.sub(_behind, value)
    return _unprintable.sub(lambda match: b"\\%02X" % match[0][0], plain.encode("utf-8")).decode("ascii")


def _oneline(name: Any) -> str:
    text = "".join(f"/{key}={_separators.sub(_behind, value)}" for part in name for key, value in _short(part))
    return _unprintable.sub(lambda match: b"\\x%02X" % match[0][0], text.encode("utf-8")).decode("ascii")


def _short(part: Any) -> Iterator[tuple[str, str]]:
    """Attributes with OpenSSL's short names, `CN` for `commonName`; what it does not know stays a dotted number."""
    for key, value in part:
        try:
            yield ssl._ASN1Object.fromname(key).shortname, value
        except ValueError:
            yield key, value

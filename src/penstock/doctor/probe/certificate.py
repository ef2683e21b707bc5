"""A server's certificate: whose, for how long, and what is wrong with it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, NamedTuple, Self

from penstock.doctor.probe.steps import StepVerdict, safe
from penstock.net.blocking import CertificateRefused
from penstock.net.tls.client import is_for


class Fault(NamedTuple):
    """One thing that is wrong, and what to do about it."""

    what: str
    advice: str


@dataclass(frozen=True, slots=True)
class SeenCertificate:
    """What people want to know of one. `names` are (kind, value) as in `ssl.getpeercert()`."""

    subject: str
    issuer: str
    names: tuple[tuple[str, str], ...]
    begins: datetime
    ends: datetime
    self_signed: bool

    @classmethod
    def read(cls, der: bytes) -> Self:
        """Read one as it came over the line."""
        from cryptography import x509
        from cryptography.x509.oid import ExtensionOID

        found = x509.load_der_x509_certificate(der)
        names: list[tuple[str, str]] = []
        try:
            extension = found.extensions.get_extension_for_oid(ExtensionOID.SUBJECT_ALTERNATIVE_NAME).value
            assert isinstance(extension, x509.SubjectAlternativeName)
            names += [("DNS", name) for name in extension.get_values_for_type(x509.DNSName)]
            names += [("IP Address", str(name)) for name in extension.get_values_for_type(x509.IPAddress)]
        except (x509.ExtensionNotFound, ValueError):
            pass
        return cls(
            subject=_name(found.subject),
            issuer=_name(found.issuer),
            names=tuple(names[:100]),
            begins=found.not_valid_before_utc,
            ends=found.not_valid_after_utc,
            self_signed=found.issuer == found.subject,
        )

    def left(self, now: datetime | None = None) -> int:
        """Count the whole days until it ends; negative once it has."""
        return (self.ends - (now or datetime.now(UTC))).days

    @property
    def for_whom(self) -> str:
        """Return the names that the certificate is for."""
        values = [safe(value, 60) for _, value in self.names]
        if not values:
            return safe(self.subject, 60) + " (as common name only, which browsers do not look at)"
        return ", ".join(values[:6]) + (f" and {len(values) - 6} more" if len(values) > 6 else "")

    def lines(self) -> tuple[str, ...]:
        """Describe it for a person."""
        days = self.left()
        when = f"{days} days left" if days >= 0 else f"ended {_days(-days)} ago"
        return (
            f"certificate for {self.for_whom}",
            f"issued by {safe(self.issuer, 80)}, valid until {self.ends:%Y-%m-%d} ({when})",
        )

    def as_json(self) -> dict[str, object]:
        return {
            "subject": safe(self.subject),
            "issuer": safe(self.issuer),
            "names": [safe(value) for _, value in self.names],
            "not_before": self.begins.isoformat(),
            "not_after": self.ends.isoformat(),
            "days_left": self.left(),
            "self_signed": self.self_signed,
        }


def judge(certificate: SeenCertificate, days: int) -> tuple[StepVerdict, tuple[str, ...]]:
    """Judge a certificate that was accepted: whether it ends within `days`."""
    left = certificate.left()
    if left < days:
        return StepVerdict.WARN, (f"the certificate ends in {_days(left)}: renew it, and see to it that it is loaded",)
    return StepVerdict.OK, ()


_EXPIRED, _NOT_YET, _SELF_SIGNED, _PRIVATE_ROOT, _NO_ISSUER, _NO_LEAF, _WRONG_NAME, _WRONG_ADDRESS = (
    10,
    9,
    18,
    19,
    20,
    21,
    62,
    64,
)


def faults(certificate: SeenCertificate, host: str, refused: CertificateRefused, sent: int | None) -> list[Fault]:
    """Return everything that is wrong with a certificate that was refused. OpenSSL names the first fault only.

    `sent` is how many certificates came with it, None if that is not known.
    """
    found: list[Fault] = []
    now = datetime.now(UTC)
    if certificate.ends <= now:
        ago = _days((now - certificate.ends).days)
        found.append(Fault(f"the certificate has expired, {ago} ago", _RENEW))
    elif certificate.begins > now:
        found.append(
            Fault(
                f"the certificate is not valid before {certificate.begins:%Y-%m-%d %H:%M} UTC",
                "a clock is wrong: here, or where the certificate was made",
            )
        )
    elif refused.code in (_EXPIRED, _NOT_YET):
        found.append(Fault("a certificate above the server's has expired", "send the authority's new intermediate"))
    if not is_for({"subjectAltName": certificate.names}, host):
        found.append(
            Fault(
                f"the certificate is for another name: {certificate.for_whom}, not {safe(host)}",
                "connect by a name that it is for, or have one made with this name; several server blocks on one "
                "address: is the right server_name set, or does the first server answer in its place?",
            )
        )
    if certificate.self_signed or refused.code == _SELF_SIGNED:
        found.append(
            Fault(
                "the certificate is self-signed",
                "browsers refuse it without asking where it is a WebSocket's: use a real one (ACME is free), "
                "or trust it: --cafile FILE here",
            )
        )
    elif refused.code == _PRIVATE_ROOT:
        found.append(Fault("the certificate comes from an authority that this machine does not trust", _TRUST))
    elif refused.code in (_NO_ISSUER, _NO_LEAF):
        found.append(_missing(certificate, sent))
    return found or [Fault(f"the certificate is refused: {safe(str(refused))}", "")]


def _missing(certificate: SeenCertificate, sent: int | None) -> Fault:
    who = safe(certificate.issuer, 60)
    if sent == 1 or sent is None:
        return Fault(
            f"the issuer, {who}, is not known here"
            + ("" if sent is None else ", and the server sends no intermediate"),
            "the file of ssl_certificate must hold the whole chain (fullchain.pem, not cert.pem): browsers often hide "
            "that it does not, programs fail; a private authority is trusted with --cafile FILE here",
        )
    return Fault(f"the chain ends at an authority that is not known here (issuer: {who})", _TRUST)


_RENEW = "renew it; if it has been renewed, the server was not told: reload it (penstock -s reload)"
_TRUST = "install that authority's certificate where clients are, or trust it here: --cafile FILE"


def _days(count: int) -> str:
    return "less than a day" if count < 1 else "1 day" if count == 1 else f"{count} days"


def _name(name: Any) -> str:
    """A distinguished name, short: its common name, or all of it."""
    from cryptography.x509.oid import NameOID

    common = name.get_attributes_for_oid(NameOID.COMMON_NAME)
    organisation = name.get_attributes_for_oid(NameOID.ORGANIZATION_NAME)
    parts = [str(each[0].value) for each in (common, organisation) if each]
    text = " of ".join(dict.fromkeys(parts)) or str(name.rfc4514_string())
    return text.encode("utf-8").decode("latin-1")

"""What a plan knows of certificates that are ordered: all that a configuration without them needs of it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from penstock.config.key import Key

if TYPE_CHECKING:
    from penstock.modules.acme.issuer import Issuer
    from penstock.plan.plan import Plan

CERTIFICATE, KEY = ORDERED = "$acme_certificate", "$acme_certificate_key"
"""What is written in place of the files' names."""

ALPN = "acme-tls/1"
"""What a client speaks that poses a challenge in a handshake (RFC 8737)."""

WANTED: Key[bool] = Key("acme certificates are wanted")
"""There where any `acme_certificate` stands."""


@dataclass(frozen=True, slots=True)
class Order:
    """A certificate that is to be had: for whom, from whom, with what kind of key, and the files it is kept in."""

    issuer: Issuer
    identifiers: tuple[str, ...]
    key: str
    certificate_file: str
    key_file: str


ORDERS: Key[dict[str, Order]] = Key("acme orders")
"""The orders of a plan, by the file of the certificate."""


def orders_of(plan: Plan) -> tuple[Order, ...]:
    """Return the certificates that a plan wants ordered."""
    return tuple((plan.shared.get(ORDERS) or {}).values())

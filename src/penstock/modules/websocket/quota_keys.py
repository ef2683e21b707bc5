"""Where quotas are kept: all that a configuration without them needs of them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from penstock.config.key import Key

if TYPE_CHECKING:
    from penstock.modules.websocket.quota import QuotaKey
    from penstock.modules.websocket.quota_counts import QuotaZone

QUOTA_ZONES: Key[dict[str, QuotaZone]] = Key("quota zones")
"""A plan's, by name."""

COUNTED: Key[list[QuotaKey]] = Key("quotas")
"""Those that a handshake counts toward, among its contexts."""


class AnyTally:
    """The base of tallies: known without what counts."""

    __slots__ = ()

    def __call__(self) -> None:
        """Count the rest."""
        raise NotImplementedError

"""What was agreed on beside the protocol itself (RFC 6455 section 9)."""

from __future__ import annotations

from penstock.websocket.frames import RSV1

DEFLATE = "permessage-deflate"
COMPRESSION = frozenset({DEFLATE, "x-webkit-deflate-frame"})
ANY = 0x70
"""An extension that we do not know may use any of the reserved bits."""


def reserved_bits(agreed: str | None) -> int:
    """Return the bits that may be set in data frames, by the Sec-WebSocket-Extensions of a 101."""
    names = _names(agreed)
    if not names:
        return 0
    return RSV1 if names == {DEFLATE} else ANY


def compresses(agreed: str | None) -> bool:
    """Return whether messages may be compressed."""
    return not _names(agreed).isdisjoint(COMPRESSION)


def _names(agreed: str | None) -> set[str]:
    found = {each.partition(";")[0].strip().lower() for each in (agreed or "").split(",")}
    found.discard("")
    return found

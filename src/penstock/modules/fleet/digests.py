"""What stands for a key in Redis: never the key itself, which may be an address, a name or a token."""

from __future__ import annotations

from hashlib import blake2b

from penstock.shared.zone import remembered


class Digests:
    """Digests of 16 bytes, the same on every machine and different for each zone."""

    __slots__ = ("of",)

    def __init__(self, zone: str) -> None:
        seed = blake2b(digest_size=16, key=blake2b(zone.encode("utf-8"), digest_size=32).digest())

        def digest(key: str) -> bytes:
            made = seed.copy()
            made.update(key.encode("latin-1"))
            return made.digest()

        self.of = remembered(digest)
        """Return the digest of a key."""

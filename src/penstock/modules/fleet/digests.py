"""What stands for a key in Redis: never the key itself, which may be an address, a name or a token."""

from __future__ import annotations

from hashlib import blake2b


class Digests:
    """Digests of 16 bytes, the same on every machine and different for each zone."""

    __slots__ = ("_seed",)

    def __init__(self, zone: str) -> None:
        seed = blake2b(zone.encode("utf-8"), digest_size=32).digest()
        self._seed = blake2b(digest_size=16, key=seed)

    def of(self, key: str) -> bytes:
        """Return the digest of a key."""
        made = self._seed.copy()
        made.update(key.encode("latin-1"))
        return made.digest()

"""One request's way through a cache: what is kept for it, whether it may be given, and who fetches it anew (nginx:
ngx_http_upstream_cache and ngx_http_file_cache_open)."""

from __future__ import annotations

import os
from time import time
from typing import TYPE_CHECKING

from penstock.config.key import Key
from penstock.http.cache.freshness import judge
from penstock.http.cache.variant import variant_of
from penstock.upstream.cache.store import OpenEntry, digest_of

if TYPE_CHECKING:
    from collections.abc import Iterable

    from penstock.http.cache.entry import CacheEntry
    from penstock.http.request import Request
    from penstock.modules.cache.rules import CacheRules
    from penstock.upstream.cache.store import CacheStore

MISS, BYPASS, EXPIRED, STALE = "MISS", "BYPASS", "EXPIRED", "STALE"
UPDATING, REVALIDATED, HIT = "UPDATING", "REVALIDATED", "HIT"
FAMILY = 8
LONGEST_FETCH = 3600.0
"""Seconds after which a claim to fetch an expired answer is one no more, whatever its owner does."""


class CacheLookup:
    """What a request has found in a cache, held by it. `status` is `$upstream_cache_status`, `keeps` whether what a
    backend answers is to be kept, `error` a status that stands in place of an answer (0: none)."""

    __slots__ = (
        "_claimed",
        "_digest",
        "_family",
        "_main",
        "_secondary",
        "_until",
        "error",
        "keeps",
        "key",
        "method",
        "opened",
        "request_headers",
        "rules",
        "status",
        "store",
    )

    def __init__(self, rules: CacheRules, store: CacheStore, request: Request, key: str) -> None:
        self.rules = rules
        self.store = store
        self.key = key.encode("latin-1")
        self.method = request.method
        self.request_headers: Iterable[tuple[str, str]] = request.head.headers
        self.status = ""
        self.keeps = True
        self.error = 0
        self.opened: OpenEntry | None = None
        self._main = self._digest = digest_of(self.key)
        self._family = b""
        self._secondary = False
        self._claimed = b""
        self._until = 0.0

    def bypass(self) -> None:
        """Look at nothing: what a backend answers takes the place of what is kept."""
        self.status = BYPASS

    def search(self, now: float, *, again: bool = False) -> None:
        """Find what is kept. `now` is a monotonic moment, `again` whether this use has been counted.

        Raises `OSError`."""
        self._close()
        self._digest, self._secondary = self._main, False
        second = int(time())
        opened = self._open()
        if opened is None:
            self._not_there(now, second, again=again)
            return
        self.opened = opened
        self.store.used(self._digest, opened, second)
        if opened.entry.valid >= second:
            self.status = HIT
        elif self._claim(now, LONGEST_FETCH):
            self.status = EXPIRED
        else:
            self.status = UPDATING

    def glance(self) -> bool:
        """Find what is kept and good. False, and nothing has been done, where that takes more than to open it.

        Raises `OSError`."""
        opened = self._open()
        if opened is None:
            return False
        second = int(time())
        if opened.entry.valid < second:
            opened.close()
            return False
        self.store.used(self._digest, opened, second)
        self.found(opened)
        return True

    def found(self, opened: OpenEntry) -> None:
        """Let it be what was found: it is good."""
        self.opened = opened
        self.status = HIT

    def _open(self) -> OpenEntry | None:
        opened = self.store.open(self._main, self.key)
        if opened is not None and opened.entry.vary:
            entry = opened.entry
            self._family = entry.family
            variant = self._variant(entry.vary)
            if variant != entry.variant:
                opened.close()
                self._digest, self._secondary = variant, True
                opened = self.store.open(variant, self.key)
                if opened is not None and opened.entry.variant != variant:
                    opened.close()
                    opened = None
        if opened is not None and opened.entry.head_only and self.method != "HEAD":
            opened.close()
            opened = None
        return opened

    def _variant(self, vary: bytes) -> bytes:
        return variant_of(self._main + self._family, vary.decode("latin-1"), self.request_headers)

    def _not_there(self, now: float, second: int, *, again: bool) -> None:
        self.status = MISS
        if again:
            place = self.store.index.read(self._digest)
            uses, error = (1, 0) if place is None else (place.uses, place.error if place.valid >= second else 0)
        else:
            uses, error = self.store.visit(self._digest, second)
        if error:
            self.status = HIT
            self.error = error
        elif uses < self.rules.min_uses:
            self.keeps = False
        elif self.rules.lock and not self._claim(now, self.rules.lock_age):
            self.status = UPDATING

    def _claim(self, now: float, span: float) -> bool:
        until = now + span
        if not self.store.index.claim(self._digest, now, until):
            return False
        self._claimed, self._until = self._digest, until
        return True

    def is_fetched(self, now: float) -> bool:
        """Return whether somebody else fetches it at this moment."""
        return self.store.index.is_claimed(self._digest, now)

    @property
    def stale_while_updating(self) -> bool:
        """Return whether what is kept may be given while it is fetched anew."""
        entry = self._entry
        return entry is not None and (
            "updating" in self.rules.use_stale or entry.valid + entry.updating >= int(time())
        )

    def stale_on(self, condition: str, *, failure: bool) -> bool:
        """Return whether what has expired may be given after all, as the backend has failed or answered so."""
        entry = self._entry
        if entry is None or self.status != EXPIRED:
            return False
        return condition in self.rules.use_stale or (failure and entry.valid + entry.error >= int(time()))

    @property
    def _entry(self) -> CacheEntry | None:
        return None if self.opened is None else self.opened.entry

    # -- what becomes of an answer

    def place_for(self, vary: str) -> tuple[bytes, bytes, bytes]:
        """Return under which digest an answer is kept, its variant, and its family."""
        if not self._family:
            self._family = os.urandom(FAMILY)
        if not vary:
            return self._main, bytes(16), self._family
        variant = self._variant(vary.encode("latin-1"))
        digest = variant if self._secondary and variant == self._digest else self._main
        return digest, variant, self._family

    def renew(self, headers: list[tuple[str, str]], kept: list[tuple[str, str]], status: int) -> None:
        """Let what is kept be good for longer: its backend has said that it has not changed. Raises `OSError`."""
        opened = self.opened
        assert opened is not None
        second = int(time())
        said = judge(headers, self.rules.ignored, second)
        if not said.valid:
            said = judge(kept, self.rules.ignored, second)
        valid = said.valid if said.keeps else 0
        if not said.valid:
            span = self.rules.valid_for(status)
            valid = second + span if span else 0
        if valid:
            entry = opened.entry
            entry.valid, entry.updating, entry.error, entry.date = valid, said.updating, said.error, second
            self.store.renew(opened, self._digest)

    def failed(self, status: int, valid: int = 0) -> None:
        """Let a status be the answer for as long as the location says, or until `valid`."""
        second = int(time())
        if not valid:
            span = self.rules.valid_for(status)
            valid = second + span if span else 0
        if valid:
            self.store.fail(self._digest, status, valid, second)

    def release(self) -> None:
        """Let others fetch it."""
        claimed, self._claimed = self._claimed, b""
        if claimed:
            self.store.index.release(claimed, self._until)

    def hand_on(self) -> tuple[bytes, float]:
        """Give the claim to somebody who releases it."""
        claimed, self._claimed = self._claimed, b""
        return claimed, self._until

    def find_expired(self, claim: tuple[bytes, float]) -> None:
        """Find what has expired, which another lookup has claimed to fetch. Raises `OSError`."""
        self._claimed, self._until = claim
        self.opened = self._open()
        self.status = MISS if self.opened is None else EXPIRED

    def close(self) -> None:
        """Give back what is open, and what is claimed."""
        self._close()
        self.release()

    def _close(self) -> None:
        opened, self.opened = self.opened, None
        if opened is not None:
            opened.close()


LOOKUP: Key[CacheLookup] = Key("cache lookup")
"""The key of a request's contexts under which its lookup is."""


def lookup_of(request: Request) -> CacheLookup | None:
    """Return what a request has found in a cache, None where it has not looked."""
    return None if request.contexts is None else request.contexts.get(LOOKUP)

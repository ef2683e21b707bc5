"""What a location says of its cache, in the form in which requests go by it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from penstock.config.variables import Template
    from penstock.http.request import Request
    from penstock.upstream.cache.store import CacheStore
    from penstock.upstream.exchange.temp_file import TempFolder

ALL = 0
"""Stands for every status."""


@dataclass(frozen=True, slots=True)
class CacheRules:
    """Times are seconds. `stores` are all caches by name, of which `name` chooses one; `key` None: the module's own.
    `folder` is where answers are begun for a cache that does not say (`use_temp_path=on`). `valid` are statuses and
    seconds in the order in which they were written."""

    name: Template
    stores: dict[str, CacheStore]
    key: Template | None
    valid: tuple[tuple[int, int], ...]
    bypass: tuple[Template, ...]
    no_cache: tuple[Template, ...]
    purge: tuple[Template, ...]
    methods: frozenset[str]
    use_stale: frozenset[str]
    ignored: frozenset[str]
    min_uses: int
    most_offset: int | None
    lock: bool
    lock_timeout: float
    lock_age: float
    revalidate: bool
    in_background: bool
    converts_head: bool
    folder: TempFolder | None

    def valid_for(self, status: int) -> int:
        """Return for how many seconds an answer of that status is good, where it does not say; 0: it is not kept."""
        for known, seconds in self.valid:
            if known in (ALL, status):
                return seconds
        return 0

    def keeps_range(self, request: Request) -> bool:
        """Return whether a whole answer is fetched and kept for a request of a part (`*_cache_max_range_offset`)."""
        value = request.head.fields.get("range")
        most = self.most_offset
        if value is None or most is None:
            return True
        if most == 0:
            return False
        if value[:6].lower() != "bytes=":
            return True
        start = value[6:].lstrip(" ")
        if start.startswith("-"):
            return False
        digits = start[: len(start) - len(start.lstrip("0123456789"))]
        return len(digits) < 20 and int(digits or 0) < most


def any_holds(templates: tuple[Template, ...], request: Request) -> bool:
    """Return whether one of these is neither empty nor 0 (nginx: ngx_http_test_predicates)."""
    for template in templates:  # noqa: SIM110  `any` would leave a generator behind that has to be ended
        if template.evaluate(request) not in ("", "0"):
            return True
    return False

"""Which caches a plan has."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from penstock.config.key import Key

if TYPE_CHECKING:
    from penstock.config.scope import Compilation
    from penstock.plan.plan import Plan
    from penstock.upstream.cache.store import CacheStore

STORES: Key[dict[str, CacheStore]] = Key("caches")
"""The key of the plan's `shared` under which all caches are, by the names of their zones."""


def caches(compilation: Compilation) -> dict[str, CacheStore]:
    """Return the caches of the configuration that is being read."""
    return compilation.shared.setdefault(STORES, {})


def all_stores(plan: Plan) -> Iterable[CacheStore]:
    """Return the caches of a plan."""
    return (plan.shared.get(STORES) or {}).values()

"""`$upstream_cache_...`: what a request has found in a cache (nginx: ngx_http_upstream_module)."""

from __future__ import annotations

from time import time

from penstock.config.variables import variable
from penstock.http.dates import http_date
from penstock.http.request import Request
from penstock.modules.cache.lookup import EXPIRED, CacheLookup, lookup_of


@variable("upstream_cache_status")
def upstream_cache_status(request: Request) -> str | None:
    """MISS, BYPASS, EXPIRED, STALE, UPDATING, REVALIDATED or HIT."""
    lookup = lookup_of(request)
    return None if lookup is None or not lookup.status else lookup.status


def _expired(request: Request) -> CacheLookup | None:
    lookup = lookup_of(request)
    if lookup is None or lookup.opened is None or not lookup.rules.revalidate or lookup.status != EXPIRED:
        return None
    return lookup


@variable("upstream_cache_last_modified")
def upstream_cache_last_modified(request: Request) -> str | None:
    """When what has expired was changed, as its backend is asked whether it still is what it was."""
    lookup = _expired(request)
    if lookup is None or lookup.opened is None or lookup.opened.entry.last_modified < 0:
        return None
    return http_date(lookup.opened.entry.last_modified)


@variable("upstream_cache_etag")
def upstream_cache_etag(request: Request) -> str | None:
    """The ETag of what has expired, likewise."""
    lookup = _expired(request)
    if lookup is None or lookup.opened is None or not lookup.opened.entry.etag:
        return None
    return lookup.opened.entry.etag.decode("latin-1")


@variable("upstream_cache_age")
def upstream_cache_age(request: Request) -> str | None:
    """For how many seconds an answer has been kept."""
    lookup = lookup_of(request)
    if lookup is None or lookup.opened is None:
        return None
    return str(max(0, int(time()) - lookup.opened.entry.date))


@variable("upstream_cache_key")
def upstream_cache_key(request: Request) -> str | None:
    """What an answer is kept under."""
    lookup = lookup_of(request)
    return None if lookup is None else lookup.key.decode("latin-1")

"""Conditional requests (RFC 9110 section 13), decided as nginx decides them."""

from __future__ import annotations

from penstock.http.dates import parse_date


def weakened(etag: str) -> str | None:
    """Return the tag of an entity whose bytes were changed on their way: weak, and none if it was none."""
    if etag.startswith("W/"):
        return etag
    return f"W/{etag}" if etag.startswith('"') else None


def matches(listed: str, etag: str | None) -> bool:
    """Return whether an If-Match names this entity tag: "*" always does; else by strong comparison."""
    return listed == "*" or (etag is not None and _listed(listed, etag, ""))


def matches_weakly(listed: str, etag: str | None) -> bool:
    """Return whether an If-None-Match names this entity tag: "*" always does; else by weak comparison."""
    if listed == "*":
        return True
    if etag is None:
        return False
    return _listed(listed, etag.removeprefix("W/") if len(etag) > 2 else etag, "W/")


def _listed(listed: str, etag: str, weak: str) -> bool:
    # Not a split at commas: a tag may hold one.
    at = 0
    while at < len(listed):
        if weak and listed.startswith(weak, at) and len(listed) - at > 2:
            at += 2
        if listed.startswith(etag, at):
            at += len(etag)
            while listed[at : at + 1] in (" ", "\t"):
                at += 1
            if listed[at : at + 1] in ("", ","):
                return True
        comma = listed.find(",", at)
        if comma < 0:
            return False
        at = comma
        while listed[at : at + 1] in (" ", "\t", ","):
            at += 1
    return False


def modified_exactly(since: str, modified: int | None) -> bool:
    """Return whether the date of an If-Modified-Since is another than the last change (`if_modified_since exact`)."""
    return modified is None or parse_date(since) != modified


def modified_after(since: str, modified: int | None) -> bool:
    """Return whether the last change came after the date of an If-Modified-Since (`if_modified_since before`)."""
    date = parse_date(since)
    return modified is None or date is None or date < modified


def unmodified(since: str, modified: int | None) -> bool:
    """Return whether nothing changed after the date of an If-Unmodified-Since."""
    date = parse_date(since)
    return modified is not None and date is not None and date >= modified


def still_current(if_range: str, etag: str | None, modified: int | None) -> bool:
    """Return whether an If-Range allows to answer with parts: it names this very entity."""
    if len(if_range) >= 2 and if_range.endswith('"'):
        return if_range == etag
    return modified is not None and parse_date(if_range) == modified

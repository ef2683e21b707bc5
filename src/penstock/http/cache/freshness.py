"""How long an answer may be given again, by its own words (nginx: ngx_http_upstream_process_cache_control and its kin;
RFC 9111, section 4.2).

Headers are weighed in the order in which they came, as nginx does it: `X-Accel-Expires` stands above `Cache-Control`,
that above `Expires`.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

from penstock.http.dates import parse_date
from penstock.http.fields import LOWER

LONGEST_VARY = 128
"""Bytes of all `Vary` together; an answer with more is not kept, as in nginx."""
FOREVER = 1 << 40
"""The last second that is reckoned with."""

# delta-seconds (RFC 9111, section 1.2.2), up to what ends a directive; anything else in it is no number.
_SECONDS = re.compile(r"([^,; ]*)", re.ASCII)
_NOT_KEPT = ("no-cache", "no-store", "private")


class Freshness:
    """What an answer says. `keeps`: it may be kept at all. `valid`: until when it is good, in seconds since 1970; 0
    where it does not say. `updating`, `error`: for how many seconds more it may be given while it is fetched anew,
    and where that fails. `vary`: the names of the headers that it depends on."""

    __slots__ = ("error", "expired", "keeps", "no_cache", "updating", "valid", "vary")

    def __init__(self) -> None:
        self.keeps = True
        self.no_cache = self.expired = False
        self.valid = self.updating = self.error = 0
        self.vary = ""


def judge(headers: Iterable[tuple[str, str]], ignored: frozenset[str], now: int) -> Freshness:
    """Judge the headers of an answer that came at `now`. `ignored` are names in lower case (`*_ignore_headers`)."""
    found = Freshness()
    accel = expires = False
    varies: list[str] = []
    for name, value in headers:
        match LOWER[name]:
            case "x-accel-expires" if not accel:
                accel = True
                if "x-accel-expires" not in ignored:
                    _accel(found, value, now)
            case "expires" if not expires:
                expires = True
                if "expires" not in ignored and not found.valid:
                    moment = parse_date(value)
                    if moment is None or moment < now:
                        found.expired = True
                    else:
                        found.valid = moment
            case "cache-control" if "cache-control" not in ignored:
                _control(found, value.lower(), now, accel=accel)
            case "set-cookie" if "set-cookie" not in ignored:
                found.keeps = False
            case "vary" if "vary" not in ignored:
                varies.append(value)
    found.vary = ", ".join(varies)
    if len(found.vary) > LONGEST_VARY or "*" in [name.strip(" \t") for name in found.vary.split(",")]:
        found.keeps = False
    if found.no_cache or found.expired:
        found.keeps = False
    return found


def _accel(found: Freshness, value: str, now: int) -> None:
    absolute = value.startswith("@")
    seconds = _number(value[1:] if absolute else value)
    if seconds is None:
        return
    if not absolute and seconds == 0:
        found.keeps = False
        return
    found.valid = seconds if absolute else min(now + seconds, FOREVER)
    found.no_cache = found.expired = False


def _control(found: Freshness, value: str, now: int, *, accel: bool) -> None:
    if not (found.valid and accel):
        if any(word in value for word in _NOT_KEPT):
            found.no_cache = True
            return
        seconds = _delta(found, value, "s-maxage=")
        if seconds is None:
            seconds = _delta(found, value, "max-age=")
        if seconds is not None:
            if seconds == 0:
                found.no_cache = True
            if seconds <= 0:
                return
            found.valid = min(now + seconds, FOREVER)
            found.expired = False
    seconds = _delta(found, value, "stale-while-revalidate=")
    if seconds is not None:
        if seconds < 0:
            return
        found.updating = found.error = seconds
    seconds = _delta(found, value, "stale-if-error=")
    if seconds is not None and seconds >= 0:
        found.error = seconds


def _delta(found: Freshness, value: str, name: str) -> int | None:
    """The number behind a name, None without it. One that is none lets nobody keep the answer: -1."""
    at = value.find(name)
    if at < 0:
        return None
    match = _SECONDS.match(value, at + len(name))
    text = match[1] if match is not None else ""
    seconds = _number(text) if text else 0
    if seconds is None:
        found.keeps = False
        return -1
    return seconds


def _number(text: str) -> int | None:
    if not (text.isascii() and text.isdecimal()):
        return None
    return FOREVER if len(text) > 12 else min(int(text), FOREVER)

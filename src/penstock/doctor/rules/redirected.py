"""Paths of which a handshake would be redirected to a location, by the final slash that they lack."""

from __future__ import annotations

from functools import partial

from penstock.doctor.rules.rehearsed import to_try, who_asks
from penstock.doctor.site.level import Level
from penstock.doctor.site.site import Site
from penstock.doctor.site.traffic import fixed_path, may_carry_sockets


def redirected(site: Site) -> tuple[str, ...]:
    """Return the locations' paths, `/ws/` for one where a handshake to `/ws` is answered by a redirect.

    That may be meant so, as where clients ask for `/ws/room`. Libraries that ask with the slash are left out.
    """
    found: dict[str, None] = {}
    for place in site.passes:
        location = place.place
        if location.path not in found and _named(location) and to_try(site, place) and _redirects(site, location):
            found[location.path] = None
    return tuple(found)


def _named(location: Level) -> bool:
    path = location.path
    plain = location.modifier in ("", "^~") and path.startswith("/") and path.endswith("/") and path != "/"
    return plain and fixed_path(location) is None and may_carry_sockets(location)


def _redirects(site: Site, location: Level) -> bool:
    assert site.rehearse is not None and location.span is not None
    tried = site.rehearse(location.span, location.path.rstrip("/"), partial(who_asks, site))
    return tried is not None and (tried.told.answer or "").startswith("301 ")

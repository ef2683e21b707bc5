"""Handshakes that come to another place than the one that looks made for them, and fail there."""

from __future__ import annotations

from collections.abc import Iterator

from penstock.doctor.attempt import TriedHandshake
from penstock.doctor.finding import WARNING, Finding
from penstock.doctor.handshake import flaws
from penstock.doctor.rule import Rule
from penstock.doctor.rules.rehearsed import handshakes, judged, tried_at, who_asks
from penstock.doctor.rules.upgrade import outer_upgrade
from penstock.doctor.site.level import Level
from penstock.doctor.site.site import PassLevel, Site
from penstock.doctor.site.targets import targets
from penstock.doctor.site.traffic import asks_for_upgrade, carries_sockets


def astray(site: Site) -> Iterator[Finding]:
    """Follow a handshake from each location that looks like one for WebSockets to where it ends."""
    if site.rehearse is None:
        return
    own = {id(place.place): place for place in site.passes}
    seen: set[int] = set()
    for level in site.main.walk():
        if level.kind != "location" or level.span is None or level.name.startswith("@") or id(level) in site.private:
            continue
        if carries_sockets(level) is None and not any(asks_for_upgrade(each) for each in level.below):
            continue
        tried = tried_at(site, level)
        place = None if tried is None else _end(site, tried)
        if place is not None and tried is not None:
            if place.place is not level and id(place.place) not in seen and not _told_of(place):
                seen.add(id(place.place))
                yield from judged(place, tried)
        elif tried is None and id(level) in own and not own[id(level)].off:
            yield from _never(site, level)


def _end(site: Site, tried: TriedHandshake) -> PassLevel | None:
    """The `proxy_pass` that a handshake came to."""
    backend = tried.told.backend
    if backend is None or backend.span is None or backend.module != "proxy" or tried.told.answer is not None:
        return None
    at = backend.span.file, backend.span.start
    return next((each for each in site.passes if (each.directive.span.file, each.directive.span.start) == at), None)


def _told_of(place: PassLevel) -> bool:
    """Whether another rule speaks of this place: those of `upgrade.py`, or the handshake that is tried there."""
    if carries_sockets(place.place) is not None and (place.passes_upgrade is False or place.place.path.startswith("/")):
        return True
    if place.unknown or outer_upgrade(place) is not None or place.passes_upgrade != place.passes_websockets:
        return True
    return place.passes_upgrade and place.place.path.startswith("/")


def _never(site: Site, level: Level) -> Iterator[Finding]:
    """A location that no request comes to, since another takes them all, or the server answers before."""
    assert site.rehearse is not None and level.span is not None
    if level.modifier not in ("", "^~", "="):
        return
    found: list[TriedHandshake] = []
    for target in targets(level):
        tried = site.rehearse(level.span, target, lambda condition: who_asks(site, condition))
        if tried is None or tried.visited or tried.told.websocket is None or tried.told.websocket.survives:
            return
        found.append(tried)
    if not found or (found[0].told.backend is not None and not flaws(found[0].told.backend)):
        return
    told = found[0].told
    elsewhere = next((step for step in reversed(told.steps) if step.span is not None), None)
    end = f"this server answers them: {told.answer}" if told.answer is not None else "they go elsewhere, and fail there"
    yield Finding(
        "handshake-fails",
        WARNING,
        f"no WebSocket comes to location {level.name}: {end}",
        level.span if elsewhere is None or elsewhere.span is None else elsewhere.span,
        label="this comes before it",
        advice=f'"location ^~ {level.path}" goes before regular expressions; a return of the server goes before all'
        if level.modifier != "="
        else "a return of the server goes before every location",
    )


def _both(site: Site) -> Iterator[Finding]:
    yield from handshakes(site)
    yield from astray(site)


RULES = (Rule("handshake-fails", WARNING, "a WebSocket does not get through, as trying it shows", _both),)

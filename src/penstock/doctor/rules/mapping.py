"""Paths that reach the backend as nobody meant them."""

from __future__ import annotations

import re
from collections.abc import Iterator

from penstock.doctor.finding import NOTE, WARNING, Edit, Finding, Fix
from penstock.doctor.repair.edits import before, quoted, replaced
from penstock.doctor.rule import Rule
from penstock.doctor.site.site import PassLevel, Site
from penstock.doctor.site.traffic import SOCKETS


def slashes(site: Site) -> Iterator[Finding]:
    """Find a location and a proxy_pass of which one ends with a slash, and the other does not."""
    for place in site.passes:
        location = place.place
        path, uri = location.path, place.uri
        plain = location.kind == "location" and location.modifier in ("", "^~") and not path.startswith("@")
        if not plain or not uri.startswith("/") or "$" in place.url or path == "/" or place.level is not location:
            continue
        if path.endswith("/") and not uri.endswith("/") and "?" not in uri:
            example = f"{path}room", f"{uri}room"
            fix: Fix | None = Fix("end both with a slash", (_url(place, place.url + "/"),))
        elif not path.endswith("/") and uri.endswith("/"):
            example = f"{path}/room", f"{uri}/room"
            fix = _rewritten(place, path, uri)
        else:
            continue
        whole = not path.endswith("/") and path.rpartition("/")[2] in SOCKETS - {"ws"}  # nothing comes below it
        yield Finding(
            "slash-mapping",
            NOTE if whole else WARNING,
            f'{example[0]} reaches the backend as {example[1]}: "{uri}" takes the place of "{path}", letter by letter',
            place.directive.span,
            label="handshakes to such a path are answered 404, or with a page",
            advice="end both the location and the proxy_pass with a slash, or neither",
            fix=fix,
        )


def _rewritten(place: PassLevel, path: str, uri: str) -> Fix | None:
    """The path cut off by a rewrite: a slash at the location's end would redirect those who ask for it without."""
    if place.level.own("rewrite") or " " in path:
        return None
    line = f"rewrite ^{re.escape(path)}/*(.*)$ {uri}$1 break;"
    if any(char in line for char in "{}\"'"):
        return None
    url = place.url.removesuffix(uri)
    return Fix(
        "take the location's path off by a rewrite",
        (before(place.directive, [line]), _url(place, url)),
    )


def _url(place: PassLevel, text: str) -> Edit:
    return replaced(place.directive.args[0], quoted(text))


def fixed_by_variable(site: Site) -> Iterator[Finding]:
    """Find a proxy_pass whose variables make it replace the whole path."""
    for place in site.passes:
        location = place.place
        if "$" not in place.host + place.port or not place.uri or "$" in place.uri:
            continue
        if location.modifier == "=" or location.own("internal") or location.path.startswith("@"):
            continue
        bare = place.url.removesuffix(place.uri)
        everything = location.path == "/" and place.uri == "/"
        yield Finding(
            "variable-path",
            WARNING,
            f'every request at {place.shown} reaches the backend as "{place.uri}": with a variable in it, '
            "proxy_pass replaces the whole path",
            place.directive.span,
            label="all handshakes go to the same path, without their arguments",
            advice=f"to pass the path on: proxy_pass {bare}; to change it, a rewrite before it with break",
            fix=Fix("pass the path on", (_url(place, bare),)) if everything else None,
        )


RULES = (
    Rule("slash-mapping", WARNING, "a slash too many or too few between location and proxy_pass", slashes),
    Rule("variable-path", WARNING, "a proxy_pass with variables replaces the whole path", fixed_by_variable),
)

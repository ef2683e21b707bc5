"""Why this listener, this server, this location: what was compared, and who lost."""

from __future__ import annotations

from typing import Any

from penstock.config.pcre import Regex
from penstock.doctor.explanation import Choice
from penstock.plan.location import Listen, Location, Server
from penstock.plan.match import LocationTree
from penstock.plan.plan import Plan

WILDCARDS = ("0.0.0.0", "::")


class NoListener(Exception):
    """Nothing is listened on at all."""


def shown_address(listen: Listen) -> str:
    """`127.0.0.1:8080`, or `unix:/path`."""
    address = listen.address
    if isinstance(address, str):
        return f"unix:{address}"
    return f"[{address[0]}]:{address[1]}" if ":" in address[0] else f"{address[0]}:{address[1]}"


def listener(plan: Plan, host: str, port: int | None, tls: bool) -> tuple[Listen, Choice]:
    """The address that a client of this host and port reaches. Raises `NoListener`."""
    listens = [each for each in plan.listens if not isinstance(each.address, str)] or list(plan.listens)
    if not listens:
        raise NoListener("nothing is listened on")
    wanted = port if port is not None else 443 if tls else 80
    here = [each for each in listens if not isinstance(each.address, str) and each.address[1] == wanted]
    why = f"it listens on port {wanted}"
    if not here:
        here = [each for each in listens if bool(each.options.ssl) is tls] or listens
        why = f"nothing listens on port {wanted}; this is the first that could be meant"
    exact = [each for each in here if each.address[0] == host]
    anywhere = [each for each in here if each.address[0] in WILDCARDS]
    best = (exact or anywhere or here)[0]
    if exact:
        why += ", on this very address"
    elif anywhere and len(here) > 1:
        why += ", on all addresses"
    losers = [
        Choice(shown_address(each), "another address" if each in here else "another port", each.span)
        for each in listens
        if each is not best
    ]
    if tls and not best.options.ssl:
        why += "; it speaks no TLS, which somebody before it has to end"
    name = shown_address(best) + (" with TLS" if best.options.ssl else "")
    return best, Choice(name, why, best.span, losers)


def server(listen: Listen, host: str, chosen: Server) -> Choice:
    """Why a server of an address has the request."""
    losers = [
        Choice(_server_name(each), _not_it(each, host, chosen), each.span)
        for each in listen.servers
        if each is not chosen
    ]
    found = _matching(chosen, host)
    if found is not None:
        why = f'its server_name "{found}" {"is" if found == host else "matches"} "{host}"'
    elif len(listen.servers) == 1:
        why = "it is the only one at this address"
    elif listen.options.default_server:
        why = f'no name matches "{host}", and it is the default_server'
    else:
        why = f'no name matches "{host}", and it comes first in the file'
    return Choice(_server_name(chosen), why, chosen.span, losers)


def _names(each: Server) -> list[tuple[Any, Any]]:
    scope = each.root.scope
    return [] if scope is None else list(scope.data["names"])


def _server_name(each: Server) -> str:
    names = [word.text for word, _ in _names(each) if word is not None]
    return f"server {' '.join(names)}" if names else "server without a name"


def _matching(each: Server, host: str) -> str | None:
    """The name by which a server answers to a host; the exact one first."""
    found = [(word.text, name) for word, name in _names(each) if word is not None]
    kinds: list[list[str]] = [[], [], [], []]
    for text, name in found:
        if isinstance(name, Regex):
            if name.match(host) is not None:
                kinds[3].append(text)
        elif name == host:
            kinds[0].append(text)
        elif f".{host}".endswith(name) if name.startswith(".") else name.startswith("*.") and host.endswith(name[1:]):
            kinds[1].append(text)
        elif name.endswith(".*") and host.startswith(name[:-1]):
            kinds[2].append(text)
    return next((kind[0] for kind in kinds if kind), None)


def _not_it(each: Server, host: str, chosen: Server) -> str:
    if _matching(each, host) is None:
        return f'no server_name of it matches "{host}"'
    return f'the name of {_server_name(chosen)} is nearer to "{host}"'


def location(searched: LocationTree, uri: str, found: Location | None) -> Choice:
    """Why a location has a path, and which others match it too."""
    losers = [
        Choice(_text(each), _why_not(each, uri, found), each.span)
        for each in _all(searched)
        if each is not found and _matches(each, uri) and not _encloses(each, found)
    ]
    if found is None:
        return Choice("none", f"no location matches {uri}: the server itself answers", None, losers)
    return Choice(_text(found), _why(found, uri, losers), found.span, losers)


def _all(searched: LocationTree) -> list[Location]:
    return [one for each in searched.all for one in (each, *(_all(each.nested) if each.nested is not None else ()))]


def _encloses(outer: Location, inner: Location | None) -> bool:
    return inner is not None and outer.nested is not None and any(each is inner for each in _all(outer.nested))


def _text(each: Location) -> str:
    return each.span.text if each.span is not None else each.name


def _matches(each: Location, uri: str) -> bool:
    if each.kind == "regex":
        return each.regex is not None and each.regex.match(uri) is not None
    return uri == each.name if each.kind == "exact" else uri.startswith(each.name)


def _why(found: Location, uri: str, losers: list[Choice]) -> str:
    if found.kind == "exact":
        return f"it is {uri}, to the letter" if found.name == uri else f"{uri} is redirected to it: 301"
    if found.kind == "regex":
        return f"the first regular expression in the file that matches {uri}"
    if found.auto_redirect and len(found.name) == len(uri) + 1:
        return f"{uri} is redirected to it, with its final slash: 301"
    if found.final:
        return f"the longest prefix of {uri}, and its ^~ ends the search"
    return f"the longest prefix of {uri}" + ("" if losers else ", and no regular expression matches")


def _why_not(each: Location, uri: str, found: Location | None) -> str:
    if found is None:
        return "it stands in a location that was not chosen"
    if found.kind == "exact":
        return "an exact location ends the search"
    if each.kind == "regex":
        if found.kind == "regex":
            return "it matches too, but stands further down, or in a location that was not chosen"
        return "the ^~ of the chosen one keeps regular expressions away" if found.final else "it was not searched"
    if found.kind == "regex":
        return "a regular expression that matches comes before a prefix"
    return "a shorter prefix"

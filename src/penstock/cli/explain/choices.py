"""Why this listener, this server, this location: what was compared, and who lost."""

from __future__ import annotations

from penstock.config.addresses import address_text
from penstock.config.regex.pcre import MatchFailed, Regex
from penstock.config.tree import Word
from penstock.doctor.explanation import ExplainedChoice
from penstock.modules.core.locations import all_locations
from penstock.modules.core.server_blocks import NAMES
from penstock.plan.location import Listen, Location, Server
from penstock.plan.match import NO, LocationTree
from penstock.plan.plan import Plan

WILDCARDS = ("0.0.0.0", "::")


class NoListener(Exception):
    """Nothing is listened on at all."""


def listener(plan: Plan, host: str, port: int | None, tls: bool) -> tuple[Listen, ExplainedChoice]:
    """Find the address that a client of this host and port reaches. Raises `NoListener`."""
    of_http = [each for each in plan.listens if not each.stream]
    listens = [each for each in of_http if not isinstance(each.address, str)] or of_http
    wanted = port if port is not None else 443 if tls else 80
    if any(each.stream and not isinstance(each.address, str) and each.address[1] == wanted for each in plan.listens):
        raise NoListener(f"port {wanted} is a stream's: what a client says there is passed on, and is nobody's request")
    if not listens:
        raise NoListener("nothing is listened on")
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
        ExplainedChoice(address_text(each.address), "another address" if each in here else "another port", each.span)
        for each in listens
        if each is not best
    ]
    if tls and not best.options.ssl:
        why += "; it speaks no TLS, which somebody before it has to end"
    name = address_text(best.address) + (" with TLS" if best.options.ssl else "")
    return best, ExplainedChoice(name, why, best.span, losers)


def servers_around(plan: Plan) -> dict[tuple[str, int], Server]:
    """Return the server of each location by the file and the offset where it is written. Of a file that several servers
    include, it is the first of them."""
    found: dict[tuple[str, int], Server] = {}
    for each in plan.servers:
        for location in all_locations([each.root]):
            if location.span is not None:
                found.setdefault((location.span.file, location.span.start), each)
    return found


def listener_of(plan: Plan, served: Server) -> Listen | None:
    """Find an address at which a server is reached, one with TLS if it has one: the other often redirects there."""
    found = [each for each in plan.listens if served in each.servers]
    return next((each for each in found if each.options.ssl), found[0] if found else None)


def server(listen: Listen, host: str, chosen: Server) -> ExplainedChoice:
    """Explain why a server of an address has the request."""
    losers = [
        ExplainedChoice(_server_name(each), _not_it(each, host, chosen), each.span)
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
    return ExplainedChoice(_server_name(chosen), why, chosen.span, losers)


def _names(each: Server) -> list[tuple[Word | None, str | Regex]]:
    scope = each.root.scope
    return [] if scope is None else scope.data[NAMES]


def _server_name(each: Server) -> str:
    names = [word.text for word, _ in _names(each) if word is not None]
    return f"server {' '.join(names)}" if names else "server without a name"


def _matching(each: Server, host: str) -> str | None:
    """The name by which a server answers to a host; the exact one first."""
    found = [(word.text, name) for word, name in _names(each) if word is not None]
    kinds: list[list[str]] = [[], [], [], []]
    for text, name in found:
        if isinstance(name, Regex):
            if _found(name, host):
                kinds[3].append(text)
        elif name == host:
            kinds[0].append(text)
        elif f".{host}".endswith(name) if name.startswith(".") else name.startswith("*.") and host.endswith(name[1:]):
            kinds[1].append(text)
        elif name.endswith(".*") and host.startswith(name[:-1]):
            kinds[2].append(text)
    return next((kind[0] for kind in kinds if kind), None)


def _found(regex: Regex, text: str) -> bool:
    """What is given up decides nothing; the search itself tells of it."""
    try:
        return regex.match(text) is not None
    except MatchFailed:
        return False


def _not_it(each: Server, host: str, chosen: Server) -> str:
    if _matching(each, host) is None:
        return f'no server_name of it matches "{host}"'
    return f'the name of {_server_name(chosen)} is nearer to "{host}"'


def location(
    searched: LocationTree, uri: str, found: Location | None, asked: dict[Location, str]
) -> ExplainedChoice:
    """Explain why a location has a path, and which others match it too. `asked`: values of predicates' variables."""
    losers = [
        ExplainedChoice(_text(each), _why_not(each, uri, found, asked), each.span)
        for each in searched.below()
        if each is not found and _matches(each, uri) and not _encloses(each, found)
    ]
    if found is None:
        return ExplainedChoice("none", f"no location matches {uri}: the server itself answers", None, losers)
    return ExplainedChoice(_text(found), _why(found, uri, losers, asked), found.span, losers)


def _encloses(outer: Location, inner: Location | None) -> bool:
    return inner is not None and outer.nested is not None and any(each is inner for each in outer.nested.below())


def _text(each: Location) -> str:
    return each.span.text if each.span is not None else each.name


def _matches(each: Location, uri: str) -> bool:
    if each.kind == "regex":
        return each.regex is not None and _found(each.regex, uri)
    if each.kind == "predicate":
        return True
    return uri == each.name if each.kind == "exact" else uri.startswith(each.name)


def _why(found: Location, uri: str, losers: list[ExplainedChoice], asked: dict[Location, str]) -> str:
    if found.kind == "predicate":
        return f'the first predicate in the file that holds: {found.name} is "{asked[found]}"'
    if found.kind == "exact":
        return f"it is {uri}, to the letter" if found.name == uri else f"{uri} is redirected to it: 301"
    if found.kind == "regex":
        return f"the first regular expression in the file that matches {uri}"
    if found.auto_redirect and len(found.name) == len(uri) + 1:
        return f"{uri} is redirected to it, with its final slash: 301"
    if found.final:
        return f"the longest prefix of {uri}, and its ^~ ends the search"
    return f"the longest prefix of {uri}" + ("" if losers else ", and no regular expression matches")


def _why_not(each: Location, uri: str, found: Location | None, asked: dict[Location, str]) -> str:
    if each.kind == "predicate" and asked[each] in NO:
        return f'it does not hold: {each.name} is "{asked[each]}"'
    if found is None:
        return "it stands in a location that was not chosen"
    if found.kind == "exact":
        return "an exact location ends the search"
    if each.kind == "predicate":
        if found.kind == "regex":
            return "a regular expression that matches comes before predicates"
        if found.kind == "predicate":
            return "it holds too, but stands further down, or in a location that was not chosen"
        return "the ^~ of the chosen one keeps predicates away" if found.final else "it was not searched"
    if each.kind == "regex":
        if found.kind == "regex":
            return "it matches too, but stands further down, or in a location that was not chosen"
        return "the ^~ of the chosen one keeps regular expressions away" if found.final else "it was not searched"
    if found.kind == "regex":
        return "a regular expression that matches comes before a prefix"
    if found.kind == "predicate":
        return "a predicate that holds comes before a prefix"
    return "a shorter prefix"

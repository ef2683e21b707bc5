"""Which server, which location: nginx's order of matching, with the work done once when the plan is made."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING

from penstock.config.host_names import HostNames

if TYPE_CHECKING:
    from penstock.config.regex.pcre import Regex
    from penstock.config.regex.regex import Match
    from penstock.config.variables import SomeRequest
    from penstock.plan.location import Location, Server

REMEMBERED = 1024
NO = ("", "0")
"""Values of a variable that a predicate location is not for."""


class ServerNames:
    """Names of the servers of one address: exact, then `*.example.com` (longest), then `www.*` (longest), then
    regular expressions in the order of the file (https://nginx.org/en/docs/http/server_names.html).
    """

    __slots__ = ("_exact", "_memo", "_names", "_regexes", "default")

    def __init__(self, default: Server) -> None:
        self.default = default
        self._names: HostNames[Server] = HostNames()
        self._exact = self._names.whole
        self._regexes: list[tuple[Regex, Server]] = []
        self._memo: dict[str, Server] = {}

    def add(self, name: str, server: Server) -> bool:
        """Add a name. Return False if another server of this address has it already (the first one keeps it)."""
        holder = self._names.add(name, server)
        return holder is None or holder is server

    def add_regex(self, regex: Regex, server: Server) -> None:
        self._regexes.append((regex, server))

    def find(self, host: str) -> tuple[Server, Match | None]:
        """Find the server for a host name (lower case), and the match object if a regular expression chose it."""
        found = self._exact.get(host) or self._memo.get(host)
        if found is not None:
            return found, None
        if not self._names.heads and not self._names.tails and not self._regexes:
            return self.default, None
        return self.search(host) or (self.default, None)

    def search(self, host: str) -> tuple[Server, Match | None] | None:
        """Find the server as `find` does, but return None if no server has the name."""
        found = self._exact.get(host) or self._memo.get(host)
        if found is not None:
            return found, None
        found = self._names.by_mask(host)
        if found is not None:
            if len(self._memo) >= REMEMBERED:
                self._memo.clear()
            self._memo[host] = found
            return found, None
        for regex, server in self._regexes:
            match = regex.match(host)
            if match is not None:
                return server, match
        return None


class LocationTree:
    """The locations of one level: exact ones, the longest prefix (and what is nested in it), then regular
    expressions in the order of the file, then predicates in the order of the file (ngx_http_core_find_location).
    """

    __slots__ = ("_branched", "_exact", "_lengths", "_predicates", "_prefixes", "_redirects", "_regexes", "all")

    def __init__(self, locations: Iterable[Location]) -> None:
        self.all = tuple(locations)
        self._exact = {each.name: each for each in self.all if each.kind == "exact"}
        self._prefixes = {each.name: each for each in self.all if each.kind == "prefix"}
        self._lengths = sorted({len(name) for name in self._prefixes}, reverse=True)
        self._regexes = [each for each in self.all if each.kind == "regex"]
        self._predicates = [each for each in self.all if each.kind == "predicate"]
        self._branched = bool(self._regexes or self._predicates) or any(each.nested is not None for each in self.all)
        self._redirects = self._redirected()

    def below(self) -> Iterator[Location]:
        """Give every location of the tree, each before those that are nested in it."""
        for each in self.all:
            yield each
            if each.nested is not None:
                yield from each.nested.below()

    def _redirected(self) -> dict[str, Location]:
        """Return the paths that lack the final slash of a location, and have no location of their own on this level.

        Where a name is that of an exact location and of a prefix, the exact one stands for both, as in nginx.
        """
        found: dict[str, Location] = {}
        for each in self.all:
            if not each.auto_redirect or each.kind not in ("prefix", "exact") or not each.name.endswith("/"):
                continue
            path = each.name[:-1]
            if path in self._prefixes or path in self._exact:
                continue
            location = self._exact.get(each.name, each)
            location.auto_redirect = True
            found[path] = location
        return found

    def find(self, uri: str, request: SomeRequest) -> Location | None:
        """Find the location for a path. A regular expression that matches leaves its captures in the request.

        A location longer than the path is one that wants the path redirected to it, with its final slash.
        """
        if self._branched:
            found, _ = self._find(uri, request, request.location)
            return found
        found = self._exact.get(uri) or self._redirects.get(uri)
        if found is None:
            prefixes = self._prefixes
            for length in self._lengths:
                found = prefixes.get(uri[:length])
                if found is not None:
                    break
        return found

    def _find(self, uri: str, request: SomeRequest, around: Location) -> tuple[Location | None, bool]:
        """Find the location in the level `around`, and tell whether the search is over: no regular expression and no
        predicate of a level above may replace it."""
        exact = self._exact.get(uri)
        if exact is not None:
            return exact, True
        if self._redirects and uri in self._redirects:
            return self._redirects[uri], True
        best: Location | None = None
        for length in self._lengths:
            best = self._prefixes.get(uri[:length])
            if best is not None:
                break
        final = False
        if best is not None:
            final = best.final
            if best.nested is not None:
                inner, over = best.nested._find(uri, request, best)
                if inner is not None:
                    best = inner
                    if over:
                        return best, True
        if not final:
            for each in self._regexes:
                regex = each.regex
                match = regex.match(uri) if regex is not None else None
                if match is None:
                    continue
                request.captured(match, regex)
                if each.nested is not None:
                    inner, _ = each.nested._find(uri, request, each)
                    if inner is not None:
                        return inner, True
                return each, True
            for each in self._predicates:
                predicate = each.predicate
                # What its variable means may depend on where it is asked, as `secure_link` does.
                request.location = best if best is not None else around
                if predicate is None or predicate.evaluate(request) in NO:
                    continue
                if each.nested is not None:
                    inner, _ = each.nested._find(uri, request, each)
                    if inner is not None:
                        return inner, True
                return each, True
        return best, False
